//! Answers that stay open: nothing of them is held, and who leaves is gone on the other side too.

use crate::harness::{Call, Client, Key, Setup, Upstream, call_with_id, tool_call};

fn post(key: &Key) -> Call {
    Call::post(&format!("/api/mcp/{}", key.text()), &tool_call(1))
}

#[tokio::test]
async fn the_head_of_a_stream_comes_before_any_byte_of_its_body() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    assert_eq!(stream.head.field("transfer-encoding"), Some("chunked"));
    assert_eq!(stream.head.field("content-type"), Some("text/event-stream"));
    from_upstream.finish().await;
    assert_eq!(stream.next_event().await, None);
    assert!(stream.ended_whole());
}

#[tokio::test]
async fn half_an_event_goes_on_as_it_comes() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    for call in [post(&Key::new()), Call::get(&format!("/api/mcp/{}", Key::new().text()))] {
        let mut client = gateway.client().await;
        client.send(&call).await;
        let mut from_upstream = upstream.next().await.stream(&[]).await;
        let mut stream = client.stream().await;
        from_upstream.send("data: 1\n\n").await;
        assert_eq!(stream.next_bytes().await.unwrap(), b"data: 1\n\n");
        for part in ["da", "ta: ha", "lf\n", "\n"] {
            from_upstream.send(part).await;
            assert_eq!(stream.next_bytes().await.unwrap(), part.as_bytes());
        }
        from_upstream.finish().await;
        assert_eq!(stream.next_bytes().await, None);
        assert!(stream.ended_whole());
    }
}

#[tokio::test]
async fn a_stream_tells_the_proxies_behind_us_not_to_hold_it() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let from_upstream = upstream.next().await.stream(&[]).await;
    let stream = client.stream().await;
    assert_eq!(stream.head.field("x-accel-buffering"), Some("no"));
    assert_eq!(stream.head.field("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(stream.head.field("content-encoding"), None);
    from_upstream.finish().await;
}

#[tokio::test]
async fn a_silent_stream_gets_comments_between_events_and_never_inside_one() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nkeep_alive_comment = \"20ms\"";
    let gateway = Setup::new(&upstream).also(timeouts).start();
    let mut first = gateway.client().await;
    first.send(&post(&Key::new())).await;
    let mut stalling = upstream.next().await.stream(&[]).await;
    let mut torn = first.stream().await;
    assert_eq!(torn.next_comment().await.as_deref(), Some("keep-alive"));
    stalling.send("data: ha").await;
    // A comment may have been under way; behind the half event there is none.
    while torn.next_bytes().await.unwrap() != b"data: ha" {}
    let mut second = gateway.client().await;
    second.send(&post(&Key::new())).await;
    let quiet = upstream.next().await.stream(&[]).await;
    let mut clock = second.stream().await;
    for _ in 0..3 {
        assert!(clock.next_comment().await.is_some());
    }
    stalling.send("lf\n\n").await;
    assert_eq!(torn.next_bytes().await.unwrap(), b"lf\n\n");
    assert_eq!(torn.next_comment().await.as_deref(), Some("keep-alive"));
    stalling.finish().await;
    quiet.finish().await;
}

#[tokio::test]
async fn a_comment_never_falls_into_an_endpoint_event_that_is_held() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nkeep_alive_comment = \"20ms\"";
    let gateway = Setup::new(&upstream).also(timeouts).start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&Call::get(&format!("/api/sse/{}", key.text()))).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut held = client.stream().await;
    from_upstream.send(format!("event: endpoint\ndata: /message/{}", key.text())).await;
    let mut second = gateway.client().await;
    second.send(&post(&Key::new())).await;
    let quiet = upstream.next().await.stream(&[]).await;
    let mut clock = second.stream().await;
    for _ in 0..3 {
        assert!(clock.next_comment().await.is_some());
    }
    from_upstream.send("?sessionId=1\n\n").await;
    let endpoint = held.next_event().await.unwrap();
    assert_eq!(endpoint.name, "endpoint");
    assert!(endpoint.data.starts_with(&format!("/api/message/{}?sessionId=", key.text())));
    from_upstream.finish().await;
    quiet.finish().await;
}

