//! Saying something on a connection again and again until the gateway ends it, which is what most
//! floods are.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::JoinSet,
    time,
};

use super::{Outcome, door::Protocol, field::Field};

/// What carries it.
#[derive(Clone, Copy)]
pub(crate) enum Carrier {
    Clear,
    Tls(Protocol),
}

/// What is said.
#[derive(Clone)]
pub(crate) struct Speech {
    pub(crate) carrier: Carrier,
    /// First, and once.
    pub(crate) opening: Vec<u8>,
    /// Then this, which may differ from time to time.
    pub(crate) again: Arc<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
    /// At most so often; then the connection is held in silence.
    pub(crate) times: u32,
}

/// As many bytes as go out in one write: a flood is cheap for who sends it.
const WRITE: usize = 8 << 10;
/// Connections that pour at once.
pub(crate) const AT_ONCE: u32 = 8;
/// From so many addresses.
const ADDRESSES: u32 = 64;

/// Pours on so many connections, and on a new one for each that the gateway ends. Never returns.
pub(crate) async fn pour(field: &Arc<Field>, speech: Speech, at_once: u32) -> Outcome<()> {
    let mut pouring = JoinSet::new();
    for _ in 0..at_once {
        let (field, speech) = (Arc::clone(field), speech.clone());
        pouring.spawn(async move {
            loop {
                // A gateway that closes the door is what is hoped for; then it is tried again.
                if pour_once(&field, &speech).await.is_err() {
                    time::sleep(Duration::from_millis(1)).await;
                }
                field.was_cut();
            }
        });
    }
    match pouring.join_next().await {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn pour_once(field: &Field, speech: &Speech) -> Outcome<()> {
    let from = field.address(ADDRESSES);
    match speech.carrier {
        Carrier::Clear => {
            let socket = field.door.clear(from).await?;
            field.connected();
            say(field, speech, socket).await
        }
        Carrier::Tls(protocol) => {
            let socket = field.door.tls(from, protocol).await?;
            field.connected();
            say(field, speech, socket).await
        }
    }
}

/// Until the connection ends. What the gateway says is read and thrown away.
async fn say<S: AsyncRead + AsyncWrite>(field: &Field, speech: &Speech, socket: S) -> Outcome<()> {
    let (mut reader, mut writer) = tokio::io::split(socket);
    let talk = async {
        writer.write_all(&speech.opening).await?;
        let mut said = 0;
        while said < speech.times {
            let mut bytes = Vec::new();
            let before = said;
            while bytes.len() < WRITE && said < speech.times {
                bytes.extend((speech.again)(said));
                said += 1;
            }
            writer.write_all(&bytes).await?;
            field.did((said - before).into());
        }
        writer.flush().await?;
        std::future::pending::<Outcome<()>>().await
    };
    let listen = async {
        let mut bytes = [0; 4096];
        while reader.read(&mut bytes).await? > 0 {}
        Ok(())
    };
    tokio::select! {
        ended = talk => ended,
        ended = listen => ended,
    }
}
