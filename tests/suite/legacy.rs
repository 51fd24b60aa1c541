//! The transport of 2024-11-05: an `endpoint` event that leads back through the gateway, and
//! refusals that are told on the stream, since a client reads nothing else.

use crate::harness::{
    Call, Event, EventStream, Gateway, Key, Setup, Streaming, Upstream, tool_call,
};

/// Opens a stream and lets the upstream announce an endpoint.
async fn announce(
    (gateway, upstream): (&Gateway, &mut Upstream),
    call: &Call,
    announced: &str,
) -> (EventStream, Streaming, Option<Event>) {
    let mut client = gateway.client().await;
    client.send(call).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("endpoint", announced).await;
    let event = stream.next_event().await;
    (stream, from_upstream, event)
}

/// The endpoint without its token, which has to be there, and with `*` for its session.
fn without_token(event: Option<Event>) -> String {
    let event = event.expect("an endpoint event");
    assert_eq!(event.name, "endpoint");
    let (before, token) = event.data.split_once("portcullis=").expect("a token");
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    let before = before.trim_end_matches(['?', '&']);
    match before.split_once("sessionId=") {
        // Sealed, so it never reads as the upstream's.
        Some((path, session)) if session.len() > 20 => format!("{path}sessionId=*"),
        _ => before.to_owned(),
    }
}

#[tokio::test]
async fn an_endpoint_leads_back_through_the_gateway() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let k = key.text();
    let (mcp, sse) = (format!("/api/mcp/{k}/sse"), format!("/api/sse/{k}"));
    for (stream, announced, public) in [
        (&mcp, format!("/mcp/{k}/messages"), format!("/api/mcp/{k}/messages")),
        (&mcp, format!("/mcp/{k}/messages?a=1"), format!("/api/mcp/{k}/messages?a=1")),
        (&mcp, format!("/mcp/{k}/messages/?a=1"), format!("/api/mcp/{k}/messages/?a=1")),
        (&mcp, format!("/api/mcp/{k}/messages"), format!("/api/mcp/{k}/messages")),
        (&mcp, format!("/elsewhere/{k}/messages"), format!("/api/mcp/{k}/messages")),
        (&sse, format!("/message/{k}?sessionId=7"), format!("/api/message/{k}?sessionId=*")),
        (
            &sse,
            format!("http://10.0.0.1:3000/message/{k}?sessionId=7"),
            format!("/api/message/{k}?sessionId=*"),
        ),
        (&sse, format!("https://evil.example/message/{k}"), format!("/api/message/{k}")),
        (&mcp, "/messages?sessionId=7".to_owned(), "/api/messages?sessionId=*".to_owned()),
        (&mcp, "/messages/?sessionId=7".to_owned(), "/api/messages/?sessionId=*".to_owned()),
    ] {
        let call = Call::get(stream);
        let (_, from_upstream, event) =
            announce((&gateway, &mut upstream), &call, &announced).await;
        assert_eq!(without_token(event), public, "{announced} on {stream}");
        from_upstream.finish().await;
    }
}

#[tokio::test]
async fn an_endpoint_without_a_key_segment_keeps_the_public_prefix_of_a_bearer_client() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let call = Call::get("/api/mcp").bearer(&Key::new());
    let announced = "http://10.0.0.1:3000/mcp/messages?sessionId=7";
    let (_, from_upstream, event) = announce((&gateway, &mut upstream), &call, announced).await;
    assert_eq!(without_token(event), "/api/mcp/messages?sessionId=*");
    from_upstream.finish().await;
}

#[tokio::test]
async fn an_endpoint_shows_the_clients_key_and_never_the_injected_one() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("alice", &key, &real, "").start();
    let call = Call::get(&format!("/api/mcp/{}/sse", key.text()));
    for real in [real.text().to_owned(), real.encoded()] {
        let announced = format!("/mcp/{real}/messages?sessionId=7");
        let (_, from_upstream, event) =
            announce((&gateway, &mut upstream), &call, &announced).await;
        let public = format!("/api/mcp/{}/messages?sessionId=*", key.text());
        assert_eq!(without_token(event), public);
        from_upstream.finish().await;
    }
}

