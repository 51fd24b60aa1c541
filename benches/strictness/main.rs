//! The strict reading beside that of others: every vector of HTTP/1.1 and HTTP/2 that the suite holds
//! Portcullis to, as sent to Portcullis, nginx, HAProxy, Envoy and bare Node, one request a fresh
//! connection, each before a server that notes what reached it.
//!
//! `cargo bench --profile dev --bench strictness`; after `--`, `portcullis`, `nginx`, `haproxy`,
//! `envoy` and `node` choose. How a peer is told to work stands in `peers/`: no more than it needs,
//! but for Envoy, which has its guide for the edge. Whoever passes on what must be refused is marked.
//!
//! With `differential` it compares what Portcullis, nginx and HAProxy make of generated connections.

mod backend;
mod cases;
mod differential;
mod http1;
mod http2;
mod peers;
mod table;
mod trust;

use std::{env, error::Error, sync::Arc};

use tokio::task::JoinSet;

use crate::{
    cases::Case,
    peers::{Kind, Peer},
    table::Cell,
    trust::Trust,
};

/// What went wrong ends the run: half a comparison is none.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.iter().any(|word| word == "differential") {
        return differential::run().await;
    }
    let named = |kind: &Kind| words.iter().any(|word| word == kind.program_name());
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(named).collect();
    if kinds.is_empty() {
        kinds = Kind::ALL.to_vec();
    }
    let folder = tempfile::tempdir()?;
    let trust = Arc::new(Trust::write_to(folder.path())?);
    let cases = Arc::new(cases::all());
    let mut asking = JoinSet::new();
    for (at, kind) in kinds.iter().enumerate() {
        let peer = Peer::start(*kind, &trust).await?;
        let (cases, trust) = (Arc::clone(&cases), Arc::clone(&trust));
        asking.spawn(async move { Ok::<_, String>((at, ask(peer, &cases, &trust).await?)) });
    }
    let mut columns = vec![Vec::new(); kinds.len()];
    while let Some(asked) = asking.join_next().await {
        let (at, column) = asked??;
        if let Some(place) = columns.get_mut(at) {
            *place = column;
        }
    }
    table::print(&cases, &kinds, &columns)
}

/// Sends every case to one peer, one after another.
async fn ask(mut peer: Peer, cases: &[Case], trust: &Trust) -> Result<Vec<Cell>, String> {
    let mut column = Vec::with_capacity(cases.len());
    for case in cases {
        let said = match case.protocol {
            cases::Protocol::Http1 { answers } => {
                http1::ask(peer.clear, &case.bytes, answers).await
            }
            cases::Protocol::Http2 => http2::ask(peer.tls, &case.bytes, trust).await,
        };
        let reached = peer.reached().await;
        let said = said.map_err(|error| format!("{} {}: {error}", peer.name(), case.number))?;
        column.push(Cell::new(said, &reached, case.must));
    }
    table::progress(&format!("{}: {} requests", peer.name(), cases.len()));
    Ok(column)
}
