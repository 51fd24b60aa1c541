//! Connections that are kept.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::advance,
};

use super::{Server, pool::Pool};
use crate::{
    snapshot::{Endpoint, Endpoints, Scheme, Upstream},
    types::Name,
    wire::{Connection, Transport},
};

/// A server in clear.
pub(super) fn server(host: &str, port: u16) -> Server {
    Server::new(Arc::new(Upstream {
        name: Name::parse("test").unwrap(),
        endpoints: Endpoints::one(Endpoint {
            scheme: Scheme::Http,
            host: host.into(),
            port,
            authority: format!("{host}:{port}").into(),
        }),
        health: None,
        strip_prefix: Vec::new(),
        dialect: None,
        tls: None,
        session_idle: None,
        pin: None,
        max_requests: None,
        shared_streams: true,
    }))
}

/// A server that a test holds the other end of.
pub(super) fn server_at(address: SocketAddr) -> Server {
    server(&address.ip().to_string(), address.port())
}

/// Node closes an idle connection after five seconds.
const TOO_LONG: Duration = Duration::from_secs(4);

/// A connection, and the upstream's end of it.
async fn connect(listener: &TcpListener) -> (Connection<Transport>, TcpStream) {
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (end, _) = listener.accept().await.unwrap();
    (Connection::new(Transport::Plain(socket)), end)
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn address_of(connection: &Connection<Transport>) -> SocketAddr {
    connection.stream().socket().unwrap().local_addr().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_less_than_four_seconds_and_then_closed() {
    let (pool, listener) = (Pool::default(), listener().await);
    let (connection, mut end) = connect(&listener).await;
    pool.keep(connection);
    advance(TOO_LONG - Duration::from_millis(1)).await;
    pool.sweep();
    pool.keep(pool.take().expect("it was idle for less than the bound"));
    advance(TOO_LONG).await;
    assert!(pool.take().is_none(), "also before the sweep has come round");
    let (connection, mut other_end) = connect(&listener).await;
    pool.keep(connection);
    advance(TOO_LONG).await;
    pool.sweep();
    for end in [&mut end, &mut other_end] {
        assert_eq!(end.read(&mut [0]).await.unwrap(), 0, "closed");
    }
}

#[tokio::test]
async fn the_freshest_that_is_quiet_is_taken() {
    let (pool, listener) = (Pool::default(), listener().await);
    let (mut ends, mut quiet) = (Vec::new(), Vec::new());
    for says in [Some(&b""[..]), Some(b""), Some(b"HTTP/1.1 408 Timeout\r\n\r\n"), None] {
        let (connection, mut end) = connect(&listener).await;
        match says {
            Some(b"") => quiet.push(address_of(&connection)),
            Some(words) => end.write_all(words).await.unwrap(),
            None => end.shutdown().await.unwrap(),
        }
        if says != Some(b"") {
            connection.stream().socket().unwrap().readable().await.unwrap();
        }
        pool.keep(connection);
        ends.push(end);
    }
    for address in quiet.into_iter().rev() {
        assert_eq!(pool.take().as_ref().map(address_of), Some(address));
    }
    assert!(pool.take().is_none());
}

#[tokio::test]
async fn no_more_than_256_are_kept() {
    let (pool, listener) = (Pool::default(), listener().await);
    let mut ends = Vec::new();
    for _ in 0..=256 {
        let (connection, end) = connect(&listener).await;
        pool.keep(connection);
        ends.push(end);
    }
    let kept: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!(kept.len(), 256);
}
