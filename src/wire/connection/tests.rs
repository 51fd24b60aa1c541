use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

const STALL: Duration = Duration::from_secs(30);

/// A connection and the peer's end of it, with so many bytes of room on the way.
fn pair(room: usize) -> (Connection<DuplexStream>, DuplexStream) {
    let (here, there) = duplex(room);
    (Connection::new(here), there)
}

#[tokio::test]
async fn what_comes_is_appended_until_the_end() {
    let (mut conn, mut peer) = pair(1024);
    peer.write_all(b"one").await.unwrap();
    assert_eq!(conn.fill().await.unwrap(), 3);
    peer.write_all(b"two").await.unwrap();
    drop(peer);
    assert_eq!(conn.fill().await.unwrap(), 3);
    assert_eq!(conn.fill().await.unwrap(), 0);
    assert_eq!(*conn.buffer(), b"onetwo"[..]);
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let (mut conn, mut peer) = pair(1 << 20);
    peer.write_all(&[b'x'; 100_000]).await.unwrap();
    while conn.buffer().len() < 100_000 {
        conn.fill().await.unwrap();
    }
    conn.buffer().clear();
    assert!(timeout(Duration::ZERO, conn.fill()).await.is_err());
    assert_eq!(conn.buffer().capacity(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_byte_is_given_up() {
    let (mut conn, mut peer) = pair(4);
    let start = tokio::time::Instant::now();
    let fault = conn.write_all(b"too long", STALL).await.unwrap_err();
    assert_eq!((fault.kind(), start.elapsed().as_secs()), (ErrorKind::TimedOut, 30));

    let mut taken = [0; 4];
    peer.read_exact(&mut taken).await.unwrap();
    assert_eq!(&taken, b"too ");
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_that_takes_bytes_is_waited_for() {
    let (mut conn, mut peer) = pair(1);
    let reader = tokio::spawn(async move {
        let mut taken = Vec::new();
        for _ in 0..5 {
            tokio::time::advance(STALL / 2).await;
            taken.push(peer.read_u8().await.unwrap());
        }
        taken
    });
    conn.write_all(b"event", STALL).await.unwrap();
    assert_eq!(reader.await.unwrap(), b"event");
}

#[tokio::test]
async fn parts_arrive_in_order_however_little_is_taken_at_a_time() {
    let parts: [&[u8]; 5] = [b"", b"head\r\n\r\n", b"", b"body", b""];
    for room in [1, 3, 1024] {
        let (mut conn, mut peer) = pair(room);
        assert!(conn.stream().is_write_vectored());
        let reader = tokio::spawn(async move {
            let mut taken = Vec::new();
            peer.read_to_end(&mut taken).await.unwrap();
            taken
        });
        let written = conn.write_until_heard(&mut parts.map(IoSlice::new), STALL, |_| true).await;
        assert_eq!(written.unwrap(), Written::Whole);
        conn.finish(STALL).await.unwrap();
        assert_eq!(reader.await.unwrap(), b"head\r\n\r\nbody");
    }
}

/// A transport that takes one slice at a time, and tells how often it was written to.
struct Plain {
    written: Vec<u8>,
    writes: usize,
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        self.writes += 1;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn parts_are_written_one_by_one_where_a_transport_takes_one_slice() {
    let mut conn = Connection::new(Plain { written: Vec::new(), writes: 0 });
    let parts: [&[u8]; 4] = [b"head", b"", b"body", b""];
    let written = conn.write_until_heard(&mut parts.map(IoSlice::new), STALL, |_| true).await;
    assert_eq!(written.unwrap(), Written::Whole);
    assert_eq!((&conn.stream().written[..], conn.stream().writes), (&b"headbody"[..], 2));
}

#[tokio::test(start_paused = true)]
async fn lingering_ends_with_the_client_with_the_bytes_or_with_the_second() {
    let (mut conn, mut peer) = pair(1 << 20);
    peer.write_all(&[0; 1000]).await.unwrap();
    let start = tokio::time::Instant::now();
    conn.linger().await;
    assert_eq!(start.elapsed(), LINGER_TIME, "a client that stays silent");
    assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0, "it was told the end");

    let (mut conn, mut peer) = pair(1 << 20);
    peer.write_all(&[0; 2 * LINGER_BYTES]).await.unwrap();
    let start = tokio::time::Instant::now();
    conn.linger().await;
    assert_eq!(start.elapsed(), Duration::ZERO, "a client that sends on");

    let (mut conn, peer) = pair(1024);
    drop(peer);
    conn.linger().await;
    assert_eq!(start.elapsed(), Duration::ZERO, "a client that left");
}
