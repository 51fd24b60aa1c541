//! Rates, streams and sizes.

use crate::harness::{Call, Gateway, Key, Setup, Upstream, call_with_id, tool_call};

fn path(key: &Key) -> String {
    format!("/api/mcp/{}", key.encoded())
}

/// Passes one call, so that the upstream has accepted the key and it has a bucket of its own.
async fn prove(gateway: &Gateway, upstream: &mut Upstream, key: &Key) {
    gateway.pass(upstream, &Call::post(&path(key), &tool_call(0))).await;
}

#[tokio::test]
async fn one_bucket_serves_every_form_of_one_key() {
    let mut upstream = Upstream::start().await;
    let (key, other) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route("rate = \"2/day\"").consumer("one", &key, "");
    let gateway = setup.consumer("two", &other, "").start();
    gateway.pass(&mut upstream, &Call::post(&path(&key), &tool_call(1))).await;
    gateway.pass(&mut upstream, &Call::post("/api/mcp", &tool_call(2)).bearer(&key)).await;
    for call in [
        Call::post(&path(&key), &tool_call(3)),
        Call::post("/api/mcp", &tool_call(3)).bearer(&key),
        Call::post("/api/mcp", &tool_call(3)).field("authorization", key.text()),
        Call::post(&format!("/API/Mcp/{}", key.encoded()), &tool_call(3)),
    ] {
        gateway.ask(&call).await.refused(200, "rate");
    }
    gateway.pass(&mut upstream, &Call::post(&path(&other), &tool_call(4))).await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_refused_call_is_told_by_its_id_and_when_to_come_back() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).route("rate = \"1/min\"").consumer("one", &key, "").start();
    prove(&gateway, &mut upstream, &key).await;
    let answer = gateway.ask(&Call::post(&path(&key), &tool_call(7))).await;
    let json = answer.refused(200, "rate").json();
    assert_eq!(json["id"], 7);
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((59..=60).contains(&seconds));
    let wait = json["error"]["data"]["retry_after_ms"].as_u64().unwrap();
    assert!(wait <= 60_000 && wait > (seconds - 1) * 1000);
    let text = json["error"]["message"].as_str().unwrap();
    assert_eq!(text, format!("The rate limit is reached. Retry in {seconds} s."));
    assert!(!answer.closes(), "the client goes on with this connection");
}

#[tokio::test]
async fn what_has_no_answer_to_read_is_told_with_429() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).route("rate = \"1/day\"").consumer("one", &key, "").start();
    prove(&gateway, &mut upstream, &key).await;
    let (said, begun) = (Call::post(&path(&key), NOTIFICATION), initialize(&key));
    for call in [&said, &begun] {
        for _ in 0..10 {
            gateway.pass(&mut upstream, call).await;
        }
    }
    for call in [said, begun, Call::get(&path(&key)), Call::new("DELETE", &path(&key))] {
        let answer = gateway.ask(&call).await;
        assert!(answer.refused(429, "rate").field("retry-after").is_some());
    }
}

const NOTIFICATION: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;

fn initialize(key: &Key) -> Call {
    Call::post(&path(key), &call_with_id(1, "initialize"))
}

#[tokio::test]
async fn a_client_at_its_limit_can_begin_anew_ping_cancel_and_answer() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).route("rate = \"1/day\"").consumer("one", &key, "").start();
    prove(&gateway, &mut upstream, &key).await;
    gateway.ask(&Call::post(&path(&key), &tool_call(1))).await.refused(200, "rate");
    let ping = Call::post(&path(&key), &call_with_id(1, "ping"));
    let answer = Call::post(&path(&key), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    for call in [&initialize(&key), &ping, &Call::post(&path(&key), NOTIFICATION), &answer] {
        gateway.pass(&mut upstream, call).await;
    }
    for _ in 0..9 {
        gateway.pass(&mut upstream, &ping).await;
    }
    gateway.ask(&ping).await.refused(200, "rate");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_call_without_an_id_and_a_batch_of_pings_cost_what_calls_do() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).route("rate = \"1/day\"").consumer("one", &key, "").start();
    prove(&gateway, &mut upstream, &key).await;
    let silent = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#;
    gateway.ask(&Call::post(&path(&key), silent)).await.refused(429, "rate");
    let batch = format!("[{}]", call_with_id(1, "ping"));
    let refused = gateway.ask(&Call::post(&path(&key), &batch)).await;
    assert_eq!(refused.json()[0]["error"]["data"]["reason"], "rate");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_route_may_want_refusals_with_their_status() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route("rate = \"1/day\"\nrefusals = \"http\"");
    let gateway = setup.consumer("one", &key, "").start();
    prove(&gateway, &mut upstream, &key).await;
    let answer = gateway.ask(&Call::post(&path(&key), &tool_call(7))).await;
    assert_eq!(answer.refused(429, "rate").json()["id"], 7);
}

