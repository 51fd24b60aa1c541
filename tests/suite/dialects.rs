//! How the server behind speaks: configured, or found out without a key.

use crate::harness::{Answer, Call, Gateway, Key, Setup, Upstream, tool_call};

const AUTO: &str = "dialect = \"auto\"";

/// Status, content type and body of an answer to a question of the gateway's own.
type Reply = (u16, &'static str, &'static str);

const NO_KEY: Reply = (400, "text/html", "Invalid API Key");
const NO_BEARER: Reply = (401, "text/html", "Missing Authorization header");
const NOTHING: Reply = (404, "text/html", "Cannot find it");
const METADATA: Reply = (200, "application/json", "{}");

const V2_7: &[Reply] =
    &[(400, "application/json", r#"{"statusCode":400,"message":"Invalid url"}"#)];
const V2_8: &[Reply] = &[NO_KEY, NOTHING];
const V2_19: &[Reply] = &[NO_KEY, NO_BEARER, NOTHING, NOTHING];
const V2_21_5: &[Reply] = &[NO_KEY, NO_BEARER, METADATA];
const V2_23: &[Reply] = &[NO_KEY, NO_BEARER, NOTHING, METADATA];
const OTHER: &[Reply] = &[(200, "text/html", "<html>")];

/// Answers the questions as a version of Postiz does, until the last answer is read.
async fn answer_as(upstream: &mut Upstream, version: &[Reply]) {
    for (status, kind, body) in version {
        let mut request = upstream.next().await;
        assert!(request.field("user-agent").unwrap().starts_with("portcullis/"), "{:?}", *request);
        assert_eq!(request.field("authorization"), None);
        let length = body.len();
        request
            .raw(format!(
                "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
            ))
            .await;
        request.is_abandoned().await;
    }
}

/// What a GET gets: from the upstream, an empty 200.
async fn get(gateway: &Gateway, upstream: &mut Upstream, key: &Key) -> Answer {
    let mut client = gateway.client().await;
    client.send(&Call::get("/api/mcp").bearer(key)).await;
    tokio::select! {
        answer = client.answer() => return answer,
        request = upstream.next() => request.respond(200, &[], "").await,
    };
    client.answer().await
}

#[tokio::test]
async fn nothing_is_asked_unless_the_operator_wants_it() {
    for dialect in
        ["", "dialect = \"legacy-sse\"", "dialect = \"session\"", "dialect = \"stateless\""]
    {
        let mut upstream = Upstream::start().await;
        let gateway = Setup::new(&upstream).upstream(dialect).start();
        upstream.saw_nothing(&gateway).await;
        assert_eq!(upstream.connections(), 1, "the marker's own");
    }
}

#[tokio::test]
async fn a_stream_is_refused_where_the_server_would_never_say_anything_on_it() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).upstream("dialect = \"stateless\"");
    let gateway = setup.route("unknown_keys = \"refuse\"").consumer("alice", &key, "").start();
    // Who may not come isn't told how the server speaks.
    gateway.ask(&Call::get("/api/mcp")).await.refused(401, "unauthorized");
    gateway.ask(&Call::get("/api/mcp").bearer(&Key::new())).await.refused(401, "unauthorized");
    let mut client = gateway.client().await;
    for target in ["/api/mcp".to_owned(), format!("/api/sse/{}", key.text())] {
        let answer = client.ask(&Call::get(&target).bearer(&key)).await;
        answer.refused(405, "method");
        assert_eq!(answer.field("allow"), Some("POST, DELETE, OPTIONS"));
    }
    upstream.saw_nothing(&gateway).await;
    gateway.pass(&mut upstream, &Call::post("/api/mcp", &tool_call(1)).bearer(&key)).await;
    gateway.pass(&mut upstream, &Call::new("DELETE", "/api/mcp").bearer(&key)).await;
}

#[tokio::test]
async fn a_server_that_is_configured_to_have_streams_gets_them() {
    for dialect in ["legacy-sse", "session"] {
        let mut upstream = Upstream::start().await;
        let setup = Setup::new(&upstream).upstream(&format!("dialect = \"{dialect}\""));
        let gateway = setup.start();
        assert_eq!(get(&gateway, &mut upstream, &Key::new()).await.status, 200, "{dialect}");
    }
}

#[tokio::test]
async fn auto_tells_the_versions_apart_and_refuses_streams_of_the_stateless_alone() {
    for version in [V2_7, V2_8, V2_19, V2_21_5, OTHER] {
        let mut upstream = Upstream::start().await;
        let gateway = Setup::new(&upstream).upstream(AUTO).start();
        answer_as(&mut upstream, version).await;
        assert_eq!(get(&gateway, &mut upstream, &Key::new()).await.status, 200, "{version:?}");
    }
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).upstream(AUTO).start();
    answer_as(&mut upstream, V2_23).await;
    // A moment passes between the last answer and what follows from it.
    while get(&gateway, &mut upstream, &Key::new()).await.status != 405 {}
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn until_the_answers_are_there_every_stream_goes_on() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).upstream(AUTO).start();
    let question = upstream.next().await;
    assert_eq!(get(&gateway, &mut upstream, &Key::new()).await.status, 200);
    question.hang_up();
}

#[tokio::test]
async fn where_an_endpoint_is_away_another_is_asked() {
    let (away, mut upstream) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new(&away).and(&upstream).upstream(AUTO);
    away.leave().await;
    let gateway = setup.start();
    answer_as(&mut upstream, V2_23).await;
    while get(&gateway, &mut upstream, &Key::new()).await.status != 405 {}
}

#[tokio::test]
async fn a_server_that_was_away_is_asked_again_for_it_may_be_another() {
    let mut away = Upstream::start().await;
    let gateway = Setup::new(&away).upstream(AUTO).start();
    answer_as(&mut away, V2_23).await;
    let key = Key::new();
    while get(&gateway, &mut away, &key).await.status != 405 {}
    let address = away.leave().await;
    let call = Call::post("/api/mcp", &tool_call(1)).bearer(&key);
    gateway.ask(&call).await.refused(502, "upstream_down");
    gateway.ask(&Call::get("/api/mcp").bearer(&key)).await.refused(502, "upstream_down");
    let mut back = Upstream::start_on(&address.to_string()).await;
    answer_as(&mut back, V2_19).await;
    assert_eq!(get(&gateway, &mut back, &key).await.status, 200);
}
