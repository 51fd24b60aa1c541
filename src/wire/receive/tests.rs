use std::io::ErrorKind;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::types::{Limit, Malformation};

const LIMITS: HeadLimits = HeadLimits { target: 8 * 1024, head: 16 * 1024, fields: 64 };
const TIMEOUTS: HeadTimeouts =
    HeadTimeouts::Next { idle: Duration::from_secs(60), head: Duration::from_secs(10) };
const BODY: Duration = Duration::from_secs(15);
const MAX: usize = 1 << 20;

fn pair() -> (Connection<DuplexStream>, DuplexStream) {
    let (here, there) = duplex(1 << 20);
    (Connection::new(here), there)
}

async fn next(conn: &mut Connection<DuplexStream>) -> NextHead {
    next_request_head(conn, LIMITS, TIMEOUTS).await.unwrap()
}

async fn read(
    conn: &mut Connection<DuplexStream>,
    framing: Framing,
) -> io::Result<Result<Bytes, Denial>> {
    read_body(&mut Client::Http1(conn), framing, MAX, BODY, |_| Ok(())).await
}

#[tokio::test(start_paused = true)]
async fn requests_follow_one_another_until_the_client_ends() {
    let (mut conn, mut peer) = pair();
    let raw = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    peer.write_all(raw).await.unwrap();
    for target in ["/1", "/2"] {
        let NextHead::Request(head) = next(&mut conn).await else { panic!("no request") };
        assert_eq!(head.target(), target);
    }
    drop(peer);
    assert!(matches!(next(&mut conn).await, NextHead::Closed));
}

