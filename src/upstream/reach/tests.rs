use std::net::SocketAddr;

use tokio::{net::TcpListener, time::advance};

use super::*;
use crate::{
    observe::{LogSink, tracing_dispatch},
    snapshot::{Endpoints, Scheme, Upstream},
    upstream::{Affinity, tests::server},
};

const PATIENCE: Duration = Duration::from_secs(4);

fn endpoint(host: &str, port: u16) -> Endpoint {
    let authority = format!("{host}:{port}").into();
    Endpoint { scheme: Scheme::Http, host: host.into(), port, authority }
}

fn server_at(endpoints: Vec<Endpoint>) -> Server {
    let one = Upstream::clone(&server("name.test", 1).upstream);
    let endpoints = Endpoints::of(endpoints).unwrap();
    Server::new(Arc::new(Upstream { endpoints, ..one }))
}

async fn living() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, endpoint("127.0.0.1", port))
}

/// A key whose own endpoint is this one.
fn key_of(server: &Server, own: &Endpoint) -> Choice<'static> {
    let mut keys = (0_u32..).map(|key| Choice::Of(Affinity::of(&key.to_be_bytes())));
    let is_own = |choice: &Choice<'_>| *server.in_order(*choice)[0].endpoint == *own;
    keys.find(is_own).unwrap()
}

fn port_of(connection: &Connection<Transport>) -> u16 {
    connection.stream().socket().unwrap().peer_addr().map(|at: SocketAddr| at.port()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_leaves_half_of_the_time_and_then_none_is_lost_to_it() {
    let (_listener, well) = living().await;
    // Nobody looks its name up, so it never has an address.
    let hangs = endpoint("name.test", 1);
    let server = server_at(vec![hangs.clone(), well.clone()]);
    let key = key_of(&server, &hangs);
    for took in [2, 0] {
        let begun = Instant::now();
        let reached = server.connection(key, PATIENCE).await.unwrap();
        assert_eq!((&reached.endpoint.port, port_of(&reached.connection)), (&well.port, well.port));
        assert_eq!(begun.elapsed().as_secs(), took);
    }
    // All of the time where nothing else is there.
    let alone = server_at(vec![hangs.clone(), endpoint("other.test", 1)]);
    let begun = Instant::now();
    assert_eq!(alone.connection(key, PATIENCE).await.err(), Some(Unreachable::Late));
    assert_eq!(begun.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_gives_the_next_no_more_time_than_there_is_for_all() {
    let (gone, refuses) = living().await;
    drop(gone);
    let server = server_at(vec![refuses.clone(), endpoint("name.test", 1)]);
    let key = key_of(&server, &refuses);
    // Once both are out too: then they are tried as the last that is left.
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(server.connection(key, PATIENCE).await.err(), Some(Unreachable::Late));
        assert!(begun.elapsed() < PATIENCE + Duration::from_millis(100));
    }
}

#[tokio::test]
async fn each_change_is_said_once() {
    let sink = LogSink::memory();
    let dispatch = tracing_dispatch(&sink, "info").unwrap();
    let guard = tracing::dispatcher::set_default(&dispatch);
    let ((gone, lost), (_other, well)) = (living().await, living().await);
    drop(gone);
    let server = server_at(vec![lost.clone(), well.clone()]);
    let key = key_of(&server, &lost);
    for _ in 0..3 {
        assert_eq!(server.connection(key, PATIENCE).await.unwrap().endpoint.port, well.port);
    }
    let _back = TcpListener::bind((&*lost.host, lost.port)).await.unwrap();
    for _ in 0..2 {
        let bound = server.connection(Choice::Bound(&lost), PATIENCE).await.unwrap();
        assert_eq!(bound.endpoint.port, lost.port);
    }
    drop(guard);
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        [text("level"), text("event"), text("endpoint"), text("why")]
            .join(" ")
            .trim_end()
            .to_owned()
    };
    let said: Vec<_> = sink.contents().lines().map(line).collect();
    let at = &lost.authority;
    let out = format!("warn endpoint out {at} no connection can be made");
    assert_eq!(said, [out, format!("info endpoint in {at}")]);
}

#[tokio::test]
async fn what_is_bound_goes_nowhere_else() {
    let ((gone, lost), (_other, well)) = (living().await, living().await);
    drop(gone);
    let server = server_at(vec![lost.clone(), well]);
    for endpoint in [&lost, &endpoint("10.0.0.9", 3000)] {
        let bound = server.connection(Choice::Bound(endpoint), PATIENCE).await;
        assert_eq!(bound.err(), Some(Unreachable::Lost), "{}", endpoint.authority);
    }
    let alone = server_at(vec![lost.clone()]);
    let bound = alone.connection(Choice::Bound(&lost), PATIENCE).await;
    assert_eq!(bound.err(), Some(Unreachable::Refused));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_its_own_endpoint() {
    let ((_one, first), (_other, second)) = (living().await, living().await);
    let server = server_at(vec![first.clone(), second.clone()]);
    let address =
        |reached: &Reached| reached.connection.stream().socket().unwrap().local_addr().unwrap();
    let mut used = Vec::new();
    for endpoint in [&first, &second] {
        let reached = server.connection(key_of(&server, endpoint), PATIENCE).await.unwrap();
        used.push(address(&reached));
        server.keep(reached);
    }
    for (endpoint, before) in [&second, &first].into_iter().zip(used.into_iter().rev()) {
        let again = server.connection(key_of(&server, endpoint), PATIENCE).await.unwrap();
        assert_eq!((address(&again), &*again.endpoint), (before, endpoint));
    }
    advance(PATIENCE).await;
}
