//! Streams over HTTP/2: never held, gone at once where the client is, ended well in a drain.

use std::time::Duration;

use super::{
    CANCEL, NO_ERROR, boot, call,
    frames::{self, frame, reset},
    listen,
};
use crate::harness::{Heard, Http2, Key, Setup, Streaming, Upstream};

/// Sends an event upstream, and holds it to arriving before anything else does.
async fn passes(from: &mut Streaming, http2: &mut Http2, stream: u32, data: &str) {
    from.event("message", data).await;
    let Heard::Data { bytes, ended: false } = http2.next_on(stream).await else {
        panic!("the stream ended")
    };
    assert_eq!(String::from_utf8(bytes).unwrap(), format!("event: message\ndata: {data}\n\n"));
}

#[tokio::test]
async fn each_event_arrives_as_it_is_sent_and_the_end_is_an_end() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(listen(1, &key)).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let (head, ended) = http2.head(1).await;
    assert_eq!((head.status, ended), (200, false));
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    for data in ["1", "2", "3"] {
        passes(&mut stream, &mut http2, 1, data).await;
    }
    stream.finish().await;
    assert_eq!(http2.next(1).await, Heard::Data { bytes: Vec::new(), ended: true });
}

#[tokio::test]
async fn streams_of_one_connection_do_not_wait_for_each_other() {
    let (mut upstream, gateway, _) = boot("").await;
    let mut http2 = gateway.http2().await;
    let mut streams = Vec::new();
    for stream in [1, 3, 5] {
        http2.send(listen(stream, &Key::new())).await;
        streams.push((stream, upstream.next().await.stream(&[]).await));
        assert_eq!(http2.head(stream).await.0.status, 200);
    }
    for round in ["1", "2"] {
        for (stream, from) in streams.iter_mut().rev() {
            passes(from, &mut http2, *stream, round).await;
        }
    }
    http2.send(call(7, &Key::new())).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(7).await.status, 200);
}

#[tokio::test]
async fn a_stream_that_is_cancelled_is_gone_upstream_and_the_others_stay() {
    let (mut upstream, gateway, _) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(listen(1, &Key::new())).await;
    let mut left = upstream.next().await.stream(&[]).await;
    http2.head(1).await;
    http2.send(listen(3, &Key::new())).await;
    let mut stays = upstream.next().await.stream(&[]).await;
    http2.head(3).await;
    http2.send(reset(1, CANCEL)).await;
    left.is_abandoned().await;
    gateway.metric_becomes("portcullis_streams_open", &[], 1.0).await;
    passes(&mut stays, &mut http2, 3, "1").await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_is_gone_upstream() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(call(1, &key)).await;
    let mut request = upstream.next().await;
    http2.send(reset(1, CANCEL)).await;
    request.is_abandoned().await;
    gateway.logged("its end", |line| line["outcome"] == "client_gone").await;
}

#[tokio::test]
async fn a_connection_that_is_dropped_takes_all_its_streams_along() {
    let (mut upstream, gateway, _) = boot("").await;
    let mut http2 = gateway.http2().await;
    let mut streams = Vec::new();
    for stream in [1, 3] {
        http2.send(listen(stream, &Key::new())).await;
        streams.push(upstream.next().await.stream(&[]).await);
        http2.head(stream).await;
    }
    drop(http2);
    for stream in &mut streams {
        stream.is_abandoned().await;
    }
    gateway.metric_becomes("portcullis_streams_open", &[], 0.0).await;
}

/// A stream that the upstream cut must not pass for whole.
#[tokio::test]
async fn a_stream_that_is_cut_upstream_is_reset_and_the_connection_lives() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(listen(1, &key)).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    http2.head(1).await;
    stream.event("message", "{}").await;
    stream.reset();
    loop {
        match http2.next(1).await {
            Heard::Data { ended: false, .. } => {}
            Heard::Reset(code) => break assert_ne!(code, NO_ERROR),
            heard => panic!("{heard:?}"),
        }
    }
    http2.send(call(3, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(3).await.status, 200);
}

#[tokio::test]
async fn a_stream_that_an_operator_ends_is_whole_and_the_connection_lives() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().operator().start();
    let (mut http2, key) = (gateway.http2().await, Key::new());
    http2.send(listen(1, &key)).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    http2.head(1).await;
    passes(&mut stream, &mut http2, 1, "1").await;
    assert_eq!(gateway.kill(&serde_json::json!({"all": true})), 1);
    let (mut said, mut over) = (Vec::new(), false);
    while !over {
        match http2.next(1).await {
            Heard::Data { bytes, ended } => {
                said.extend(bytes);
                over = ended;
            }
            heard => panic!("{heard:?}"),
        }
    }
    assert_eq!(String::from_utf8(said).unwrap(), ": ended: killed\n\n");
    stream.is_abandoned().await;
    http2.send(call(3, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(3).await.status, 200);
}

#[tokio::test]
async fn a_drain_says_goodbye_finishes_what_is_under_way_and_ends_streams_well() {
    let (mut upstream, mut gateway, key) = boot("[timeouts]\nshutdown = \"300ms\"").await;
    let mut http2 = gateway.http2().await;
    http2.send(listen(1, &key)).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    http2.head(1).await;
    http2.send(call(3, &key)).await;
    let request = upstream.next().await;
    let stopping = gateway.begin_to_stop();
    assert_eq!(http2.farewell().await, NO_ERROR);
    request.respond(200, &[], "{}").await;
    assert_eq!(http2.answer(3).await.status, 200);
    passes(&mut stream, &mut http2, 1, "during the grace").await;
    let Heard::Data { bytes, ended: true } = http2.next_on(1).await else { panic!("no end") };
    assert!(bytes.starts_with(b"retry: "), "{}", bytes.escape_ascii());
    http2.is_closed().await;
    let took = stopping.ended();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_connection_without_streams() {
    let (mut upstream, mut gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(call(1, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(1).await.status, 200);
    let stopping = gateway.begin_to_stop();
    assert_eq!(http2.farewell().await, NO_ERROR);
    http2.is_closed().await;
    assert!(stopping.ended() < Duration::from_secs(1));
}

/// A client that answers nothing is not waited for either.
#[tokio::test]
async fn a_drain_does_not_wait_for_a_client_that_says_nothing() {
    let (_upstream, mut gateway, _) = boot("[timeouts]\nshutdown = \"300ms\"").await;
    let mut http2 = gateway.http2().await;
    http2.send(frame(frames::PING, 0, 0, &[0; 8])).await;
    assert_eq!(http2.next(0).await, Heard::Pong);
    let stopping = gateway.begin_to_stop();
    assert!(stopping.ended() < Duration::from_secs(3));
}
