//! Full TLS handshakes, one connection each: processor time for each.

use std::io;

use rustls::crypto::SupportedKxGroup;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

use crate::{
    BLOCKS, Ground, Outcome,
    client::{CLASSIC, POST_QUANTUM, Trust, connect},
    measure::Measure,
    proxies::{Kind, Proxy},
    report::Report,
};

/// How many are under way at once.
const AT_ONCE: u32 = 16;
/// Handshakes of each of those in a block.
const HANDSHAKES: u32 = 100;

pub(crate) async fn measure(ground: &Ground, report: &mut Report) -> Outcome<()> {
    let proxies = Proxy::start_all(ground).await?;
    for proxy in &proxies {
        run(proxy, &ground.trust, CLASSIC).await?;
    }
    for _ in 0..BLOCKS {
        for proxy in &proxies {
            let time = run(proxy, &ground.trust, CLASSIC).await?;
            report.add(Measure::Handshake, proxy.kind, time);
            // The distributions' OpenSSL, which the others have, doesn't know the group.
            if matches!(proxy.kind, Kind::Portcullis | Kind::Envoy) {
                let time = run(proxy, &ground.trust, POST_QUANTUM).await?;
                report.add(Measure::PostQuantumHandshake, proxy.kind, time);
            }
        }
    }
    Ok(())
}

/// Microseconds of the proxy for a handshake, connecting and closing included.
async fn run(proxy: &Proxy, trust: &Trust, group: &'static dyn SupportedKxGroup) -> Outcome<f64> {
    let (connector, address) = (trust.connector(group)?, proxy.address);
    let used = proxy.tree.processor_time();
    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let connector = connector.clone();
        clients.spawn(async move {
            for _ in 0..HANDSHAKES {
                let mut socket = connect(&connector, address).await?;
                socket.shutdown().await?;
                // The proxy closes once it has taken the client's last message: it has done all.
                match socket.read(&mut [0]).await {
                    // Without a farewell of its own, as HAProxy does it.
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error)?,
                    _ => {}
                }
            }
            Outcome::Ok(())
        });
    }
    clients.join_all().await.into_iter().collect::<Outcome<()>>()?;
    let used = proxy.tree.processor_time() - used;
    Ok(used.as_secs_f64() * 1e6 / f64::from(AT_ONCE * HANDSHAKES))
}