#[tokio::test]
async fn a_stream_may_be_silent_for_longer_than_the_first_byte_may_take() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nupstream_first_byte = \"50ms\"\nkeep_alive_comment = \"120ms\"";
    let gateway = Setup::new(&upstream).also(timeouts).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    assert!(stream.next_comment().await.is_some());
    from_upstream.event("message", "{}").await;
    assert_eq!(stream.next_event().await.unwrap().data, "{}");
    from_upstream.finish().await;
}

#[tokio::test]
async fn an_event_stream_of_known_length_may_still_be_spoken_into() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nkeep_alive_comment = \"20ms\"";
    let gateway = Setup::new(&upstream).also(timeouts).start();
    let key = Key::new();
    let event = format!("event: endpoint\ndata: /message/{}\n\n", key.text());
    let mut client = gateway.client().await;
    client.send(&Call::get(&format!("/api/sse/{}", key.text()))).await;
    let mut request = upstream.next().await;
    let length = event.len() + 9;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n"
    );
    request.raw(head).await;
    let mut stream = client.stream().await;
    assert!(stream.next_comment().await.is_some());
    request.raw(event).await;
    let endpoint = stream.next_event().await.unwrap();
    assert!(endpoint.data.starts_with(&format!("/api/message/{}?portcullis=", key.text())));
    request.raw("data: 1\n\n").await;
    assert_eq!(stream.next_event().await.unwrap().data, "1");
    assert_eq!(stream.next_event().await, None);
    assert!(stream.ended_whole());
    request.keep();
}

#[tokio::test]
async fn an_answer_of_known_length_goes_on_with_its_length() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    for body in ["", "{}", &"x".repeat(100_000)] {
        client.send(&post(&Key::new())).await;
        upstream.answer(body).await;
        let answer = client.answer().await;
        assert_eq!(answer.field("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(answer.text(), body);
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_goes_on_in_chunks() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut request = upstream.next().await;
    request.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}").await;
    request.hang_up();
    let answer = client.answer().await;
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.text(), "{}");
    client.send(&post(&Key::new())).await;
    assert_eq!(upstream.answer("{}").await.connection, 1, "the first connection has ended");
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn an_old_client_reads_a_stream_until_its_connection_closes() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    let target = format!("/api/mcp/{}", Key::new().text());
    client.raw(format!("GET {target} HTTP/1.0\r\nhost: gateway.test\r\n\r\n")).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    assert_eq!(stream.head.field("transfer-encoding"), None);
    assert_eq!(stream.head.field("connection"), Some("close"));
    from_upstream.event("message", "{}").await;
    assert_eq!(stream.next_event().await.unwrap().data, "{}");
    from_upstream.finish().await;
    assert_eq!(stream.next_event().await, None);
}

#[tokio::test]
async fn a_body_that_the_upstream_cuts_ends_without_an_end() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let target = format!("/api/mcp/{}", key.text());
    for reset in [false, true] {
        let mut client = gateway.client().await;
        client.send(&Call::get(&target)).await;
        let mut from_upstream = upstream.next().await.stream(&[]).await;
        let mut stream = client.stream().await;
        from_upstream.event("message", "{}").await;
        assert!(stream.next_event().await.is_some());
        if reset {
            from_upstream.reset()
        } else {
            from_upstream.hang_up()
        }
        assert_eq!(stream.next_event().await, None);
        assert!(!stream.ended_whole(), "a cut stream passed for a whole one");
    }
    let mut client = gateway.client().await;
    client.send(&post(&key)).await;
    let mut request = upstream.next().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    request.raw(head).await;
    request.hang_up();
    let received = String::from_utf8(client.rest().await).unwrap();
    assert!(received.contains("content-length: 9\r\n") && received.ends_with("\r\n\r\n{"));
    gateway.metric_becomes("portcullis_refusals_total", &["reason=\"upstream_gone\""], 3.0).await;
}

#[tokio::test]
async fn an_old_client_does_not_take_a_cut_body_for_a_whole_one() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    let target = format!("/api/mcp/{}", Key::new().text());
    client.raw(format!("GET {target} HTTP/1.0\r\nhost: gateway.test\r\n\r\n")).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("message", "{}").await;
    assert!(stream.next_event().await.is_some());
    from_upstream.hang_up();
    assert!(stream.into_client().is_reset().await, "it ended as a whole body does");
}

