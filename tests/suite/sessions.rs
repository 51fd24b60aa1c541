//! Sessions are bound to the key and the route that they were given on, with no table: what a client
//! has is the upstream's id, sealed.

use tempfile::TempDir;

use crate::harness::{
    Answer, Call, EventStream, Gateway, Key, Seen, Setup, Streaming, Upstream, call_with_id,
    tool_call,
};

/// What the upstream calls a session.
const ID: &str = "5f0e8c1a-upstream";

const JSON: (&str, &str) = ("content-type", "application/json");

fn post(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(7)).bearer(key)
}

fn initialize(key: &Key) -> Call {
    Call::post("/api/mcp", &call_with_id(1, "initialize")).bearer(key)
}

/// Begins a session that the upstream calls so, and gives what the client gets for it.
async fn begin(gateway: &Gateway, upstream: &mut Upstream, call: &Call, id: &str) -> String {
    let mut client = gateway.client().await;
    client.send(call).await;
    upstream.next().await.respond(200, &[JSON, ("mcp-session-id", id)], "{}").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    answer.field("mcp-session-id").expect("a session").to_owned()
}

/// What a refusal says, but for what every refusal has of its own.
fn said(answer: &Answer) -> (u16, Vec<(String, String)>, serde_json::Value) {
    let mut json = answer.json();
    json["error"]["data"]["request_id"].take();
    (answer.status, answer.fields.clone(), json)
}

#[tokio::test]
async fn a_client_never_sees_the_upstreams_session_nor_the_upstream_the_clients() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&initialize(&key)).await;
    let fields = [JSON, ("mcp-session-id", ID)];
    let seen = upstream.next().await.respond(200, &fields, "{}").await;
    assert_eq!(seen.field("mcp-session-id"), None);
    let answer = client.answer().await;
    let session = answer.field("mcp-session-id").unwrap();
    assert!(!format!("{answer:?}").contains(ID), "{answer:?}");
    assert!(session.len() < 96 && session.bytes().all(|byte| byte.is_ascii_graphic()), "{session}");

    // Every way to present the key is one key, and a session is for all methods.
    let in_path = format!("/api/mcp/{}", key.encoded());
    for call in [
        post(&key),
        Call::get("/api/mcp").bearer(&key),
        Call::new("DELETE", "/api/mcp").bearer(&key),
        Call::post(&in_path, &tool_call(7)),
    ] {
        let seen = gateway.pass(&mut upstream, &call.field("Mcp-Session-Id", session)).await;
        assert_eq!(seen.field("mcp-session-id"), Some(ID), "{seen:?}");
        assert!(!format!("{seen:?}").contains(session), "{seen:?}");
    }
}

#[tokio::test]
async fn a_session_has_one_text_and_comes_back_as_that() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    // Servers that echo the id on every answer give the client what it has.
    let call = post(&key).field("mcp-session-id", &session);
    assert_eq!(begin(&gateway, &mut upstream, &call, ID).await, session);
}

#[tokio::test]
async fn another_keys_and_another_routes_session_is_refused_like_one_that_never_was() {
    let mut upstream = Upstream::start().await;
    let (alice, mallory) = (Key::new(), Key::new());
    let route = |name: &str, base: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\nupstream = \"postiz\"\npaths = [\"/api/{base}\"]\n\
             unknown_keys = \"forward\"\n"
        )
    };
    let gateway =
        Setup::new(&upstream).routes(&(route("one", "mcp") + &route("other", "other"))).start();
    let session = begin(&gateway, &mut upstream, &initialize(&alice), ID).await;
    let made_up = gateway.ask(&post(&alice).field("mcp-session-id", "made-up")).await;
    made_up.refused(404, "session");
    let mut changed = session.clone();
    changed.replace_range(20..21, if &session[20..21] == "A" { "B" } else { "A" });
    let on_other = Call::post("/api/other", &tool_call(7)).bearer(&alice);
    for (call, id) in [
        (post(&mallory), session.as_str()),
        (on_other, &session),
        (post(&alice), &changed),
        (post(&alice), &session[..session.len() - 1]),
        (post(&alice), ID),
        (post(&alice), ""),
    ] {
        let refused = gateway.ask(&call.field("mcp-session-id", id)).await;
        assert_eq!(said(&refused), said(&made_up), "{id}");
    }
    // Two are refused, whichever of them a server would take.
    let twice = post(&alice).field("mcp-session-id", &session).field("mcp-session-id", &session);
    assert_eq!(said(&gateway.ask(&twice).await), said(&made_up));
    for method in ["GET", "DELETE"] {
        let call = Call::new(method, "/api/mcp").bearer(&mallory);
        gateway.ask(&call.field("mcp-session-id", &session)).await.refused(404, "session");
    }
    upstream.saw_nothing(&gateway).await;
    gateway.pass(&mut upstream, &post(&alice).field("mcp-session-id", &session)).await;
}

