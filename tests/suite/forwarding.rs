//! What goes on and what comes back: heads written anew, and nothing in them that isn't meant to be.

use std::net::Ipv4Addr;

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

fn post(key: &Key) -> Call {
    Call::post(&format!("/api/mcp/{}", key.text()), &tool_call(1))
}

#[tokio::test]
async fn what_is_meant_for_the_next_hop_or_for_nobody_does_not_go_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let call = post(&key)
        .field("connection", "keep-alive, x-hop")
        .field("x-hop", "1")
        .field("keep-alive", "timeout=5")
        .field("te", "trailers")
        .field("trailer", "x")
        .field("proxy-authorization", "Basic x")
        .field("proxy-connection", "keep-alive")
        .field("upgrade", "h2c")
        .field("accept-encoding", "gzip")
        .field("cookie", &format!("k={}", key.text()))
        .field("referer", &format!("https://gateway.test/api/mcp/{}", key.text()))
        .field("forwarded", "for=192.0.2.1")
        .field("x-forwarded-for", "192.0.2.1")
        .field("x-forwarded-proto", "https")
        .field("x-forwarded-host", "evil.example")
        .field("x-forwarded-port", "1")
        .field("x-real-ip", "192.0.2.1")
        .field("true-client-ip", "192.0.2.1")
        .field("cf-connecting-ip", "192.0.2.1")
        .field("x-forwarded", "for=192.0.2.1")
        .field("x-azure-clientip", "192.0.2.1")
        .field("x-vercel-forwarded-for", "192.0.2.1")
        .field("client-ip", "192.0.2.1")
        .field("x-own", "kept")
        .field("mcp-protocol-version", "2025-06-18");
    let seen = gateway.pass(&mut upstream, &call).await;
    let mut names: Vec<_> = seen.fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "mcp-protocol-version",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-own",
    ];
    assert_eq!(names, expected);
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("gateway.test"));
    assert_eq!(seen.field("host"), Some(upstream.address().to_string().as_str()));
}

#[tokio::test]
async fn what_the_upstream_says_of_itself_and_its_hop_does_not_come_down() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().start();
    for tls in [false, true] {
        let mut client = if tls { gateway.tls_client().await } else { gateway.client().await };
        client.send(&post(&Key::new())).await;
        let fields = [
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("server", "Express/4"),
            ("x-powered-by", "Express"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
            ("strict-transport-security", "max-age=1; includeSubDomains"),
            ("referrer-policy", "unsafe-url"),
            ("alt-svc", "h3=\":443\""),
            ("content-type", "application/json"),
            ("mcp-session-id", "7"),
        ];
        upstream.next().await.respond(200, &fields, "{}").await;
        let answer = client.answer().await;
        let mut names: Vec<_> = answer.fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let mut expected = vec!["content-length", "content-type", "mcp-session-id"];
        expected.push("referrer-policy");
        if tls {
            expected.push("strict-transport-security");
            let hsts = answer.field("strict-transport-security").unwrap();
            assert!(hsts.starts_with("max-age=") && !hsts.contains("includeSubDomains"), "{hsts}");
        }
        assert_eq!(names, expected);
        assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
    }
}

#[tokio::test]
async fn a_body_that_a_method_gives_no_meaning_to_never_becomes_a_request() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let smuggled = "POST /mcp/admin HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    for method in ["GET", "DELETE"] {
        let target = format!("/api/mcp/{}", Key::new().text());
        let seen = gateway.pass(&mut upstream, &Call::new(method, &target).body(smuggled)).await;
        assert_eq!((seen.method.as_str(), seen.body.len()), (method, 0));
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn the_hop_that_a_trusted_proxy_wrote_is_the_client() {
    let mut upstream = Upstream::start().await;
    let access = "[access]\ntrusted_proxies = [\"127.0.0.2\", \"10.0.0.0/8\"]";
    let gateway = Setup::new(&upstream).also(access).start();
    for (hops, client) in [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.1, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ] {
        let mut through = gateway.client_of("http", Ipv4Addr::new(127, 0, 0, 2)).await;
        let call = post(&Key::new());
        let call = call.field("x-forwarded-for", hops).field("x-forwarded-proto", "https");
        through.send(&call).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-forwarded-for"), Some(client), "{hops}");
        assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
        through.answer().await;
        let seen = gateway.pass(&mut upstream, &call).await;
        assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"), "a stranger is not believed");
    }
}