#[tokio::test]
async fn an_injected_key_is_found_in_an_endpoint_whatever_it_holds() {
    let mut upstream = Upstream::start().await;
    for odd in ["a/b", "a;b", "a%41b", "a=b", "a?b#c", "a\\b\"c<d>&e'", "/../", "%"] {
        let (key, real) = (Key::new(), Key::holding(odd));
        let gateway = Setup::new(&upstream).injected("alice", &key, &real, "").start();
        let call = Call::get(&format!("/api/sse/{}", key.text()));
        let encoded: String = real.text().bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut sent = Vec::new();
        portcullis::types::write_key_segment(&mut sent, real.text());
        // As it is, as the gateway sent it, and every byte encoded.
        for spelling in [real.text(), std::str::from_utf8(&sent).unwrap(), &encoded] {
            let announced = format!("/message/{spelling}/x/?sessionId=7");
            let (_, from_upstream, event) =
                announce((&gateway, &mut upstream), &call, &announced).await;
            let public = format!("/api/message/{}/x/?sessionId=*", key.text());
            assert_eq!(without_token(event), public, "{odd}");
            from_upstream.finish().await;
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_shows_the_injected_key_elsewhere_is_cut() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("alice", &key, &real, "").start();
    let call = Call::get(&format!("/api/mcp/{}/sse", key.text()));
    for announced in [
        format!("/mcp/messages?apiKey={}", real.text()),
        format!("/mcp/messages?k={}", real.encoded()),
        format!("/mcp/x-{}/messages", real.text()),
        format!("/mcp/{0}/messages/{0}", real.text()),
    ] {
        let (stream, mut from_upstream, event) =
            announce((&gateway, &mut upstream), &call, &announced).await;
        assert_eq!(event, None, "{announced}");
        assert!(!stream.ended_whole());
        from_upstream.is_abandoned().await;
    }
}

#[tokio::test]
async fn an_injected_key_is_covered_in_every_later_event() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("alice", &key, &real, "").start();
    let call = Call::get(&format!("/api/sse/{}", key.text()));
    let announced = format!("/message/{}", real.text());
    let (mut stream, mut from_upstream, event) =
        announce((&gateway, &mut upstream), &call, &announced).await;
    assert!(event.is_some());
    from_upstream.event("endpoint", &announced).await;
    let covered = "*".repeat(real.text().len());
    assert_eq!(stream.next_event().await.unwrap().data, format!("/message/{covered}"));
    let (front, back) = real.text().split_at(9);
    from_upstream.send(format!("data: {front}")).await;
    from_upstream.send(format!("{back}\n\n")).await;
    assert_eq!(stream.next_event().await.unwrap().data, covered);
    // What only begins like it isn't held beyond its event.
    from_upstream.send(format!("data: {front}\n\n")).await;
    assert_eq!(stream.next_event().await.unwrap().data, front);
    from_upstream.finish().await;
}

#[tokio::test]
async fn a_short_injected_key_is_in_no_later_endpoint_either() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::short());
    let gateway = Setup::new(&upstream).injected("alice", &key, &real, "").start();
    let call = Call::get(&format!("/api/sse/{}", key.text()));
    let announced = format!("/message/{}", real.text());
    let (mut stream, mut from_upstream, event) =
        announce((&gateway, &mut upstream), &call, &announced).await;
    assert!(event.is_some_and(|event| event.data.starts_with("/api/message/")));
    from_upstream.event("endpoint", "/elsewhere").await;
    assert_eq!(stream.next_event().await.unwrap().data, "/elsewhere");
    from_upstream.event("message", "{}").await;
    assert_eq!(stream.next_event().await.unwrap().data, "{}");
    from_upstream.event("endpoint", &announced).await;
    assert!(stream.next_event().await.is_none() && !stream.ended_whole());
    from_upstream.is_abandoned().await;
}

#[tokio::test]
async fn an_endpoint_that_can_not_be_read_is_cut() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let call = Call::get(&format!("/api/mcp/{}/sse", key.text()));
    for announced in [
        "messages?sessionId=1",
        "//evil.example/messages",
        "javascript:alert(1)",
        "ftp://10.0.0.1/messages",
        "http://10.0.0.1",
        "/mcp/../messages",
        "/mcp//messages",
        "/mcp/%2e%2e/messages",
        "/mcp/a;b",
        "/mcp/messages?a=\u{e9}",
        "",
    ] {
        let (stream, mut from_upstream, event) =
            announce((&gateway, &mut upstream), &call, announced).await;
        assert_eq!(event, None, "{announced}");
        assert!(!stream.ended_whole());
        from_upstream.is_abandoned().await;
    }
}

#[tokio::test]
async fn a_first_event_that_is_no_endpoint_goes_on_as_it_is() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&Call::get(&format!("/api/mcp/{}", Key::new().text()))).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    let bytes = ": hello\r\n\r\nevent:x\r\nid: 1\r\ndata: endpoint\r\n\r\n";
    from_upstream.send(bytes).await;
    let mut received = Vec::new();
    while received.len() < bytes.len() {
        received.extend(stream.next_bytes().await.unwrap());
    }
    assert_eq!(received, bytes.as_bytes());
    from_upstream.finish().await;
}

