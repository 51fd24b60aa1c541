//! Calls on connections that are kept alive: processor time for each.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::{
    BLOCKS, Ground, Outcome,
    client::{CLASSIC, Wire, connect},
    measure::Measure,
    proxies::{KEY, Kind, Proxy, Serving},
    report::Report,
    server::ANSWER,
};

const CONNECTIONS: u32 = 32;
/// Calls of each connection in a block.
const CALLS: u32 = 1_500;
/// Calls of each connection before the first block.
const WARM_UP: u32 = 100;

pub(crate) async fn measure(ground: &Ground, report: &mut Report) -> Outcome<()> {
    let proxies = Proxy::start_all(ground).await?;
    let mut ruled = None;
    if ground.kinds.contains(&Kind::Portcullis) {
        ruled = Some(Proxy::start_serving(Serving::Ruled, Kind::Portcullis, ground).await?);
    }
    for proxy in proxies.iter().chain(&ruled) {
        run(proxy, ground, WARM_UP).await?;
    }
    for _ in 0..BLOCKS {
        for proxy in &proxies {
            let (per_call, per_second) = run(proxy, ground, CALLS).await?;
            report.add(Measure::Call, proxy.kind, per_call);
            report.add(Measure::CallsPerSecond, proxy.kind, per_second);
        }
        if let Some(proxy) = &ruled {
            report.add(Measure::RuledCall, proxy.kind, run(proxy, ground, CALLS).await?.0);
        }
    }
    report.compare(Measure::RuledCall, Measure::Call);
    let memory =
        |proxy: &Proxy| Outcome::Ok((proxy.kind, f64::from(proxy.tree.memory()?) / 1024.0));
    for row in proxies.iter().map(memory) {
        let (kind, size) = row?;
        report.add(Measure::MemoryAfterCalls, kind, size);
    }
    Ok(())
}

/// Microseconds of the proxy for a call, and calls a second.
async fn run(
    proxy: &Proxy,
    Ground { server, trust, .. }: &Ground,
    calls: u32,
) -> Outcome<(f64, f64)> {
    let connector = trust.connector(CLASSIC)?;
    let mut wires = Vec::new();
    for _ in 0..CONNECTIONS {
        wires.push(Wire::new(connect(&connector, proxy.address).await?));
    }
    server.take_calls();
    let (used, begin) = (proxy.tree.processor_time(), Instant::now());
    let mut callers = JoinSet::new();
    for mut wire in wires {
        callers.spawn(async move {
            let request = request();
            for _ in 0..calls {
                wire.call(&request, ANSWER.as_bytes()).await?;
            }
            Outcome::Ok(wire)
        });
    }
    // The connections stay open until all are done: closing them isn't part of a call.
    let wires: Vec<_> = callers.join_all().await.into_iter().collect::<Outcome<_>>()?;
    let (used, took) = (proxy.tree.processor_time() - used, begin.elapsed());
    drop(wires);
    let (made, reached) = (CONNECTIONS * calls, server.take_calls());
    if made != reached {
        return Err(format!("{}: {made} calls made, {reached} came", proxy.kind.name()).into());
    }
    let made = f64::from(made);
    Ok((used.as_secs_f64() * 1e6 / made, made / took.as_secs_f64()))
}

/// A `tools/call` as the TypeScript SDK sends it; the body has 170 bytes.
pub(crate) fn request() -> Vec<u8> {
    let body = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"integrationSchema","#,
        r#""arguments":{"platform":"linkedin","isPremium":false,"note":"one hundred seventy by"}}}"#
    );
    format!(
        "POST /api/mcp/{KEY} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Mcp-Protocol-Version: 2025-06-18\r\nAccept-Language: *\r\nSec-Fetch-Mode: cors\r\n\
         User-Agent: node\r\nAccept-Encoding: gzip, deflate\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
