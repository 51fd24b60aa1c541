//! The harness: a gateway as `main` starts it, on ports that the system chose; a scripted upstream
//! whose end the test holds; and clients that are no cleverer than the bytes they are given.
//!
//! Nothing here waits longer than [`PATIENCE`] and nothing sleeps. When the gateway is dropped it is
//! asked for what must not be there: a key in any sink, a stream or a connection left open, a slow
//! drain (see `sinks.rs`).

mod answer;
mod anybody;
mod audit;
mod authority;
mod call;
mod certificates;
mod client;
mod events;
mod gateway;
mod http2;
mod key;
mod operator;
mod pebble;
mod setup;
mod sinks;
mod stopping;
mod tls;
mod upstream;

use std::{future::Future, time::Duration};

pub(crate) use self::{
    answer::Answer,
    audit::AUDIT,
    authority::{Authority, tls_before},
    call::{Call, call_with_id, tool_call},
    certificates::Pair,
    client::Client,
    events::{Event, EventStream},
    gateway::Gateway,
    http2::{Heard, Http2},
    key::Key,
    pebble::{Pebble, free},
    setup::Setup,
    stopping::Stopping,
    upstream::{Request, Seen, Streaming, Upstream},
};

/// How long anything may take. Only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for something that has to happen.
pub(crate) async fn within<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}
