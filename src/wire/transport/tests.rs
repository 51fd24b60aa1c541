use std::io::Write;

use tokio::net::TcpListener;

use super::*;

/// A connection and the peer's end of it.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (here, there) = tokio::join!(connect, listener.accept());
    (here.unwrap(), there.unwrap().0)
}

#[tokio::test]
async fn what_waits_in_the_socket_is_seen_before_the_reactor_turns() {
    let (here, there) = pair().await;
    let here = Transport::Plain(here);
    assert!(here.is_quiet());
    let mut there = there.into_std().unwrap();
    // Nothing is awaited from here on: whoever asks the reactor's memory sees no byte.
    there.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
    assert!(!here.is_quiet());
}

#[tokio::test]
async fn a_peer_that_hung_up_is_seen_before_the_reactor_turns() {
    let (here, there) = pair().await;
    drop(there.into_std().unwrap());
    assert!(!Transport::Plain(here).is_quiet());
}