#[tokio::test]
async fn the_upstreams_host_is_what_host_header_says() {
    for (setting, host) in [("client", "gateway.test:81"), ("fixed.test:8080", "fixed.test:8080")] {
        let mut upstream = Upstream::start().await;
        let other = format!(
            "[upstreams.other]\nendpoints = [\"http://{}\"]\nstrip_prefix = \"/api\"\n\
             host_header = \"{setting}\"",
            upstream.address()
        );
        let route = "[[routes]]\nname = \"mcp\"\nupstream = \"other\"\npaths = [\"/api/mcp/{key}\"]\n\
                     unknown_keys = \"forward\"\n";
        let gateway = Setup::new(&upstream).routes(route).also(&other).start();
        let call = post(&Key::new()).host("Gateway.test:81");
        assert_eq!(gateway.pass(&mut upstream, &call).await.field("host"), Some(host));
    }
}

#[tokio::test]
async fn a_redirect_never_reaches_the_client() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    for status in [300, 301, 302, 303, 307, 308] {
        for location in ["https://evil.example/", "/login", &format!("//evil/mcp/{}/", key.text())]
        {
            let mut client = gateway.client().await;
            client.send(&post(&key)).await;
            upstream.next().await.respond(status, &[("location", location)], "").await;
            client.answer().await.refused(502, "upstream_bad");
        }
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_redirect_for_a_trailing_slash_is_followed_once() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let slash = format!("/mcp/{}/", key.text());
    for status in [307, 308] {
        let mut client = gateway.client().await;
        client.send(&post(&key)).await;
        upstream.next().await.respond(status, &[("location", &slash)], "").await;
        let again = upstream.answer("{}").await;
        assert_eq!((again.target.as_str(), again.text()), (slash.as_str(), &*tool_call(1)));
        assert_eq!(client.answer().await.status, 200);

        client.send(&post(&key)).await;
        upstream.next().await.respond(status, &[("location", &slash)], "").await;
        let back = slash.trim_end_matches('/').to_owned();
        upstream.next().await.respond(status, &[("location", &back)], "").await;
        client.answer().await.refused(502, "upstream_bad");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_browsers_origin_is_its_own_or_one_of_the_routes() {
    let mut upstream = Upstream::start().await;
    let origins = "origins = [\"https://inspector.example.com\"]";
    let gateway = Setup::new(&upstream).route(origins).start();
    let call = |origin: &str| post(&Key::new()).field("origin", origin);
    for origin in ["http://gateway.test", "http://Gateway.test:80", "https://inspector.example.com"]
    {
        let mut client = gateway.client().await;
        client.send(&call(origin)).await;
        upstream.answer("{}").await;
        let answer = client.answer().await;
        assert_eq!(answer.field("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.field("vary"), Some("origin"));
        assert_eq!(answer.field("access-control-allow-credentials"), None);
    }
    for origin in [
        "https://gateway.test",
        "http://gateway.test:81",
        "http://gateway.test.evil.example",
        "null",
        "",
        "http://inspector.example.com",
    ] {
        let answer = gateway.ask(&call(origin)).await;
        answer.refused(403, "origin");
        assert_eq!(answer.field("access-control-allow-origin"), None);
    }
    let two = call("http://gateway.test").field("origin", "http://gateway.test");
    gateway.ask(&two).await.refused(403, "origin");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let target = format!("/api/mcp/{}", Key::new().text());
    let call = |origin: &str| {
        Call::new("OPTIONS", &target)
            .field("origin", origin)
            .field("access-control-request-method", "POST")
    };
    let answer = gateway.ask(&call("http://gateway.test")).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_eq!(answer.field("access-control-allow-origin"), Some("http://gateway.test"));
    assert!(answer.field("access-control-allow-methods").unwrap().contains("POST"));
    assert!(answer.field("access-control-allow-headers").unwrap().contains("mcp-session-id"));
    gateway.ask(&call("https://evil.example")).await.refused(403, "origin");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_injected_key_is_masked_in_what_an_error_quotes() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("alice", &key, &real, "").start();
    for status in [400, 401, 404, 500] {
        for quoted in [real.text().to_owned(), real.encoded(), real.text().replace('=', "%3D")] {
            let mut client = gateway.client().await;
            client.send(&post(&key)).await;
            let body = format!("Cannot POST /mcp/{quoted}");
            let covered = format!("Cannot POST /mcp/{}", "*".repeat(quoted.len()));
            let fields = [("x-path", quoted.as_str()), ("content-type", "text/plain")];
            upstream.next().await.respond(status, &fields, body).await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.text()), (status, &*covered));
            assert_eq!(answer.field("x-path"), None);
        }
    }
}
