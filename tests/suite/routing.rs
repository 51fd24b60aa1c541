//! Where a request goes.

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

const ROUTES: &str = r#"
    [[routes]]
    name = "any"
    paths = ["/api/mcp/{key}", "/api/mcp"]
    upstream = "postiz"
    unknown_keys = "forward"
    [[routes]]
    name = "named"
    hosts = ["named.test"]
    paths = ["/api/mcp/{key}", "/api/mcp/fixed"]
    upstream = "postiz"
    unknown_keys = "forward"
"#;

#[tokio::test]
async fn the_most_specific_route_is_taken() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).routes(ROUTES).start();
    let key = Key::new();
    let path = format!("/api/mcp/{}", key.encoded());
    for (host, target, route) in [
        ("any.test", path.as_str(), "any"),
        ("named.test", path.as_str(), "named"),
        ("NAMED.test:8443", path.as_str(), "named"),
    ] {
        let call = Call::post(target, &tool_call(1)).host(host);
        gateway.pass(&mut upstream, &call).await;
        gateway.logged("the call", |line| line["route"] == route).await;
    }
    let fixed = Call::post("/api/mcp/fixed", &tool_call(1)).host("named.test").bearer(&key);
    assert_eq!(gateway.pass(&mut upstream, &fixed).await.target, "/mcp/fixed");
    let line = gateway.logged("the call", |line| line["path"] == "/api/mcp/fixed").await;
    assert_eq!(line["route"], "named");
}

#[tokio::test]
async fn an_unknown_host_and_an_unknown_path_are_told_apart() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("hosts = [\"gateway.test\"]").start();
    gateway.ask(&Call::get("/api/mcp").host("other.test")).await.refused(421, "host");
    for path in ["/", "/api", "/api/mcpx", "/api/mcp-other", "/other"] {
        gateway.ask(&Call::get(path)).await.refused(404, "no_route");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn discovery_of_oauth_is_a_clean_404_that_costs_nothing() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route("rate = \"1/day\"");
    let gateway = setup.consumer("one", &key, "").start();
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/api/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/api/mcp-oauth",
        "/api/mcp-oauth-claude",
    ] {
        let answer = gateway.ask(&Call::get(path).bearer(&key)).await;
        answer.refused(404, "discovery");
    }
    gateway.ask(&Call::post("/register", "{}")).await.refused(404, "discovery");
    upstream.saw_nothing(&gateway).await;
    gateway.pass(&mut upstream, &Call::post("/api/mcp", &tool_call(1)).bearer(&key)).await;
}

#[tokio::test]
async fn the_path_upstream_is_written_anew() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let target = format!("/API/mcp/{}/SSE/?sessionId=1", key.encoded());
    let seen = gateway.pass(&mut upstream, &Call::get(&target)).await;
    assert_eq!(seen.target, format!("/mcp/{}/SSE/?sessionId=1", key.text()));
}

#[tokio::test]
async fn a_method_that_mcp_does_not_have_is_refused_with_those_it_has() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let target = format!("/api/mcp/{}", Key::new().encoded());
    for method in ["PUT", "PATCH", "TRACE", "get"] {
        let answer = gateway.ask(&Call::new(method, &target)).await;
        let allowed = answer.refused(405, "method").field("allow");
        assert_eq!(allowed, Some("GET, POST, DELETE, OPTIONS"), "{method}");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_body_that_is_not_plain_json_is_refused() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let target = format!("/api/mcp/{}", Key::new().encoded());
    let plain = Call::new("POST", &target).body(&tool_call(1));
    for call in [
        plain.clone(),
        plain.clone().field("content-type", "text/plain"),
        plain.clone().field("content-type", "application/json; charset=utf-16"),
        plain.field("content-type", "application/json").field("content-encoding", "gzip"),
    ] {
        gateway.ask(&call).await.refused(415, "media_type");
    }
    gateway.ask(&Call::post(&target, "nope")).await.refused(400, "not_json");
    gateway.ask(&Call::post(&target, "{}")).await.refused(400, "not_rpc");
    upstream.saw_nothing(&gateway).await;
}