#[tokio::test]
async fn who_has_no_key_is_asked_for_it_before_the_session() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("unknown_keys = \"refuse\"").start();
    let call = Call::post("/api/mcp", &tool_call(7)).field("mcp-session-id", "made-up");
    gateway.ask(&call).await.refused(401, "unauthorized");
    gateway.ask(&call.bearer(&Key::new())).await.refused(401, "unauthorized");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_session_outlives_the_gateway_where_there_is_state_and_there_alone() {
    let mut upstream = Upstream::start().await;
    let (kept, key) = (TempDir::new().unwrap(), Key::new());
    let state = format!("[state]\ndir = {:?}", kept.path());
    let first = Setup::new(&upstream).also(&state).start();
    let session = begin(&first, &mut upstream, &initialize(&key), ID).await;
    drop(first);
    let call = post(&key).field("mcp-session-id", &session);
    let second = Setup::new(&upstream).also(&state).start();
    let seen = second.pass(&mut upstream, &call).await;
    assert_eq!(seen.field("mcp-session-id"), Some(ID));
    drop(second);
    let without = Setup::new(&upstream).start();
    without.ask(&call).await.refused(404, "session");
}

#[tokio::test]
async fn a_session_of_another_endpoint_is_unknown() {
    let (mut one, mut other) = (Upstream::start().await, Upstream::start().await);
    let (kept, key) = (TempDir::new().unwrap(), Key::new());
    let state = format!("[state]\ndir = {:?}", kept.path());
    let gateway = Setup::new(&one).also(&state).start();
    let session = begin(&gateway, &mut one, &initialize(&key), ID).await;
    drop(gateway);
    let moved = Setup::new(&other).also(&state).start();
    let call = post(&key).field("mcp-session-id", &session);
    moved.ask(&call).await.refused(404, "session");
    other.saw_nothing(&moved).await;
}

#[tokio::test]
async fn from_2026_07_28_there_are_no_sessions_in_either_direction() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    for version in ["2026-07-28", "2027-01-01"] {
        for id in ["made-up", &session] {
            let call = post(&key).field("mcp-protocol-version", version);
            // Such a head names the call too.
            let call = call.field("mcp-method", "tools/call").field("mcp-name", "integrationList");
            let mut client = gateway.client().await;
            client.send(&call.field("mcp-session-id", id)).await;
            let fields = [JSON, ("mcp-session-id", ID)];
            let seen = upstream.next().await.respond(200, &fields, "{}").await;
            assert_eq!(seen.field("mcp-session-id"), None, "{version}");
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.field("mcp-session-id")), (200, None), "{version}");
        }
    }
    // Who says two versions at once says none.
    let call = post(&key).field("mcp-session-id", "made-up");
    let unsure = call.field("mcp-protocol-version", "2026-07-28");
    let unsure = unsure.field("mcp-protocol-version", "2026-07-28");
    gateway.ask(&unsure).await.refused(404, "session");
    for older in ["2025-11-25", "2024-11-05", "x"] {
        let call = post(&key).field("mcp-session-id", "made-up");
        let call = call.field("mcp-protocol-version", older);
        gateway.ask(&call).await.refused(404, "session");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_upstream_whose_session_is_no_session_gives_no_answer() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let (long, most) = ("x".repeat(1025), "x".repeat(1024));
    for fields in [
        &[("mcp-session-id", "a b")][..],
        &[("mcp-session-id", "")],
        &[("mcp-session-id", &long)],
        &[("mcp-session-id", "a"), ("mcp-session-id", "a")],
    ] {
        let mut client = gateway.client().await;
        client.send(&initialize(&Key::new())).await;
        upstream.next().await.respond(200, fields, "{}").await;
        client.answer().await.refused(502, "upstream_bad");
    }
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), &most).await;
    let seen = gateway.pass(&mut upstream, &post(&key).field("mcp-session-id", &session)).await;
    assert_eq!(seen.field("mcp-session-id"), Some(&*most));
}

