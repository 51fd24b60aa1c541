//! Event streams: opened and left, and more of them than anybody may have.

use std::{future, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{net::TcpStream, task::JoinSet, time};
use tokio_rustls::client::TlsStream;

use crate::siege::{
    Outcome,
    door::{ACCEPTED, INSIDERS_KEY, Protocol},
    field::Field,
    wire::{Wire, listen},
};

/// Streams are opened from so many addresses, a few from each.
const ADDRESSES: u32 = 1000;
/// Streams that are being opened at once.
const AT_ONCE: u32 = 16;
/// Streams that one holder tries to have.
const MANY: u32 = 300;

type Stream = Wire<TlsStream<TcpStream>>;

/// Opens as many as the attack has, and leaves them all at once; again and again. Never returns.
pub(super) async fn abandoned(field: &Arc<Field>) -> Outcome<()> {
    loop {
        let mut opening = JoinSet::new();
        for _ in 0..AT_ONCE {
            let field = Arc::clone(field);
            opening.spawn(async move {
                let mut open = Vec::new();
                for _ in 0..field.force.streams / AT_ONCE {
                    let from = field.address(ADDRESSES);
                    match begin(&field, from, INSIDERS_KEY).await {
                        Ok(Some(stream)) => open.push(stream),
                        _ => field.was_cut(),
                    }
                }
                open
            });
        }
        drop(opening.join_all().await);
    }
}

/// One key from many addresses.
pub(super) async fn of_a_key(field: &Arc<Field>) -> Outcome<()> {
    hoard(field, |field, _| (field.address(ADDRESSES), INSIDERS_KEY.to_owned())).await
}

/// One address with a new key each time, all of which the upstream takes.
pub(super) async fn of_an_address(field: &Arc<Field>) -> Outcome<()> {
    let from = field.address(1);
    hoard(field, move |field, number| {
        (from, format!("{ACCEPTED}{}-{number:08}-00112233445566778899aabb", field.round))
    })
    .await
}

/// Keeps what it gets, and tries again where it doesn't. Never returns.
async fn hoard(
    field: &Arc<Field>,
    who: impl Fn(&Field, u32) -> (Ipv4Addr, String) + Send + Sync + 'static,
) -> Outcome<()> {
    let who = Arc::new(who);
    let mut hoarding = JoinSet::new();
    for number in 0..MANY {
        let (field, who) = (Arc::clone(field), Arc::clone(&who));
        hoarding.spawn(async move {
            for attempt in 0.. {
                let (from, key) = who(&field, number + MANY * attempt);
                if let Ok(Some(_held)) = begin(&field, from, &key).await {
                    future::pending::<()>().await;
                }
                field.was_cut();
                time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    match hoarding.join_next().await {
        Some(Err(error)) => Err(error.into()),
        _ => future::pending().await,
    }
}

/// A stream, if the gateway lets it be opened.
async fn begin(field: &Field, from: Ipv4Addr, key: &str) -> Outcome<Option<Stream>> {
    let mut wire = Wire::new(field.door.tls(from, Protocol::Http1).await?);
    field.connected();
    let (status, _) = wire.begin(listen(key).as_bytes()).await?;
    field.did(1);
    Ok((status == 200).then_some(wire))
}
