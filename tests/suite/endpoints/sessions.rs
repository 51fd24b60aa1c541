//! What is known at one endpoint alone: sessions, and the streams of the legacy transport.

use super::{Pair, ask, post};
use crate::harness::{
    Call, Client, EventStream, Gateway, Key, Streaming, Upstream, call_with_id, tool_call,
};

/// Begins a session, and says at which endpoint.
async fn begin(pair: &mut Pair, client: &mut Client, key: &Key, id: &str) -> (usize, String) {
    client.send(&Call::post("/api/mcp", &call_with_id(1, "initialize")).bearer(key)).await;
    let (at, request) = pair.next().await;
    let fields = [("content-type", "application/json"), ("mcp-session-id", id)];
    request.respond(200, &fields, "{}").await;
    let answer = client.answer().await;
    (at, answer.field("mcp-session-id").expect("a session").to_owned())
}

/// A key, and the endpoint that it goes to.
async fn key_and_endpoint(gateway: &Gateway, pair: &mut Pair) -> (Key, usize) {
    let key = Key::new();
    let (own, _) = pair.pass(&mut gateway.client().await, &post(&key)).await;
    (key, own)
}

#[tokio::test]
async fn a_session_stays_at_its_endpoint_when_the_key_goes_elsewhere() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let (key, own) = key_and_endpoint(&gateway, &mut pair).await;
    let address = pair.lose(own).await;
    let mut client = gateway.client().await;
    let (at, session) = begin(&mut pair, &mut client, &key, "s-1").await;
    assert_eq!(at, 1 - own);
    pair.put_back(own, address).await;
    while pair.pass(&mut client, &post(&key)).await.0 != own {}
    for call in [
        post(&key),
        Call::get("/api/mcp").bearer(&key),
        Call::new("DELETE", "/api/mcp").bearer(&key),
    ] {
        let call = call.field("mcp-session-id", &session);
        let (at, seen) = pair.pass(&mut client, &call).await;
        assert_eq!((at, seen.field("mcp-session-id")), (1 - own, Some("s-1")));
        assert_eq!(seen.field("host"), Some(&*pair.authority(at)));
    }
}

#[tokio::test]
async fn a_session_of_a_lost_endpoint_is_unknown_and_no_other_endpoint_hears_of_it() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let key = Key::new();
    let mut client = gateway.client().await;
    let (own, session) = begin(&mut pair, &mut client, &key, "s-1").await;
    let address = pair.lose(own).await;
    let call = post(&key).field("mcp-session-id", &session);
    for _ in 0..2 {
        client.ask(&call).await.refused(404, "session");
    }
    assert_eq!(pair.0[1 - own].connections(), 0);
    let (at, anew) = begin(&mut pair, &mut client, &key, "s-1").await;
    assert_eq!(at, 1 - own);
    // The same name at another endpoint is another session.
    assert_ne!(anew, session);
    let (at, _) = pair.pass(&mut client, &post(&key).field("mcp-session-id", &anew)).await;
    assert_eq!(at, 1 - own);
    // It is asked again as soon as it is back: it may have kept its sessions.
    pair.put_back(own, address).await;
    assert_eq!(pair.pass(&mut client, &call).await.0, own);
}

#[tokio::test]
async fn where_no_endpoint_is_left_a_session_is_not_given_up() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let key = Key::new();
    let mut client = gateway.client().await;
    let (own, session) = begin(&mut pair, &mut client, &key, "s-1").await;
    pair.lose(1 - own).await;
    let address = pair.lose(own).await;
    // Only now is it known that both are gone.
    ask(&gateway, &post(&Key::new())).await.refused(502, "upstream_down");
    let call = post(&key).field("mcp-session-id", &session);
    client.ask(&call).await.refused(502, "upstream_down");
    pair.put_back(own, address).await;
    assert_eq!(pair.pass(&mut client, &call).await.0, own);
}