#[tokio::test]
async fn a_batch_is_charged_by_its_elements_and_refused_whole() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).route("rate = \"3/day\"").consumer("one", &key, "").start();
    let batch = format!("[{},{}]", tool_call(1), call_with_id(2, "ping"));
    gateway.pass(&mut upstream, &Call::post(&path(&key), &batch)).await;
    let answer = gateway.ask(&Call::post(&path(&key), &batch)).await;
    assert_eq!(answer.status, 200);
    let errors = answer.json();
    let ids: Vec<_> = errors.as_array().unwrap().iter().map(|error| &error["id"]).collect();
    assert_eq!(ids, [1, 2]);
    upstream.saw_nothing(&gateway).await;
    gateway.pass(&mut upstream, &Call::post(&path(&key), &tool_call(3))).await;
}

#[tokio::test]
async fn discovery_of_the_server_has_ten_times_the_rate_and_never_answers_429() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).route("rate = \"1/day\"").consumer("one", &key, "").start();
    prove(&gateway, &mut upstream, &key).await;
    let discover = Call::post(&path(&key), &call_with_id(1, "server/discover"));
    for _ in 0..10 {
        gateway.pass(&mut upstream, &discover).await;
    }
    assert!(gateway.ask(&discover).await.refused(503, "rate").field("retry-after").is_some());
}

#[tokio::test]
async fn a_consumers_rate_takes_the_place_of_the_routes_and_spans_routes() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let routes = r#"
        [[routes]]
        name = "a"
        paths = ["/api/a/{key}"]
        upstream = "postiz"
        rate = "1/day"
        [[routes]]
        name = "b"
        paths = ["/api/b/{key}"]
        upstream = "postiz"
    "#;
    let setup = Setup::new(&upstream).routes(routes);
    let gateway = setup.consumer("one", &key, "rate = \"2/day\"\n").start();
    let call = |route: &str| Call::post(&format!("/api/{route}/{}", key.encoded()), &tool_call(1));
    gateway.pass(&mut upstream, &call("a")).await;
    gateway.pass(&mut upstream, &call("a")).await;
    gateway.ask(&call("b")).await.refused(200, "rate");
}

#[tokio::test]
async fn made_up_keys_share_the_bucket_of_their_address_until_the_upstream_accepts_one() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[limits]\nunproven_per_address = \"2/day\"");
    let gateway = setup.start();
    let good = Key::new();
    prove(&gateway, &mut upstream, &good).await;
    let client = gateway.client();
    let mut client = client.await;
    client.send(&Call::post(&path(&Key::new()), &tool_call(1))).await;
    upstream.next().await.respond(401, &[], "no").await;
    assert_eq!(client.answer().await.status, 401);
    let third = gateway.ask(&Call::post(&path(&Key::new()), &tool_call(1))).await;
    assert_eq!(third.reason(), "rate", "the address has tried twice");
    gateway.pass(&mut upstream, &Call::post(&path(&good), &tool_call(2))).await;
}

#[tokio::test]
async fn a_body_that_is_no_call_costs_as_much_as_one() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route("rate = \"3/day\"").consumer("one", &key, "");
    let gateway = setup.start();
    gateway.ask(&Call::post(&path(&key), "nope")).await.refused(400, "not_json");
    gateway.ask(&Call::post(&path(&key), "{}")).await.refused(400, "not_rpc");
    gateway.pass(&mut upstream, &Call::post(&path(&key), &tool_call(1))).await;
    gateway.ask(&Call::post(&path(&key), "nope")).await.refused(429, "rate");
    gateway.ask(&Call::post(&path(&key), &tool_call(2))).await.refused(200, "rate");
}

