//! A large body on a route that isn't MCP, up and down: processor time, and what the proxy holds of
//! it at most.

use std::time::Duration;

use tokio::{net::TcpStream, task, time};
use tokio_rustls::client::TlsStream;

use crate::{
    BLOCKS, Ground, Outcome,
    body::{self, BYTES, Digest},
    calls,
    client::{CLASSIC, Wire, connect},
    measure::Measure,
    proxies::{Proxy, Serving},
    report::Report,
    server::ANSWER,
};

/// How often memory is looked at while a body passes.
const SAMPLE: Duration = Duration::from_millis(20);

/// Which way the body goes.
#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    const fn measures(self) -> (Measure, Measure) {
        match self {
            Self::Up => (Measure::Upload, Measure::UploadMemory),
            Self::Down => (Measure::Download, Measure::DownloadMemory),
        }
    }
}

pub(crate) async fn measure(ground: &Ground, report: &mut Report) -> Outcome<()> {
    for _ in 0..BLOCKS {
        for &kind in &ground.kinds {
            for direction in [Direction::Up, Direction::Down] {
                let proxy = Proxy::start_serving(Serving::Files, kind, ground).await?;
                // `BYTES` is a GB.
                let (used, grown) = run(&proxy, ground, direction).await?;
                let (time, memory) = direction.measures();
                report.add(time, kind, used.as_secs_f64() * 1e3);
                report.add(memory, kind, grown);
            }
        }
    }
    Ok(())
}

/// Processor time of a fresh proxy for a body, and by how many MiB it was larger at most while the
/// body passed than before.
async fn run(
    proxy: &Proxy,
    Ground { server, trust, .. }: &Ground,
    direction: Direction,
) -> Outcome<(Duration, f64)> {
    let mut wire = Wire::new(connect(&trust.connector(CLASSIC)?, proxy.address).await?);
    // What a connection takes, whatever it carries, is in by then.
    wire.call(&calls::request(), ANSWER.as_bytes()).await?;
    server.take_calls();
    let (used, before) = (proxy.tree.processor_time(), proxy.tree.memory()?);
    let mut transfer = task::spawn(pass(wire, direction));
    let mut peak = before;
    let wire = loop {
        tokio::select! {
            done = &mut transfer => break done??,
            () = time::sleep(SAMPLE) => peak = peak.max(proxy.tree.memory()?),
        }
    };
    let used = proxy.tree.processor_time() - used;
    drop(wire);
    match server.take_calls() {
        1 => Ok((used, f64::from(peak - before) / 1024.0)),
        reached => Err(format!("{}: one body sent, {reached} came", proxy.kind.name()).into()),
    }
}

/// Sends a body and lets the server say what came, or asks for one and looks at what comes.
async fn pass(
    mut wire: Wire<TlsStream<TcpStream>>,
    direction: Direction,
) -> Outcome<Wire<TlsStream<TcpStream>>> {
    let expected = Digest::expected();
    match direction {
        Direction::Up => {
            let head = format!(
                "POST /files/up HTTP/1.1\r\nHost: localhost\r\n\
                 Content-Type: application/octet-stream\r\nContent-Length: {BYTES}\r\n\r\n"
            );
            wire.send(head.as_bytes()).await?;
            let sent = body::send(&mut wire.socket).await;
            // Where it was refused, the answer says more than the write that broke.
            wire.answer(expected.to_string().as_bytes()).await?;
            sent?;
        }
        Direction::Down => {
            wire.send(b"GET /files/down HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            if wire.head().await? != Some(BYTES) {
                return Err("a download of another length".into());
            }
            let came = body::receive(&mut wire.socket, &wire.read, BYTES).await?;
            if came != *expected {
                return Err(format!("{came} instead of {expected}").into());
            }
        }
    }
    Ok(wire)
}
