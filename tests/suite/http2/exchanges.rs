//! One request and its answer: the same as in HTTP/1.1, in other clothes.

use super::{
    boot, call,
    frames::{self, head},
    friendly::Friendly,
    request, rows,
};
use crate::harness::{Call, Gateway, Heard, Key, Setup, Upstream, call_with_id, tool_call};

#[tokio::test]
async fn a_call_becomes_the_request_that_http_1_would_have_been() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(call(1, &key)).await;
    let seen = upstream.answer("{\"result\":1}").await;
    assert_eq!((seen.method.as_str(), seen.text()), ("POST", rows::PING));
    assert_eq!(seen.target, format!("/mcp/{}", key.text()));
    assert_eq!(seen.field("content-type"), Some("application/json"));
    assert_eq!(seen.field("content-length"), Some("40"));
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.field("x-forwarded-host"), Some("gateway.test"));
    assert!(seen.fields.iter().all(|(name, _)| !name.starts_with(':')), "{seen:?}");
    let answer = http2.answer(1).await;
    assert_eq!((answer.status, answer.text()), (200, "{\"result\":1}"));
    let line = gateway.logged("the call", |line| line["status"] == 200).await;
    assert_eq!(line["path"], "/api/mcp/{key}");
    upstream.saw_nothing(&gateway).await;
}

/// RFC 9113 8.2.2 forbids them, and clients treat them as malformed.
#[tokio::test]
async fn fields_of_a_connection_end_here_in_both_directions() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(request(1, &rows::post(&[("te", "trailers")]), Some(rows::PING), &key)).await;
    let mut request = upstream.next().await;
    for name in ["te", "connection", "keep-alive", "transfer-encoding", "upgrade"] {
        assert_eq!(request.field(name), None);
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: x-hop\r\n\
                x-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\
                transfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n";
    request.raw(format!("{head}2\r\n{{}}\r\n0\r\nx-late: 1\r\n\r\n")).await;
    let answer = http2.answer(1).await;
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    for (name, _) in &answer.fields {
        let hop = ["connection", "x-hop", "keep-alive", "proxy-connection", "transfer-encoding"];
        assert!(!hop.contains(&name.as_str()), "{name} in {answer:?}");
    }
}

/// curl takes a reset, even one without an error, for the end of an answer that it hasn't read yet.
#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_reads_why_undisturbed() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("unknown_keys = \"refuse\"").tls().start();
    let mut http2 = gateway.http2().await;
    let block =
        frames::block(&rows::with_key(&rows::post(&[("content-length", "40")]), Key::new().text()));
    http2.send(head(1, false, &block)).await;
    assert_eq!(http2.answer(1).await.status, 401);
    http2
        .send(
            [frames::data(1, true, rows::PING.as_bytes()), frames::frame(6, 0, 0, &[0; 8])]
                .concat(),
        )
        .await;
    assert!(matches!(http2.next(1).await, Heard::Pong), "no reset before it");
}

#[tokio::test]
async fn a_host_that_agrees_is_no_second_one() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let mut alone = rows::get(&[("host", "gateway.test")]);
    alone.retain(|(name, _)| name != b":authority");
    for (stream, fields) in [
        (1, rows::get(&[("host", "gateway.test")])),
        (3, rows::get(&[("host", "Gateway.Test")])),
        (5, alone),
    ] {
        http2.send(request(stream, &fields, None, &key)).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-forwarded-host"), Some("gateway.test"));
        assert_eq!(http2.answer(stream).await.status, 200);
    }
}

#[tokio::test]
async fn a_body_in_any_parts_with_a_length_or_without_is_one_body() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let body = tool_call(1);
    let length = body.len().to_string();
    let padded = |bytes: &[u8], last: bool| {
        let payload = [&[3], bytes, &[0; 3]].concat();
        frames::frame(frames::DATA, if last { 0x9 } else { 0x8 }, 0, &payload)
    };
    let mut stream = 1;
    for more in [&[][..], &[("content-length", length.as_str())]] {
        for parts in [1, 7, body.len()] {
            for pads in [false, true] {
                let fields = frames::block(&rows::with_key(&rows::post(more), key.text()));
                let mut bytes = head(stream, false, &fields);
                let size = body.len().div_ceil(parts);
                let mut rest = body.as_bytes().chunks(size).peekable();
                while let Some(part) = rest.next() {
                    let last = rest.peek().is_none();
                    let mut frame =
                        if pads { padded(part, last) } else { frames::data(stream, last, part) };
                    frame[5..9].copy_from_slice(&stream.to_be_bytes());
                    bytes.extend(frame);
                }
                http2.send(bytes).await;
                assert_eq!(upstream.answer("{}").await.text(), body);
                assert_eq!(http2.answer(stream).await.status, 200);
                stream += 2;
            }
        }
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn the_body_of_a_get_ends_here() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let inner = format!("GET /api/mcp/{} HTTP/1.1\r\nHost: a\r\n\r\n", key.text());
    http2.send(request(1, &rows::get(&[]), Some(&inner), &key)).await;
    let seen = upstream.answer("{}").await;
    assert_eq!((seen.text(), seen.field("content-length")), ("", None));
    assert_eq!(seen.field("transfer-encoding"), None);
    assert_eq!(http2.answer(1).await.status, 200);
    upstream.saw_nothing(&gateway).await;
}