#[tokio::test]
async fn a_key_refused_at_the_door_is_told_in_band_though_its_body_comes_later() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[limits]\nunproven_per_address = \"1/day\"");
    let gateway = setup.start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&Call::post(&path(&key), &tool_call(1))).await;
    upstream.next().await.respond(401, &[], "no").await;
    client.answer().await;
    let discover = call_with_id(3, "server/discover");
    for (body, status) in [(tool_call(2), 200), (discover, 503)] {
        let call = Call::post(&path(&key), &body).field("expect", "100-continue").bytes();
        client.raw(&call[..call.len() - body.len()]).await;
        client.is_told_to_continue().await;
        client.raw(body).await;
        let answer = client.answer().await;
        assert!(answer.refused(status, "rate").json()["id"].is_number());
        assert!(!answer.closes());
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_key_that_the_upstream_accepted_has_the_routes_rate_to_itself() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("rate = \"2/day\"").start();
    let (key, other) = (Key::new(), Key::new());
    for id in 1..=3 {
        // The first is paid for by the address: nobody has accepted the key yet.
        gateway.pass(&mut upstream, &Call::post(&path(&key), &tool_call(id))).await;
    }
    for call in
        [Call::post(&path(&key), &tool_call(4)), Call::post("/api/mcp", &tool_call(4)).bearer(&key)]
    {
        gateway.ask(&call).await.refused(200, "rate");
    }
    gateway.pass(&mut upstream, &Call::post(&path(&other), &tool_call(5))).await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_key_that_the_upstream_refuses_is_never_one_that_it_accepted() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[limits]\nunproven_per_address = \"4/day\"");
    let gateway = setup.start();
    let key = Key::new();
    let mut client = gateway.client().await;
    for status in [304, 401, 404, 500] {
        client.send(&Call::post(&path(&key), &tool_call(1))).await;
        upstream.next().await.respond(status, &[], "").await;
        assert_eq!(client.answer().await.status, status);
    }
    let fifth = client.ask(&Call::post(&path(&key), &tool_call(2))).await;
    assert_eq!(fifth.reason(), "rate", "the address has tried four times");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_batch_of_a_made_up_key_costs_its_address_each_element() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[limits]\nunproven_per_address = \"3/day\"");
    let gateway = setup.start();
    let batch = format!("[{},{},{}]", tool_call(1), tool_call(2), tool_call(3));
    let mut client = gateway.client().await;
    client.send(&Call::post(&path(&Key::new()), &batch)).await;
    upstream.next().await.respond(401, &[], "no").await;
    assert_eq!(client.answer().await.status, 401);
    let next = gateway.ask(&Call::post(&path(&Key::new()), &tool_call(4))).await;
    assert_eq!(next.reason(), "rate");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_key_has_so_many_streams_and_gets_one_back_when_a_client_leaves() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("max_streams = 1").start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&Call::get(&path(&key))).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let events = client.stream().await;
    let refused = gateway.ask(&Call::get(&path(&key))).await;
    refused.refused(429, "streams");
    drop(events);
    stream.is_abandoned().await;
    gateway.metric_becomes("portcullis_streams_open", &[], 0.0).await;
    gateway.pass(&mut upstream, &Call::get(&path(&key))).await;
}

#[tokio::test]
async fn a_call_that_is_answered_by_a_stream_takes_a_slot_too() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("max_streams = 1").start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&Call::post(&path(&key), &tool_call(1))).await;
    let from_upstream = upstream.next().await.stream(&[]).await;
    let mut events = client.stream().await;
    gateway.ask(&Call::get(&path(&key))).await.refused(429, "streams");
    // Its own call isn't refused: it has been done before anybody knew that it is a stream.
    gateway.pass(&mut upstream, &Call::post(&path(&key), &tool_call(2))).await;
    from_upstream.finish().await;
    assert_eq!(events.next_event().await, None);
    gateway.metric_becomes("portcullis_streams_open", &[], 0.0).await;
    gateway.pass(&mut upstream, &Call::get(&path(&key))).await;
}

#[tokio::test]
async fn a_body_over_the_routes_size_is_refused_by_its_length_and_by_its_chunks() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("max_body = \"1KiB\"").start();
    let key = Key::new();
    let long = Call::post(&path(&key), &format!("\"{}\"", "x".repeat(2000)));
    assert!(gateway.ask(&long).await.refused(413, "body_too_large").closes());
    let mut client = gateway.client().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: gateway.test\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        path(&key)
    );
    client.raw(head).await;
    for _ in 0..3 {
        client.raw(format!("200\r\n{}\r\n", "x".repeat(512))).await;
    }
    client.answer().await.refused(413, "body_too_large");
    upstream.saw_nothing(&gateway).await;
}

/// The line of a consumer that has this older key too.
fn replaces(old: &Key) -> String {
    format!("previous = {{ key_sha256 = \"{}\", expires = 2999-12-31 }}\n", old.sha256())
}

#[tokio::test]
async fn a_key_and_the_one_that_it_replaces_have_one_bucket() {
    for (route, own) in [("rate = \"2/day\"", ""), ("", "rate = \"2/day\"\n")] {
        let mut upstream = Upstream::start().await;
        let (old, new) = (Key::new(), Key::new());
        let setup = Setup::new(&upstream).route(route);
        let gateway = setup.consumer("one", &new, &format!("{}{own}", replaces(&old))).start();
        for key in [&old, &new] {
            gateway.pass(&mut upstream, &Call::post(&path(key), &tool_call(1))).await;
        }
        for key in [&old, &new] {
            gateway.ask(&Call::post(&path(key), &tool_call(2))).await.refused(200, "rate");
        }
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn a_key_and_the_one_that_it_replaces_share_their_streams() {
    let mut upstream = Upstream::start().await;
    let (old, new) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route("max_streams = 2");
    let gateway = setup.consumer("one", &new, &replaces(&old)).start();
    // The answer to a call, known for a stream only when it comes, counts as a GET does.
    let mut open = Vec::new();
    for call in [Call::get(&path(&old)), Call::post(&path(&new), &tool_call(1))] {
        let mut client = gateway.client().await;
        client.send(&call).await;
        open.push((upstream.next().await.stream(&[]).await, client.stream().await));
    }
    for key in [&old, &new] {
        gateway.ask(&Call::get(&path(key))).await.refused(429, "streams");
    }
    upstream.saw_nothing(&gateway).await;
}