#[tokio::test]
async fn a_body_that_falls_silent_is_cut() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nupstream_first_byte = \"100ms\"";
    let gateway = Setup::new(&upstream).also(timeouts).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut request = upstream.next().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    request.raw(head).await;
    assert!(client.rest().await.ends_with(b"\r\n\r\n{"));
    request.is_abandoned().await;
}

#[tokio::test]
async fn a_call_whose_stream_the_upstream_cuts_gets_an_error_for_its_id() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&Call::post(&format!("/api/mcp/{}", Key::new().text()), &tool_call(77))).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("message", r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#).await;
    assert!(stream.next_event().await.is_some());
    from_upstream.hang_up();
    let event = stream.next_event().await.expect("an error event");
    let error: serde_json::Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!((&error["id"], &error["jsonrpc"]), (&77.into(), &"2.0".into()));
    assert_eq!(error["error"]["data"]["reason"], "upstream_gone");
    assert_eq!(stream.next_event().await, None);
    assert!(stream.ended_whole());
}

#[tokio::test]
async fn a_cut_stream_that_can_be_resumed_gets_no_error() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.send("id: 7\ndata: {}\n\n").await;
    assert_eq!(stream.next_event().await.unwrap().id.as_deref(), Some("7"));
    from_upstream.hang_up();
    assert_eq!(stream.next_event().await, None, "the client would not resume");
    assert!(!stream.ended_whole());
}

#[tokio::test]
async fn a_stream_that_is_cut_inside_an_event_gets_no_error_into_it() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.send("data: {").await;
    assert_eq!(stream.next_bytes().await.unwrap(), b"data: {");
    from_upstream.hang_up();
    assert_eq!(stream.next_bytes().await, None);
    assert!(!stream.ended_whole());
}

#[tokio::test]
async fn a_client_that_leaves_is_gone_upstream_at_once() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().start();
    let target = format!("/api/mcp/{}", Key::new().text());
    for call in [Call::get(&target), Call::post(&target, &call_with_id(1, "ping"))] {
        for tls in [false, true] {
            let connect = async || -> Client {
                if tls { gateway.tls_client().await } else { gateway.client().await }
            };
            let mut client = connect().await;
            client.send(&call).await;
            let mut waiting = upstream.next().await;
            drop(client);
            waiting.is_abandoned().await;

            let mut client = connect().await;
            client.send(&call).await;
            let mut streaming = upstream.next().await.stream(&[]).await;
            let stream = client.stream().await;
            drop(stream);
            streaming.is_abandoned().await;
        }
    }
    let gone = |line: &serde_json::Value| line["outcome"] == "client_gone";
    gateway.logged("a client that left", gone).await;
}

#[tokio::test]
async fn a_client_that_sends_too_much_ahead_is_gone_and_its_bytes_are_not_held() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let ahead = vec![b'x'; 64 * 1024];
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut waiting = upstream.next().await;
    client.raw(&ahead).await;
    waiting.is_abandoned().await;

    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut streaming = upstream.next().await.stream(&[]).await;
    client.raw(&ahead).await;
    streaming.is_abandoned().await;

    // A request that is waited with is no such thing.
    let mut client = gateway.client().await;
    client.raw([post(&Key::new()).bytes(), post(&Key::new()).bytes()].concat()).await;
    for _ in 0..2 {
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.text(), "{}");
    }
}

#[tokio::test]
async fn a_connection_whose_stream_was_left_carries_no_other_request() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&post(&key)).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    drop(client.stream().await);
    // Nobody is connected, so the next comes to the same worker and its pool.
    gateway.metric_becomes("portcullis_connections_open", &[], 0.0).await;
    let seen = gateway.pass(&mut upstream, &post(&key)).await;
    assert_eq!(seen.connection, 1);
    from_upstream.is_abandoned().await;
}

#[tokio::test]
async fn a_connection_whose_answer_was_left_carries_no_other_request() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&post(&key)).await;
    let mut waiting = upstream.next().await;
    drop(client);
    waiting.is_abandoned().await;
    waiting.respond(200, &[], "stale").await;
    let seen = gateway.pass(&mut upstream, &post(&key)).await;
    assert_eq!(seen.connection, 1);
}
