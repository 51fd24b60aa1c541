//! Calls that go on, as clients make them: on connections that are kept, and made anew when they end.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Outcome, gateway::KEY, meter::Meter, trust};

/// So many lanes make ten calls a second each.
const LANES: u32 = 20;
const PACE: Duration = Duration::from_millis(100);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Lanes {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

pub(crate) fn start(at: SocketAddr, meter: &Arc<Meter>) -> Lanes {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for lane in 0..LANES {
        let (meter, stopped) = (Arc::clone(meter), stopped.clone());
        tasks.spawn(async move {
            time::sleep(PACE * lane / LANES).await;
            let mut kept = None;
            let mut tick = time::interval(PACE);
            while !*stopped.borrow() {
                tick.tick().await;
                let begun = Instant::now();
                let called = time::timeout(PATIENCE, call(at, &mut kept)).await;
                match called.unwrap_or_else(|_| Err("no answer".into())) {
                    Ok(()) => meter.answered(begun.elapsed()),
                    Err(error) => {
                        kept = None;
                        meter.failed(&error.to_string());
                    }
                }
            }
        });
    }
    Lanes { stop, tasks }
}

impl Lanes {
    pub(crate) async fn end(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn call(at: SocketAddr, kept: &mut Option<TlsStream<TcpStream>>) -> Outcome<()> {
    let mut open = kept.take();
    if let Some(stream) = &mut open
        && !is_open(stream).await
    {
        open = None;
    }
    let mut stream = match open {
        Some(stream) => stream,
        None => {
            let socket = TcpStream::connect(at).await?;
            socket.set_nodelay(true)?;
            let client = TlsConnector::from(trust::client()?);
            client.connect(ServerName::try_from("localhost")?, socket).await?
        }
    };
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"postsListTool","arguments":{}}}"#;
    let request = format!(
        "POST /api/mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\
         accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(1024);
    while memchr::memmem::find(&answer, b"\"content\":[]}}").is_none() {
        if stream.read_buf(&mut answer).await? == 0 {
            let said = answer.escape_ascii().to_string();
            return Err(format!("ended before its answer: {said:.60}").into());
        }
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(answer.get(..40).unwrap_or(&answer).escape_ascii().to_string().into());
    }
    if memchr::memmem::find(&answer, b"connection: close").is_none() {
        *kept = Some(stream);
    }
    Ok(())
}

/// Whether the gateway has said nothing, and so not that it ends.
async fn is_open(stream: &mut TlsStream<TcpStream>) -> bool {
    time::timeout(Duration::ZERO, stream.read(&mut [0; 64])).await.is_err()
}