#[tokio::test]
async fn a_legacy_session_is_sealed_in_the_endpoint_and_opened_in_the_query() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    for query in ["sessionId=%7Bupstreams-own%7D", "a=1&session_id=upstreams-own;b=2"] {
        let (key, mallory) = (Key::new(), Key::new());
        let mut client = gateway.client().await;
        client.send(&Call::get(&format!("/api/sse/{}", key.text()))).await;
        let mut from_upstream = upstream.next().await.stream(&[]).await;
        let mut stream = client.stream().await;
        from_upstream.event("endpoint", &format!("/message/{}?{query}", key.text())).await;
        let endpoint = stream.next_event().await.unwrap().data;
        assert!(!endpoint.contains("upstreams-own"), "{endpoint}");
        let seen = gateway.pass(&mut upstream, &Call::post(&endpoint, &tool_call(1))).await;
        assert_eq!(seen.target, format!("/message/{}?{query}", key.text()));

        let (_, sealed) = endpoint.split_once('?').unwrap();
        for (key, query) in [
            (&mallory, sealed.to_owned()),
            (&key, query.to_owned()),
            (&key, format!("{sealed}&sessionId=upstreams-own")),
            (&key, format!("{sealed};SESSION-ID=upstreams-own")),
            (&key, "session_id=".to_owned()),
        ] {
            let target = format!("/api/message/{}?{query}", key.text());
            for call in [Call::post(&target, &tool_call(2)), Call::get(&target)] {
                gateway.ask(&call).await.refused(404, "session");
            }
        }
        from_upstream.finish().await;
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_id_of_the_field_is_none_of_the_query() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    // In a query it would be one more parameter.
    let session = begin(&gateway, &mut upstream, &initialize(&key), "a&admin=1#").await;
    let target = format!("/api/mcp?sessionId={session}");
    gateway.ask(&Call::post(&target, &tool_call(1)).bearer(&key)).await.refused(404, "session");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_endpoint_that_names_two_sessions_is_cut() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&Call::get(&format!("/api/sse/{}", Key::new().text()))).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("endpoint", "/messages?sessionId=1&session_id=2").await;
    assert_eq!(stream.next_event().await, None);
    assert!(!stream.ended_whole());
    from_upstream.is_abandoned().await;
}

/// What Postiz v2.8 to v2.22 says of a session that it doesn't know.
const DENIED: &str = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided for non-initialize request"},"id":7}"#;

#[tokio::test]
async fn an_upstream_that_denies_a_session_with_400_is_heard_as_404() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    let chunked =
        "HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for call in [post(&key), Call::new("DELETE", "/api/mcp").bearer(&key)] {
        let call = call.field("mcp-session-id", &session);
        let mut client = gateway.client().await;
        client.send(&call).await;
        upstream.next().await.respond(400, &[JSON], DENIED).await;
        client.answer().await.refused(404, "session");
        client.send(&call).await;
        let mut request = upstream.next().await;
        request.raw(chunked).await;
        let (head, tail) = DENIED.split_at(40);
        for part in [head, tail, ""] {
            request.raw(format!("{:x}\r\n{part}\r\n", part.len())).await;
        }
        client.answer().await.refused(404, "session");
    }
}

#[tokio::test]
async fn any_other_400_passes_as_it_came() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    let with_session = post(&key).field("mcp-session-id", &session);
    let large = DENIED.replace("\"id\"", &format!("\"x\":\"{}\",\"id\"", "x".repeat(16 << 10)));
    for (call, status, body) in [
        (&post(&key), 400, DENIED),
        (&with_session, 409, DENIED),
        (&with_session, 400, &DENIED.replace("session", "thing")),
        (&with_session, 400, &DENIED.replace("-32000", "-32602")),
        (&with_session, 400, "No valid session"),
        (&with_session, 400, ""),
        (&with_session, 400, &large),
    ] {
        let mut client = gateway.client().await;
        client.send(call).await;
        upstream.next().await.respond(status, &[JSON, ("x-said", "1")], body).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (status, body));
        assert_eq!(answer.field("x-said"), Some("1"));
    }
}

#[tokio::test]
async fn a_400_that_takes_its_time_is_not_waited_for() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    let mut client = gateway.client().await;
    client.send(&post(&key).field("mcp-session-id", &session)).await;
    let mut request = upstream.next().await;
    let (head, tail) = DENIED.split_at(40);
    let length = DENIED.len();
    request.raw(format!("HTTP/1.1 400 Bad\r\ncontent-length: {length}\r\n\r\n{head}")).await;
    client.is_answered().await;
    request.raw(tail).await;
    assert_eq!(client.answer().await.text(), DENIED);
}

#[tokio::test]
async fn a_client_that_leaves_while_a_400_is_read_is_gone_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    let mut client = gateway.client().await;
    client.send(&post(&key).field("mcp-session-id", &session)).await;
    let mut request = upstream.next().await;
    request.raw("HTTP/1.1 400 Bad\r\ncontent-length: 9\r\n\r\n{").await;
    drop(client);
    request.is_abandoned().await;
}

/// A gateway that ends sessions which are idle for so long.
fn ending(upstream: &Upstream, idle: &str) -> Setup {
    let own = format!(
        "[upstreams.own]\nendpoints = [\"http://{}\"]\nstrip_prefix = \"/api\"\n\
         session_idle = \"{idle}\"",
        upstream.address()
    );
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"own\"\nunknown_keys = \"forward\"\n\
                 paths = [\"/api/mcp/{key}\", \"/api/mcp\"]\n";
    Setup::new(upstream).routes(route).also(&own)
}

