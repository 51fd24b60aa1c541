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
async fn the_longest_path_is_taken_wherever_it_stands_in_the_file() {
    let mut upstream = Upstream::start().await;
    let routes = r#"
        [[routes]]
        name = "short"
        paths = ["/api"]
        upstream = "postiz"
        unknown_keys = "forward"
        [[routes]]
        name = "keyed"
        paths = ["/api/mcp/{key}"]
        upstream = "postiz"
        unknown_keys = "forward"
        [[routes]]
        name = "long"
        paths = ["/api/mcp/{key}/sse"]
        upstream = "postiz"
        unknown_keys = "forward"
        [[routes]]
        name = "elsewhere"
        hosts = ["named.test"]
        paths = ["/api/other"]
        upstream = "postiz"
        unknown_keys = "forward"
    "#;
    let gateway = Setup::new(&upstream).routes(routes).start();
    let key = Key::new();
    let under = |rest: &str| format!("/api/mcp/{}{rest}", key.encoded());
    for (host, target, path, route) in [
        ("any.test", "/api/mcp".to_owned(), "/api/mcp", "short"),
        ("any.test", "/api/mcpx".to_owned(), "/api/*", "short"),
        ("any.test", under(""), "/api/mcp/{key}", "keyed"),
        ("any.test", under("/ssex"), "/api/mcp/{key}/*", "keyed"),
        ("any.test", under("/sse"), "/api/mcp/{key}/sse", "long"),
        ("any.test", under("/SSE/more"), "/api/mcp/{key}/sse/*", "long"),
        // What a host's own routes don't have is looked for among those of any host.
        ("named.test", under("/sse/mcp"), "/api/mcp/{key}/sse/mcp", "long"),
        ("named.test", "/api/other/x".to_owned(), "/api/other/*", "elsewhere"),
    ] {
        let call = Call::post(&target, &tool_call(1)).host(host).bearer(&key);
        gateway.pass(&mut upstream, &call).await;
        let line = gateway.logged("the call", |line| line["path"] == path).await;
        assert_eq!(line["route"], route, "{path}");
    }
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
async fn discovery_is_refused_wherever_a_client_looks_for_it_and_nowhere_else() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("hosts = [\"gateway.test\"]").start();
    let key = Key::new();
    let (inserted, appended) = (
        format!("/.well-known/oauth-protected-resource/api/mcp/{}/sse", key.encoded()),
        format!("/api/mcp/{}/.well-known/openid-configuration", key.encoded()),
    );
    for target in [
        inserted.as_str(),
        appended.as_str(),
        "/api/mcp/.well-known/oauth-authorization-server",
        "/.WELL-KNOWN/OAuth-Authorization-Server",
        "/API/Mcp-OAuth/authorize",
    ] {
        gateway.ask(&Call::get(target)).await.refused(404, "discovery");
        gateway.ask(&Call::new("OPTIONS", target)).await.refused(404, "discovery");
        let elsewhere = Call::get(target).host("other.test");
        gateway.ask(&elsewhere).await.refused(421, "host");
    }
    gateway.ask(&Call::post("/register/", "{}")).await.refused(404, "discovery");
    gateway.ask(&Call::post("/register", "{}").host("other.test")).await.refused(421, "host");
    for target in ["/registered", "/.well-known/ai-catalog.json", "/.well-known"] {
        gateway.ask(&Call::get(target)).await.refused(404, "no_route");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_page_that_is_called_register_is_a_path_like_any_other() {
    let mut upstream = Upstream::start().await;
    let routes = r#"
        [[routes]]
        name = "all"
        paths = ["/api"]
        hosts = ["gateway.test"]
        upstream = "postiz"
        unknown_keys = "forward"
        [[routes]]
        name = "pages"
        paths = ["/register"]
        upstream = "root"
        unknown_keys = "forward"
    "#;
    let root = format!("[upstreams.root]\nendpoints = [\"http://{}\"]", upstream.address());
    let gateway = Setup::new(&upstream).routes(routes).also(&root).start();
    let key = Key::new();
    for target in ["/register", "/register/form"] {
        let seen = gateway.pass(&mut upstream, &Call::get(target).bearer(&key)).await;
        assert_eq!(seen.target, target);
    }
    gateway.ask(&Call::post("/register", "{}").bearer(&key)).await.refused(404, "discovery");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn what_follows_a_path_is_plain_or_refused() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    for rest in ["%73se", "a=b", "a+b", "a,b", "@a", "sse/%7E", "sse:"] {
        let target = format!("/api/mcp/{}/{rest}", key.encoded());
        let answer = gateway.ask(&Call::post(&target, &tool_call(1))).await;
        assert!(answer.refused(400, "malformed").closes(), "{rest}");
    }
    upstream.saw_nothing(&gateway).await;
    let target = format!("/api/mcp/{}/A-b_c.d~e/sse", key.encoded());
    gateway.pass(&mut upstream, &Call::post(&target, &tool_call(1))).await;
}

#[tokio::test]
async fn the_path_upstream_is_written_anew() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let target = format!("/API/mcp/{}/SSE/?a=1", key.encoded());
    let seen = gateway.pass(&mut upstream, &Call::get(&target)).await;
    assert_eq!(seen.target, format!("/mcp/{}/SSE/?a=1", key.text()));
}

#[tokio::test]
async fn a_key_is_decoded_once_and_written_anew() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let letters = key.text().replace("zX", "%7A%58").replace('~', "%7e");
    let mut shown = Vec::new();
    for (spelling, rest) in [(key.text(), "sse"), (&key.encoded(), "mcp"), (&letters, "message")] {
        let target = format!("/api/mcp/{spelling}/{rest}");
        let seen = gateway.pass(&mut upstream, &Call::post(&target, &tool_call(1))).await;
        assert_eq!(seen.target, format!("/mcp/{}/{rest}", key.text()));
        let path = format!("/api/mcp/{{key}}/{rest}");
        shown.push(gateway.logged("the call", |line| line["path"] == path).await["key"].clone());
    }
    assert!(shown[0].is_string() && shown.iter().all(|key| *key == shown[0]), "{shown:?}");
    for twice in [letters.replace('%', "%25"), format!("{}%2Fsse", key.text())] {
        let call = Call::post(&format!("/api/mcp/{twice}"), &tool_call(1));
        gateway.ask(&call).await.refused(400, "malformed");
    }
    upstream.saw_nothing(&gateway).await;
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