#[tokio::test(start_paused = true)]
async fn silence_is_an_end_and_half_a_head_is_a_timeout() {
    for (raw, seconds, refused) in [
        (&b""[..], 60, false),
        (b"\r\n", 60, false),
        (b"G", 10, true),
        (b"GET / HTTP/1.1\r\n", 10, true),
    ] {
        let (mut conn, mut peer) = pair();
        peer.write_all(raw).await.unwrap();
        let start = Instant::now();
        let came = next(&mut conn).await;
        assert_eq!(start.elapsed().as_secs(), seconds, "{}", raw.escape_ascii());
        assert_eq!(matches!(came, NextHead::Refused(Denial::Timeout(_))), refused);
        assert_eq!(matches!(came, NextHead::Silent(Limit::Idle)), !refused);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_has_one_deadline() {
    let (mut conn, mut peer) = pair();
    let start = Instant::now();
    let client = tokio::spawn(async move {
        while peer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    });
    assert!(matches!(next(&mut conn).await, NextHead::Refused(Denial::Timeout(_))));
    assert_eq!(start.elapsed().as_secs(), 10);
    drop(conn);
    client.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_all_its_time_and_the_first_one_that_of_the_connection() {
    let (head, wait) = (Duration::from_secs(10), Duration::from_secs(9));
    for (timeouts, until) in [
        (HeadTimeouts::Next { idle: Duration::from_secs(60), head }, wait + head),
        (HeadTimeouts::Next { idle: head, head }, wait + head),
        (HeadTimeouts::First { head }, head),
    ] {
        let (mut conn, mut peer) = pair();
        let start = Instant::now();
        let client = async {
            tokio::time::sleep(wait).await;
            peer.write_all(b"GET / HT").await.unwrap();
        };
        let (came, ()) = tokio::join!(next_request_head(&mut conn, LIMITS, timeouts), client);
        assert!(matches!(came.unwrap(), NextHead::Refused(Denial::Timeout(_))));
        assert_eq!(start.elapsed().as_secs(), until.as_secs(), "{timeouts:?}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_half_a_head_at_the_end_is_nobody() {
    let (mut conn, mut peer) = pair();
    peer.write_all(b"\x16\x03\x01").await.unwrap();
    let refused = Denial::Malformed(Malformation::RequestLine);
    assert!(matches!(next(&mut conn).await, NextHead::Refused(denial) if denial == refused));

    let (mut conn, mut peer) = pair();
    peer.write_all(b"GET / HT").await.unwrap();
    drop(peer);
    assert!(matches!(next(&mut conn).await, NextHead::Closed));
}

#[tokio::test]
async fn a_body_is_whole_and_what_follows_stays() {
    for (framing, raw) in [
        (Framing::None, &b"next"[..]),
        (Framing::Length(5), b"hellonext"),
        (Framing::Chunked, b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\na: b\r\n\r\nnext"),
    ] {
        let (mut conn, mut peer) = pair();
        peer.write_all(raw).await.unwrap();
        let body = read(&mut conn, framing).await.unwrap().unwrap();
        assert_eq!(body, if framing == Framing::None { b"" } else { &b"hello"[..] });
        if conn.buffer().is_empty() {
            conn.fill().await.unwrap();
        }
        assert_eq!(*conn.buffer(), b"next"[..]);
    }
}

#[tokio::test]
async fn a_large_body_is_gathered_and_its_growth_is_told() {
    let (mut conn, mut peer) = pair();
    let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    peer.write_all(&sent).await.unwrap();
    let mut reserved = 0;
    let mut client = Client::Http1(&mut conn);
    let body = read_body(&mut client, Framing::Length(300_000), MAX, BODY, |count| {
        reserved += count;
        Ok(())
    });
    assert_eq!(body.await.unwrap().unwrap(), sent);
    assert_eq!(reserved, sent.len());
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_it_is_read() {
    let (mut conn, _peer) = pair();
    for length in [(1 << 20) + 1, u64::MAX] {
        let refused = read(&mut conn, Framing::Length(length)).await.unwrap();
        assert_eq!(refused, Err(Denial::BodyTooLarge));
    }
    let (mut conn, mut peer) = pair();
    peer.write_all(b"4\r\nabcd\r\n2\r\nef\r\n").await.unwrap();
    let refused = read_body(&mut Client::Http1(&mut conn), Framing::Chunked, 5, BODY, |_| Ok(()))
        .await
        .unwrap();
    assert_eq!(refused, Err(Denial::BodyTooLarge));
}

#[tokio::test]
async fn no_room_no_chunk_and_no_end_are_told_apart() {
    let (mut conn, mut peer) = pair();
    peer.write_all(b"abc").await.unwrap();
    let full = |_| Err(Denial::Overload(Limit::Bodies));
    let refused = read_body(&mut Client::Http1(&mut conn), Framing::Length(3), MAX, BODY, full)
        .await
        .unwrap();
    assert_eq!(refused, Err(Denial::Overload(Limit::Bodies)));

    let (mut conn, mut peer) = pair();
    peer.write_all(b"x\r\n").await.unwrap();
    let refused = read(&mut conn, Framing::Chunked).await.unwrap();
    assert_eq!(refused, Err(Denial::Malformed(Malformation::Chunk)));

    let (mut conn, mut peer) = pair();
    peer.write_all(b"ab").await.unwrap();
    drop(peer);
    let fault = read(&mut conn, Framing::Length(3)).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_a_timeout() {
    let (mut conn, _peer) = pair();
    let start = Instant::now();
    assert_eq!(
        read(&mut conn, Framing::Length(5)).await.unwrap(),
        Err(Denial::Timeout(Limit::BodyTime))
    );
    assert_eq!(start.elapsed(), BODY, "row 107");
}

#[tokio::test(start_paused = true)]
async fn a_body_has_a_second_more_for_every_8_kib() {
    // 4 KiB a second are too slow: after 30 s the client has earned no more than it used.
    for (per_second, fits) in [(4 * 1024, false), (8 * 1024, true)] {
        let (mut conn, mut peer) = pair();
        let start = Instant::now();
        let client = tokio::spawn(async move {
            for _ in 0..(512 * 1024 / per_second) {
                if peer.write_all(&vec![b'x'; per_second]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let came = read(&mut conn, Framing::Length(512 * 1024)).await.unwrap();
        assert_eq!(came.is_ok(), fits, "{per_second}");
        assert_eq!(start.elapsed().as_secs(), if fits { 63 } else { 30 });
        drop(conn);
        client.await.unwrap();
    }
}
