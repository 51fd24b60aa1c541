//! Streams that are held from the beginning to the end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Outcome, gateway::KEY, meter::Meter, trust};

/// How many are opened at once.
const AT_ONCE: usize = 32;

/// What is held. Dropped, all of it ends.
pub(crate) struct Held {
    alive: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Held {
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }
}

pub(crate) async fn open(at: SocketAddr, count: usize, meter: &Arc<Meter>) -> Outcome<Held> {
    let (alive, room) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(AT_ONCE)));
    let client = TlsConnector::from(trust::client()?);
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let permit = Arc::clone(&room).acquire_owned().await?;
        let (client, meter, alive) = (client.clone(), Arc::clone(meter), Arc::clone(&alive));
        tasks.spawn(async move {
            let opened = begin(&client, at).await;
            drop(permit);
            let why = match opened {
                Ok(stream) => {
                    alive.fetch_add(1, Ordering::Relaxed);
                    let ended = follow(stream, &meter).await;
                    alive.fetch_sub(1, Ordering::Relaxed);
                    ended.err().map_or("ended".to_owned(), |error| error.to_string())
                }
                Err(error) => format!("not opened: {error}"),
            };
            meter.cut(&why);
        });
    }
    let _ = room.acquire_many(u32::try_from(AT_ONCE)?).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(Held { alive, _tasks: tasks })
}

async fn begin(client: &TlsConnector, at: SocketAddr) -> Outcome<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(at).await?;
    let mut stream = client.connect(ServerName::try_from("localhost")?, socket).await?;
    let request = format!(
        "GET /api/mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\
         accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 512];
    let count = stream.read(&mut head).await?;
    if !head.starts_with(b"HTTP/1.1 200") {
        return Err(head
            .get(..count.min(80))
            .unwrap_or_default()
            .escape_ascii()
            .to_string()
            .into());
    }
    Ok(stream)
}

async fn follow(mut stream: TlsStream<TcpStream>, meter: &Meter) -> Outcome<()> {
    let mut part = [0; 1024];
    loop {
        let count = stream.read(&mut part).await?;
        let came = part.get(..count).unwrap_or_default();
        if count == 0 || memchr::memmem::find(came, b"\r\n0\r\n\r\n").is_some() {
            return Ok(());
        }
        if let Some(at) = memchr::memmem::find(came, b"data: ")
            && let Some(digits) = came.get(at + 6..at + 26)
        {
            let sent = std::str::from_utf8(digits)?.parse()?;
            meter.event(Duration::from_nanos(sent));
        }
    }
}