/// More than a window: the gateway has to make room while it reads.
#[tokio::test]
async fn a_body_larger_than_a_window_passes_and_one_too_large_is_refused() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().route("max_body = \"600KiB\"").start();
    let mut upstream = upstream;
    let key = Key::new();
    for (size, passes) in [(500 * 1024, true), (700 * 1024, false)] {
        let note = "x".repeat(size);
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"n":"{note}"}}}}"#);
        let answer = friendly_post(&gateway, &key, body.clone());
        if passes {
            let seen = upstream.answer("{}");
            let (answer, seen) = tokio::join!(answer, seen);
            assert_eq!((answer, seen.text() == body), (200, true));
        } else {
            assert_eq!(answer.await, 413);
            upstream.saw_nothing(&gateway).await;
        }
    }
}

/// The status of a POST by a client that minds the windows.
async fn friendly_post(gateway: &Gateway, key: &Key, body: String) -> u16 {
    let client = Friendly::connect(gateway).await;
    let status = client.post(key, body).await.status().as_u16();
    client.leave().await;
    status
}

#[tokio::test]
async fn an_expectation_of_100_is_met_here_and_not_passed_on() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let fields = rows::post(&[("expect", "100-continue"), ("content-length", "40")]);
    http2.send(head(1, false, &frames::block(&rows::with_key(&fields, key.text())))).await;
    let Heard::Head { fields, ended: false } = http2.next(1).await else { panic!("no 100") };
    assert_eq!(fields[0].1, "100");
    http2.send(frames::data(1, true, rows::PING.as_bytes())).await;
    assert_eq!(upstream.answer("{}").await.field("expect"), None);
    assert_eq!(http2.answer(1).await.status, 200);
}

#[tokio::test]
async fn what_is_refused_is_refused_as_in_http_1_and_the_connection_lives() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let at = |path: &str| {
        let mut fields = rows::post(&[]);
        path.as_bytes().clone_into(&mut fields[3].1);
        fields
    };
    let typed = {
        let mut fields = rows::post(&[]);
        fields[4].1 = b"text/xml".to_vec();
        fields
    };
    let other = call_with_id(7, "ping");
    let cases = [
        (at("/nowhere"), rows::PING, 404, "no_route"),
        (at("/api/mcp"), rows::PING, 401, "unauthorized"),
        (at("/api/a/../mcp/KEY"), rows::PING, 400, "malformed"),
        (at("/api/mcp/%2e%2e/KEY"), rows::PING, 400, "malformed"),
        (at("//api/mcp/KEY"), rows::PING, 400, "malformed"),
        (typed, "<xml/>", 415, "media_type"),
        (rows::post(&[]), "nope", 400, "not_json"),
        (rows::post(&[("expect", "x")]), &other, 417, "expectation"),
        (rows::post(&[("authorization", "Bearer other")]), &other, 400, "credential_ambiguous"),
        (rows::post(&[("origin", "https://evil.test")]), &other, 403, "origin"),
    ];
    for (stream, (fields, body, status, reason)) in (0..).map(|n| 2 * n + 1).zip(cases) {
        http2.send(request(stream, &fields, Some(body), &key)).await;
        let answer = http2.answer(stream).await;
        answer.refused(status, reason);
        assert!(!answer.closes(), "{answer:?}");
    }
    http2.send(call(99, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(99).await.status, 200);
    upstream.saw_nothing(&gateway).await;
}

/// An answer may come before the body has; the client then need not send the rest
/// (RFC 9113 8.1).
#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body_and_no_part_of_it_is_a_request() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let mut fields = rows::with_key(&rows::post(&[]), key.text());
    fields[3].1 = b"/nowhere".to_vec();
    http2.send(head(1, false, &frames::block(&fields))).await;
    http2.answer(1).await.refused(404, "no_route");
    let inner = Call::post(&format!("/api/mcp/{}", key.text()), rows::PING).bytes();
    http2.send(frames::data(1, true, &inner)).await;
    http2.send(call(3, &key)).await;
    assert_eq!(upstream.answer("{}").await.text(), rows::PING);
    assert_eq!(http2.answer(3).await.status, 200);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn http_2_is_chosen_where_it_is_offered_and_nowhere_else() {
    let (mut upstream, gateway, key) = boot("").await;
    gateway.tls_transport(&[b"h2", b"http/1.1"]).await;
    let asked = Call::post(&format!("/api/mcp/{}", key.text()), &tool_call(1));
    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let mut client = gateway.tls_client_for(protocols).await;
        client.send(&asked).await;
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200);
    }
    let mut clear = gateway.client().await;
    clear.raw([frames::PREFACE, &frames::settings(&[])].concat()).await;
    let answer = clear.answer().await;
    assert!(matches!(answer.status, 400 | 505) && answer.closes(), "{answer:?}");
    upstream.saw_nothing(&gateway).await;
}
