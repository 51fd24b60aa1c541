//! What costs the gateway more than the client. Each ends with `GOAWAY`, and what a friendly client
//! sends of the same passes.

use super::{
    ENHANCE_YOUR_CALM, Key, boot, call,
    frames::{self, END_HEADERS, END_STREAM, frame, head, reset, window_update},
    listen, rows,
};
use crate::harness::{Gateway, Heard, Http2, Upstream};

/// A frame that says nothing, and how often it may be said.
struct Talk {
    what: &'static str,
    frame: Vec<u8>,
    /// So many at once are friendly.
    few: usize,
    /// So many at once are not.
    many: usize,
}

fn talk(what: &'static str, frame: Vec<u8>, few: usize, many: usize) -> Talk {
    Talk { what, frame, few, many }
}

/// Each is said on a connection whose stream 1 is a POST under way.
fn talks() -> Vec<Talk> {
    vec![
        talk("PING", frame(frames::PING, 0, 0, &[0; 8]), 10, 50),
        talk("PING with ACK", frame(frames::PING, frames::ACK, 0, &[0; 8]), 10, 200),
        talk("SETTINGS", frames::settings(&[]), 4, 50),
        talk("SETTINGS with a window", frames::settings(&[(4, 65_535)]), 4, 50),
        talk("SETTINGS with ACK", frame(frames::SETTINGS, frames::ACK, 0, &[]), 0, 200),
        talk("empty DATA", frames::data(1, false, b""), 20, 300),
        talk("DATA that is all padding", frame(frames::DATA, 0x8, 1, &[3, 0, 0, 0]), 20, 30_000),
        talk("PRIORITY", frame(frames::PRIORITY, 0, 3, &[0, 0, 0, 0, 9]), 32, 500),
        talk("PRIORITY_UPDATE", frame(0x10, 0, 0, b"\0\0\0\x01u=1"), 20, 500),
        talk("WINDOW_UPDATE of the connection", window_update(0, 1), 100, 2000),
        talk("WINDOW_UPDATE of a stream", window_update(1, 1), 100, 2000),
        talk("a frame of no known kind", frame(0xbb, 0, 0, b"x"), 20, 500),
    ]
}

/// A connection whose stream 1 is a POST under way.
async fn posting(gateway: &Gateway, key: &Key) -> Http2 {
    let mut http2 = gateway.http2().await;
    let fields = frames::block(&rows::with_key(&rows::post(&[]), key.text()));
    http2.send(head(1, false, &fields)).await;
    http2
}

#[tokio::test]
async fn frames_that_say_nothing_are_bounded() {
    let (mut upstream, gateway, key) = boot("").await;
    for Talk { what, frame, many, .. } in talks() {
        let mut http2 = posting(&gateway, &key).await;
        http2.send(frame.repeat(many)).await;
        assert_ne!(sent_away(&mut http2).await, super::NO_ERROR, "{what}");
        http2.is_closed().await;
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn a_few_of_them_disturb_nobody() {
    let (mut upstream, gateway, key) = boot("").await;
    for Talk { frame, few, .. } in talks() {
        let mut http2 = posting(&gateway, &key).await;
        http2.send(frame.repeat(few)).await;
        http2.send(call(3, &key)).await;
        upstream.answer("{}").await;
        while !matches!(http2.next(3).await, Heard::Data { ended: true, .. }) {}
        http2.send(frames::data(1, true, rows::PING.as_bytes())).await;
        assert_eq!(upstream.answer("{}").await.text(), rows::PING);
    }
}

/// The code of the farewell, whatever else is said of the connection before.
async fn sent_away(http2: &mut Http2) -> u32 {
    loop {
        match http2.next(0).await {
            Heard::Farewell(code) => return code,
            Heard::Closed => panic!("the gateway closed without GOAWAY"),
            _ => {}
        }
    }
}

/// CVE-2023-44487: the requests of one write, each given up at once.
#[tokio::test]
async fn requests_that_are_given_up_at_once_end_the_connection() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    for n in 0..150 {
        let stream = 2 * n + 1;
        http2.send([listen(stream, &key), reset(stream, super::CANCEL)].concat()).await;
    }
    assert_eq!(sent_away(&mut http2).await, ENHANCE_YOUR_CALM);
    http2.is_closed().await;
    let reached = upstream.saw(&gateway).await.len();
    assert!(reached <= 100, "{reached} requests reached the upstream");
}

/// The same, slower: each is given up only once it has reached the upstream.
#[tokio::test]
async fn requests_that_are_given_up_unanswered_end_the_connection() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    for n in 0..300 {
        let stream = 2 * n + 1;
        http2.send(listen(stream, &key)).await;
        tokio::select! {
            biased;
            mut request = upstream.next() => {
                http2.send(reset(stream, super::CANCEL)).await;
                request.is_abandoned().await;
            }
            code = sent_away(&mut http2) => {
                assert_eq!(code, ENHANCE_YOUR_CALM);
                return;
            }
        }
    }
    assert_eq!(sent_away(&mut http2).await, ENHANCE_YOUR_CALM);
}