#[tokio::test]
async fn a_session_from_when_there_was_one_endpoint_goes_on() {
    let mut upstream = Upstream::start().await;
    let other = Upstream::start().await;
    let dir = tempfile::TempDir::new().unwrap();
    let state = format!("[state]\ndir = {:?}", dir.path());
    let key = Key::new();
    let gateway = crate::harness::Setup::new(&upstream).also(&state).start();
    let mut client = gateway.client().await;
    client.send(&Call::post("/api/mcp", &call_with_id(1, "initialize")).bearer(&key)).await;
    upstream.next().await.respond(200, &[("mcp-session-id", "s-1")], "{}").await;
    let session = client.answer().await.field("mcp-session-id").unwrap().to_owned();
    drop((client, gateway));
    let gateway = crate::harness::Setup::new(&other).and(&upstream).also(&state).start();
    let call = post(&key).field("mcp-session-id", &session);
    let seen = gateway.pass(&mut upstream, &call).await;
    assert_eq!(seen.field("mcp-session-id"), Some("s-1"));
    drop(other);
}

/// Answers what the gateway asks on a shared stream.
async fn answer_ping(pair: &mut Pair, stream: &mut Streaming) -> usize {
    let (at, ping) = pair.next().await;
    let body: serde_json::Value = serde_json::from_slice(&ping.body).unwrap();
    ping.respond(201, &[], "{}").await;
    let answer = serde_json::json!({ "jsonrpc": "2.0", "id": body["id"], "result": {} });
    stream.event("message", &answer.to_string()).await;
    at
}

#[tokio::test]
async fn a_shared_stream_stays_at_its_endpoint_with_all_who_sit_there() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().upstream("dialect = \"legacy-sse\"").start();
    let key = Key::new();
    let sse = Call::get(&format!("/api/mcp/{}/sse", key.text()));
    let mut client = gateway.client().await;
    client.send(&sse).await;
    let (own, request) = pair.next().await;
    request.hang_up();
    client.answer().await.refused(502, "upstream_down");
    let address = pair.lose(own).await;

    client.send(&sse).await;
    let (at, request) = pair.next().await;
    let mut stream = request.stream(&[]).await;
    stream.event("endpoint", &format!("/mcp/{}/messages", key.text())).await;
    assert_eq!((at, answer_ping(&mut pair, &mut stream).await), (1 - own, 1 - own));
    let mut first = client.stream().await;
    first.next_event().await.unwrap();
    pair.put_back(own, address).await;
    let mut client = gateway.client().await;
    client.send(&sse).await;
    let mut second = client.stream().await;
    let endpoint = second.next_event().await.unwrap().data;
    let (at, _) =
        pair.pass(&mut gateway.client().await, &Call::post(&endpoint, &tool_call(1))).await;
    assert_eq!(at, 1 - own);
}

/// Opens a stream of the legacy transport whose endpoint is `announced`.
async fn open(
    (pair, gateway): (&mut Pair, &Gateway),
    key: &Key,
    announced: &str,
) -> (usize, Streaming, EventStream, String) {
    let mut client = gateway.client().await;
    client.send(&Call::get(&format!("/api/mcp/{}/sse", key.text())).bearer(key)).await;
    let (at, request) = pair.next().await;
    let mut stream = request.stream(&[]).await;
    let mut events = client.stream().await;
    stream.event("endpoint", announced).await;
    let endpoint = events.next_event().await.expect("an endpoint").data;
    (at, stream, events, endpoint)
}

#[tokio::test]
async fn a_message_goes_to_the_endpoint_of_its_stream() {
    for session in ["?sessionId=7", ""] {
        let mut pair = Pair::start().await;
        let gateway = pair.setup().start();
        let (key, own) = key_and_endpoint(&gateway, &mut pair).await;
        let address = pair.lose(own).await;
        let announced = format!("/mcp/{}/messages{session}", key.text());
        let (at, from_upstream, events, endpoint) =
            open((&mut pair, &gateway), &key, &announced).await;
        assert_eq!(at, 1 - own);
        pair.put_back(own, address).await;
        let mut client = gateway.client().await;
        while pair.pass(&mut client, &post(&key)).await.0 != own {}
        let (at, seen) = pair.pass(&mut client, &Call::post(&endpoint, &tool_call(1))).await;
        assert_eq!((at, &*seen.target), (1 - own, &*announced));
        from_upstream.finish().await;
        drop(events);
    }
}