#[tokio::test]
async fn a_refusal_is_told_on_the_stream_by_its_id() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).consumer("alice", &key, "rate = \"2/h\"").start();
    let open = Call::get(&format!("/api/sse/{}", key.text()));
    let announced = format!("/message/{}?sessionId=7", key.text());
    let (mut stream, from_upstream, event) =
        announce((&gateway, &mut upstream), &open, &announced).await;
    let endpoint = event.unwrap().data;

    let seen = gateway.pass(&mut upstream, &Call::post(&endpoint, &tool_call(1))).await;
    assert_eq!(seen.target, announced, "the token is the gateway's own");

    let answer = gateway.ask(&Call::post(&endpoint, &tool_call(42))).await;
    assert_eq!((answer.status, answer.text()), (202, ""));
    assert!(answer.field("retry-after").is_some());
    let told = stream.next_event().await.unwrap();
    assert_eq!(told.name, "message");
    let error: serde_json::Value = serde_json::from_str(&told.data).unwrap();
    assert_eq!((&error["id"], &error["error"]["data"]["reason"]), (&42.into(), &"rate".into()));
    upstream.saw_nothing(&gateway).await;
    from_upstream.finish().await;
}

#[tokio::test]
async fn a_refusal_is_not_told_into_an_event_that_is_under_way() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).consumer("alice", &key, "rate = \"1/h\"").start();
    let open = Call::get(&format!("/api/sse/{}", key.text()));
    let announced = format!("/message/{}", key.text());
    let (mut stream, mut from_upstream, event) =
        announce((&gateway, &mut upstream), &open, &announced).await;
    let endpoint = event.unwrap().data;
    from_upstream.send("data: ha").await;
    assert_eq!(stream.next_bytes().await.unwrap(), b"data: ha");
    let answer = gateway.ask(&Call::post(&endpoint, &tool_call(42))).await;
    assert_eq!(answer.status, 202);
    from_upstream.send("lf\n\n").await;
    assert_eq!(stream.next_bytes().await.unwrap(), b"lf\n\n");
    assert!(stream.next_event().await.unwrap().data.contains("\"id\":42"));
    from_upstream.finish().await;
}

#[tokio::test]
async fn a_token_opens_no_stream_of_another_key_or_route() {
    let mut upstream = Upstream::start().await;
    let (alice, mallory) = (Key::new(), Key::new());
    let routes = |name: &str, base: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\nupstream = \"postiz\"\n\
             paths = [\"/api/{base}/{{key}}\"]\n"
        )
    };
    let gateway = Setup::new(&upstream)
        .routes(&(routes("one", "sse") + &routes("other", "other")))
        .consumer("alice", &alice, "rate = \"1/h\"\nburst = 1")
        .consumer("mallory", &mallory, "rate = \"1/h\"\nburst = 1")
        .start();
    let open = Call::get(&format!("/api/sse/{}", alice.text()));
    let announced = format!("/sse/{}", alice.text());
    let (mut stream, mut from_upstream, event) =
        announce((&gateway, &mut upstream), &open, &announced).await;
    let query = event.unwrap().data.split_once('?').unwrap().1.to_owned();

    let post = |base: &str, key: &Key| {
        Call::post(&format!("/api/{base}/{}?{query}", key.text()), &tool_call(5))
    };
    // Her bucket holds one call.
    gateway.pass(&mut upstream, &post("sse", &mallory)).await;
    for call in [post("sse", &mallory), post("other", &alice)] {
        let answer = gateway.ask(&call).await;
        assert_eq!((answer.status, answer.reason()), (200, "rate".to_owned()), "{answer:?}");
    }
    from_upstream.event("message", "next").await;
    assert_eq!(stream.next_event().await.unwrap().data, "next", "the stream was told nothing");
    from_upstream.finish().await;
}

#[tokio::test]
async fn a_refusal_of_a_client_whose_stream_has_gone_is_told_in_the_answer() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).consumer("alice", &key, "rate = \"1/h\"").start();
    let open = Call::get(&format!("/api/sse/{}", key.text()));
    let announced = format!("/message/{}", key.text());
    let (stream, mut from_upstream, event) =
        announce((&gateway, &mut upstream), &open, &announced).await;
    drop(stream);
    from_upstream.is_abandoned().await;
    gateway.metric_becomes("portcullis_streams_open", &[], 0.0).await;
    let answer = gateway.ask(&Call::post(&event.unwrap().data, &tool_call(5))).await;
    assert_eq!((answer.status, answer.json()["id"].clone()), (200, 5.into()));
}