/// A client that closes some of its streams is a browser that navigates.
#[tokio::test]
async fn a_few_requests_may_be_given_up() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    for n in 0..20 {
        http2.send(listen(2 * n + 1, &key)).await;
        let mut request = upstream.next().await;
        http2.send(reset(2 * n + 1, super::CANCEL)).await;
        request.is_abandoned().await;
    }
    http2.send(call(41, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(41).await.status, 200);
}

/// CVE-2025-8671: frames that make the gateway reset a stream for which the upstream works.
#[tokio::test]
async fn a_client_that_provokes_resets_is_sent_away() {
    type Provoke = fn(u32) -> Vec<u8>;
    let provocations: [(&str, Provoke); 4] = [
        ("a window of zero", |stream| window_update(stream, 0)),
        ("a window that is too large", |stream| window_update(stream, (1 << 31) - 1)),
        ("DATA after its end", |stream| frames::data(stream, false, b"x")),
        ("a head after its end", |stream| head(stream, true, &frames::block(&rows::get(&[])))),
    ];
    for (what, provoke) in provocations {
        let (mut upstream, gateway, key) = boot("").await;
        let mut http2 = gateway.http2().await;
        let mut streams = (0..400).map(|n| 2 * n + 1);
        let code = loop {
            let stream = streams.next().unwrap_or_else(|| panic!("{what}: nothing ends it"));
            http2.send([listen(stream, &key), provoke(stream)].concat()).await;
            match http2.next(stream).await {
                Heard::Reset(_) => {}
                Heard::Farewell(code) => break code,
                heard => panic!("{what}: {heard:?}"),
            }
        };
        assert_ne!(code, super::NO_ERROR, "{what}");
        http2.is_closed().await;
        // Whatever reached the upstream was given up there.
        let lines = ["portcullis_streams_open", "portcullis_connections_open"];
        gateway.metric_becomes(lines[0], &[], 0.0).await;
        gateway.metric_becomes(lines[1], &["https"], 0.0).await;
        drain(&mut upstream, &gateway).await;
    }
}

/// Takes what reached the upstream, so that the marker comes last.
async fn drain(upstream: &mut Upstream, gateway: &Gateway) {
    let reached = upstream.saw(gateway).await.len();
    assert!(reached <= 400, "{reached} requests reached the upstream");
}

/// Malformed requests are resets too.
#[tokio::test]
async fn heads_of_nothing_end_the_connection() {
    let (mut upstream, gateway, _) = boot("").await;
    let mut http2 = gateway.http2().await;
    for n in 0..400 {
        http2.send(head(2 * n + 1, true, &[])).await;
    }
    assert_eq!(sent_away(&mut http2).await, ENHANCE_YOUR_CALM);
    http2.is_closed().await;
    upstream.saw_nothing(&gateway).await;
}

/// CVE-2024-27316.
#[tokio::test]
async fn a_head_in_too_many_parts_ends_the_connection() {
    let (mut upstream, gateway, key) = boot("").await;
    let block = frames::block(&rows::with_key(&rows::get(&[]), key.text()));
    let part = frames::block(&[(b"x".to_vec(), b"a".repeat(1500))]);
    for (parts, each) in [(25, b"".as_slice()), (25, b"\0\x01x\x01a"), (24, &part)] {
        let mut http2 = gateway.http2().await;
        let mut bytes = frame(frames::HEADERS, END_STREAM, 1, &block);
        bytes.extend(frame(frames::CONTINUATION, 0, 1, each).repeat(parts));
        http2.send(&bytes).await;
        assert_eq!(sent_away(&mut http2).await, ENHANCE_YOUR_CALM, "{parts} of {}", each.len());
        http2.is_closed().await;
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn a_head_in_a_few_parts_is_a_request() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let block = frames::block(&rows::with_key(&rows::post(&[]), key.text()));
    let mut parts = block.chunks(block.len() / 4 + 1).enumerate().peekable();
    while let Some((at, part)) = parts.next() {
        let kind = if at == 0 { frames::HEADERS } else { frames::CONTINUATION };
        let last = if parts.peek().is_none() { END_HEADERS } else { 0 };
        http2.send(frame(kind, last, 1, part)).await;
    }
    http2.send(frames::data(1, true, rows::PING.as_bytes())).await;
    assert_eq!(upstream.answer("{}").await.text(), rows::PING);
    assert_eq!(http2.answer(1).await.status, 200);
}
