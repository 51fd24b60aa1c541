//! TLS before there is a request: handshakes that cost a signature each, and sockets that stop.

use std::{future, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time,
};

use crate::siege::{Outcome, door::Protocol, field::Field};

/// Handshakes under way at once.
const AT_ONCE: u32 = 32;
/// From so many addresses.
const ADDRESSES: u32 = 1024;

/// Full handshakes, each on a connection that is dropped when it is done. Never returns.
pub(super) async fn whole(field: &Arc<Field>) -> Outcome<()> {
    let mut shaking = JoinSet::new();
    for _ in 0..AT_ONCE {
        let field = Arc::clone(field);
        shaking.spawn(async move {
            loop {
                field.connected();
                match field.door.tls(field.address(ADDRESSES), Protocol::Http1).await {
                    Ok(_) => field.did(1),
                    Err(_) => field.was_cut(),
                }
            }
        });
    }
    all(shaking).await
}

/// Sockets that stop in the middle of the hello.
pub(super) async fn half_hellos(field: &Arc<Field>) -> Outcome<()> {
    let hello = field.door.hello()?;
    let half = hello.get(..hello.len() / 2).unwrap_or_default().to_vec();
    stop_after(field, half).await
}

/// Sockets that stop after it: the gateway has signed, and waits.
pub(super) async fn hellos(field: &Arc<Field>) -> Outcome<()> {
    let hello = field.door.hello()?;
    stop_after(field, hello).await
}

/// Holds sockets that said this and no more. Never returns.
async fn stop_after(field: &Arc<Field>, said: Vec<u8>) -> Outcome<()> {
    let mut holding = JoinSet::new();
    for _ in 0..field.force.sockets {
        let (field, said) = (Arc::clone(field), said.clone());
        holding.spawn(async move {
            loop {
                let from = field.address(ADDRESSES);
                let _ = hold(&field, from, &said).await;
                field.was_cut();
                time::sleep(Duration::from_millis(50)).await;
            }
        });
        time::sleep(Duration::from_millis(1)).await;
    }
    all(holding).await
}

async fn hold(field: &Field, from: Ipv4Addr, said: &[u8]) -> Outcome<()> {
    let mut socket = field.door.before_tls(from).await?;
    field.connected();
    socket.write_all(said).await?;
    field.did(1);
    let mut bytes = [0; 4096];
    while socket.read(&mut bytes).await? > 0 {}
    Ok(())
}

async fn all(mut tasks: JoinSet<()>) -> Outcome<()> {
    match tasks.join_next().await {
        Some(Err(error)) => Err(error.into()),
        _ => future::pending().await,
    }
}