/// Begins a session with a stream that stays open, so that it isn't idle before the test says so.
async fn hold(
    gateway: &Gateway,
    upstream: &mut Upstream,
    key: &Key,
    id: &str,
) -> (String, EventStream, Streaming) {
    let mut client = gateway.client().await;
    client.send(&initialize(key)).await;
    let from_upstream = upstream.next().await.stream(&[("mcp-session-id", id)]).await;
    let stream = client.stream().await;
    let session = stream.head.field("mcp-session-id").unwrap().to_owned();
    (session, stream, from_upstream)
}

/// The next request, which has to be the gateway's own end of a session.
async fn ended(upstream: &mut Upstream) -> Seen {
    let seen = upstream.next().await.respond(200, &[], "").await;
    assert_eq!((seen.method.as_str(), seen.body.len()), ("DELETE", 0), "{seen:?}");
    seen
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_ended_upstream_once() {
    let mut upstream = Upstream::start().await;
    let gateway = ending(&upstream, "50ms").start();
    let key = Key::new();
    begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    let seen = ended(&mut upstream).await;
    assert_eq!((seen.target.as_str(), seen.field("mcp-session-id")), ("/mcp", Some(ID)));
    assert_eq!(seen.field("authorization"), Some(&*format!("Bearer {}", key.text())));
    assert_eq!(seen.field("host"), Some(&*upstream.address().to_string()));

    // Its last request says how it is ended, but for the query.
    let in_path = Call::post(&format!("/api/mcp/{}/sse?a=1", key.encoded()), &tool_call(1));
    let (session, _stream, from_upstream) = hold(&gateway, &mut upstream, &key, "other").await;
    gateway.pass(&mut upstream, &in_path.field("mcp-session-id", &session)).await;
    from_upstream.finish().await;
    let seen = ended(&mut upstream).await;
    assert_eq!(seen.target, format!("/mcp/{}/sse", key.text()));
    assert_eq!((seen.field("mcp-session-id"), seen.field("authorization")), (Some("other"), None));
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_idle_session_is_ended_with_the_key_that_was_put_in() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = ending(&upstream, "50ms").injected("alice", &key, &real, "").start();
    begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    let seen = ended(&mut upstream).await;
    assert_eq!(seen.field("authorization"), Some(&*format!("Bearer {}", real.text())));
}

#[tokio::test]
async fn a_session_with_an_open_stream_is_not_idle() {
    let mut upstream = Upstream::start().await;
    let gateway = ending(&upstream, "50ms").start();
    let key = Key::new();
    let (session, stream, from_upstream) = hold(&gateway, &mut upstream, &key, "open").await;
    gateway.pass(&mut upstream, &post(&key).field("mcp-session-id", &session)).await;
    // Begun later, and ended first.
    begin(&gateway, &mut upstream, &initialize(&key), "resting").await;
    assert_eq!(ended(&mut upstream).await.field("mcp-session-id"), Some("resting"));
    upstream.saw_nothing(&gateway).await;
    drop(stream);
    assert_eq!(ended(&mut upstream).await.field("mcp-session-id"), Some("open"));
    drop(from_upstream);
}

#[tokio::test]
async fn a_session_that_is_over_is_forgotten() {
    let mut upstream = Upstream::start().await;
    let gateway = ending(&upstream, "50ms").start();
    let key = Key::new();
    for (id, method, status, body) in
        [("a", "DELETE", 200, ""), ("b", "GET", 404, "{}"), ("c", "GET", 400, DENIED)]
    {
        let (session, _stream, held) = hold(&gateway, &mut upstream, &key, id).await;
        let mut client = gateway.client().await;
        let call = Call::new(method, "/api/mcp").bearer(&key);
        client.send(&call.field("mcp-session-id", &session)).await;
        upstream.next().await.respond(status, &[JSON], body).await;
        client.answer().await;
        held.finish().await;
    }
    // One that was begun later is the first to be ended, and the only one.
    begin(&gateway, &mut upstream, &initialize(&key), "last").await;
    assert_eq!(ended(&mut upstream).await.field("mcp-session-id"), Some("last"));
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_client_that_comes_back_to_an_ended_session_is_told_by_the_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = ending(&upstream, "50ms").start();
    let key = Key::new();
    let session = begin(&gateway, &mut upstream, &initialize(&key), ID).await;
    ended(&mut upstream).await;
    let mut client = gateway.client().await;
    client.send(&post(&key).field("mcp-session-id", &session)).await;
    upstream.next().await.respond(400, &[JSON], DENIED).await;
    client.answer().await.refused(404, "session");
}
