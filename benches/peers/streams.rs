//! Open event streams: the memory of idle ones, and events relayed on a thousand of them.

use std::{net::SocketAddr, time::Duration};

use memchr::memmem;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time,
};

use crate::{
    BLOCKS, Ground, Outcome,
    client::{CLASSIC, Wire, connect},
    measure::Measure,
    proxies::{KEY, Proxy},
    report::Report,
    server::now,
};

/// Streams that are open while events are counted and memory is read.
const STREAMS: u32 = 1_000;
/// Streams that are open before memory is first read: what a proxy sets up once is in by then.
const FIRST_STREAMS: u32 = 200;
/// How long a proxy may take to come to rest, or the last event to arrive.
const REST: Duration = Duration::from_secs(1);
/// How long events are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Memory that each further idle stream takes, of a fresh proxy.
pub(crate) async fn measure_memory(ground: &Ground, report: &mut Report) -> Outcome<()> {
    let connector = ground.trust.connector(CLASSIC)?;
    for _ in 0..BLOCKS {
        for &kind in &ground.kinds {
            let proxy = Proxy::start(kind, ground).await?;
            let mut wires = Vec::new();
            let mut sizes = Vec::new();
            for count in [FIRST_STREAMS, STREAMS] {
                for _ in 0..count {
                    let socket = connect(&connector, proxy.address).await?;
                    wires.push(open(socket, "/api").await?);
                }
                time::sleep(REST).await;
                sizes.push(f64::from(proxy.tree.memory()?));
            }
            if let [before, after] = *sizes {
                let each = (after - before) / f64::from(STREAMS);
                report.add(Measure::IdleStream, kind, each);
            }
            ground.server.end_streams();
        }
    }
    Ok(())
}

/// Processor time of a relayed event, and how much later it comes than without a proxy.
pub(crate) async fn measure_events(ground: &Ground, report: &mut Report) -> Outcome<()> {
    for _ in 0..BLOCKS {
        let (direct, _) = relay(ground, None).await?;
        for (what, percent) in [("p50", 50), ("p99", 99)] {
            report.say(&format!("{what} without a proxy: {:.0} µs", percentile(&direct, percent)));
        }
        for &kind in &ground.kinds {
            let proxy = Proxy::start(kind, ground).await?;
            let (delays, used) = relay(ground, Some(&proxy)).await?;
            report.add(Measure::Event, kind, used);
            for (what, percent) in [(Measure::EventDelay, 50), (Measure::LateEventDelay, 99)] {
                let added = percentile(&delays, percent) - percentile(&direct, percent);
                report.add(what, kind, added);
            }
        }
    }
    Ok(())
}

/// The delays of all events of a window in order, and the proxy's microseconds for each.
async fn relay(
    Ground { server, trust, .. }: &Ground,
    proxy: Option<&Proxy>,
) -> Outcome<(Vec<Duration>, f64)> {
    let (stop, stopped) = watch::channel(false);
    let mut readers = JoinSet::new();
    match proxy {
        Some(proxy) => {
            let connector = trust.connector(CLASSIC)?;
            for _ in 0..STREAMS {
                let wire = open(connect(&connector, proxy.address).await?, "/api").await?;
                readers.spawn(follow(wire, stopped.clone()));
            }
        }
        None => {
            for _ in 0..STREAMS {
                let wire = open(direct(server.address).await?, "").await?;
                readers.spawn(follow(wire, stopped.clone()));
            }
        }
    }
    let mut sent = server.send_events(REST).await?;
    let used = || proxy.map_or(Duration::ZERO, |proxy| proxy.tree.processor_time());
    let (begin, before) = (now(), used());
    let counted = server.send_events(WINDOW).await?;
    sent += counted;
    let used = used() - before;
    time::sleep(REST).await;
    stop.send(true)?;
    let mut delays = Vec::new();
    let mut received = 0;
    for reader in readers.join_all().await {
        for (stamp, delay) in reader? {
            received += 1;
            delays.extend((stamp >= begin).then_some(delay));
        }
    }
    server.end_streams();
    if received != sent {
        return Err(format!("{sent} events sent, {received} came").into());
    }
    delays.sort_unstable();
    Ok((delays, used.as_secs_f64() * 1e6 / f64::from(counted)))
}

async fn direct(address: SocketAddr) -> Outcome<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Opens a stream and waits for its first event.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(socket: S, prefix: &str) -> Outcome<Wire<S>> {
    let mut wire = Wire::new(socket);
    let request = format!(
        "GET {prefix}/mcp/{KEY}/sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    );
    wire.send(request.as_bytes()).await?;
    if wire.head().await?.is_some() {
        return Err("a stream with a Content-Length".into());
    }
    while memmem::find(&wire.read, b"\n\n").is_none() {
        wire.more().await?;
    }
    // What is kept must not count as the proxy's memory, nor be searched for stamps.
    wire.read = bytes::BytesMut::new();
    Ok(wire)
}

/// Reads events until told to stop: when each was sent, and how long it took.
async fn follow<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
    mut stopped: watch::Receiver<bool>,
) -> Outcome<Vec<(Duration, Duration)>> {
    let mut events = Vec::new();
    loop {
        tokio::select! {
            more = wire.more() => more?,
            _ = stopped.wait_for(|stop| *stop) => return Ok(events),
        }
        let arrived = now();
        while let Some(end) = memmem::find(&wire.read, b"\"}}\n\n") {
            let event = wire.read.split_to(end + 5);
            let digits =
                event.get(end.saturating_sub(20)..end).ok_or("an event without a stamp")?;
            let stamp = Duration::from_nanos(str::from_utf8(digits)?.parse()?);
            events.push((stamp, arrived.saturating_sub(stamp)));
        }
    }
}

/// In microseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let found = sorted.get(sorted.len() * percent / 100);
    found.map_or(f64::NAN, |delay| delay.as_secs_f64() * 1e6)
}
