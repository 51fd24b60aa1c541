//! From where.

use std::net::Ipv4Addr;

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

const FRIEND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

fn post(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(1)).bearer(key)
}

#[tokio::test]
async fn who_may_not_connect_is_closed_before_tls_and_counted() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).tls().also("[access]\ndeny = [\"127.0.0.3\"]");
    let gateway = setup.start();
    let mut refused = gateway.client_of("https", STRANGER).await;
    refused.is_closed().await;
    let refusals = ["https", "address"];
    gateway.metric_becomes("portcullis_connections_total", &refusals, 1.0).await;
    gateway.ask(&Call::get("/nothing")).await.refused(404, "no_route");
}

#[tokio::test]
async fn the_forwarded_address_is_judged_where_the_peer_is_trusted_and_nowhere_else() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also(
        "[access]\ntrusted_proxies = [\"127.0.0.2\"]\n\
         allow = [\"127.0.0.0/8\", \"198.51.100.0/24\"]",
    );
    let gateway = setup.start();
    let key = Key::new();
    for (from, hops, outcome) in [
        (FRIEND, "203.0.113.9, 198.51.100.7", Ok("198.51.100.7")),
        (FRIEND, "198.51.100.7, 203.0.113.9", Err((403, "address"))),
        (FRIEND, "::ffff:198.51.100.8", Ok("198.51.100.8")),
        (FRIEND, "198.51.100.7, unknown", Err((400, "malformed"))),
        (STRANGER, "198.51.100.7", Ok("127.0.0.3")),
    ] {
        let mut client = gateway.client_of("http", from).await;
        client.send(&post(&key).field("x-forwarded-for", hops)).await;
        match outcome {
            Ok(address) => {
                let seen = upstream.answer("{}").await;
                assert_eq!(seen.field("x-forwarded-for"), Some(address), "{hops}");
                assert_eq!(client.answer().await.status, 200);
            }
            Err((status, reason)) => {
                client.answer().await.refused(status, reason);
            }
        }
    }
}

#[tokio::test]
async fn the_hop_is_read_from_all_lines_and_what_is_no_address_closes_the_connection() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .also("[access]\ntrusted_proxies = [\"127.0.0.2\", \"192.0.2.0/24\"]")
        .start();
    let key = Key::new();
    for (lines, address) in [
        // The rightmost that no trusted proxy wrote for itself, over all lines as one list.
        (&["203.0.113.9", "198.51.100.7"][..], "198.51.100.7"),
        (&["203.0.113.9, 198.51.100.7", "192.0.2.1"], "198.51.100.7"),
        (&["unknown, 198.51.100.7"], "198.51.100.7"),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["198.51.100.7:443"], "198.51.100.7"),
        (&["203.0.113.9, [2001:db8::7]:443, 192.0.2.1:80"], "2001:db8::7"),
        (&[], "127.0.0.2"),
    ] {
        let mut client = gateway.client_of("http", FRIEND).await;
        let call = lines.iter().fold(post(&key), |call, line| call.field("x-forwarded-for", line));
        client.send(&call).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-forwarded-for"), Some(address), "{lines:?}");
        client.answer().await;
    }
    for hops in [
        "198.51.100.7:",
        "198.51.100.7:65536",
        "",
        "198.51.100.7,",
        "_hidden",
        "[2001:db8::7]",
        "198.51.100.07",
    ] {
        let mut client = gateway.client_of("http", FRIEND).await;
        let answer = client.ask(&post(&key).field("x-forwarded-for", hops)).await;
        assert!(answer.refused(400, "malformed").closes(), "{hops}");
        client.is_closed().await;
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_ipv4_address_that_came_over_ipv6_is_that_ipv4_address() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .route("allow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.2\"]")
        .also("[access]\ndeny = [\"127.0.0.3\"]")
        .also("[[listeners]]\nname = \"both\"\naddress = \"[::]:0\"")
        .start();
    let key = Key::new();
    let mut let_in = gateway.client_of("both", Ipv4Addr::LOCALHOST).await;
    let_in.send(&post(&key)).await;
    assert_eq!(upstream.answer("{}").await.field("x-forwarded-for"), Some("127.0.0.1"));
    let_in.answer().await;
    let mut by_route = gateway.client_of("both", FRIEND).await;
    by_route.ask(&post(&key)).await.refused(403, "address");
    gateway.client_of("both", STRANGER).await.is_closed().await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn the_address_is_judged_before_the_key() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route("unknown_keys = \"refuse\"\nallow = [\"127.0.0.2\"]");
    let gateway = setup.consumer("one", &key, "").start();
    let in_path = |word: &str| Call::post(&format!("/api/{word}/{}", Key::new().encoded()), "{}");
    for (path, call) in [
        ("/api/mcp", post(&key)),
        ("/api/mcp/{key}", in_path("mcp")),
        ("/api/message/{key}", in_path("message")),
    ] {
        gateway.ask(&call).await.refused(403, "address");
        let line = gateway.logged("the refusal", |line| line["path"] == path).await;
        assert_eq!((&line["reason"], line.get("key")), (&"address".into(), None), "{line}");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_peer_that_may_connect_does_not_let_in_whom_it_forwards() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .also(
            "[access]\ntrusted_proxies = [\"127.0.0.2\"]\ndeny = [\"198.51.100.0/24\"]\n\
             trusted_header = \"x-client\"",
        )
        .start();
    let key = Key::new();
    let ask = |hops: &'static str| post(&key).field("x-client", hops);
    let mut client = gateway.client_of("http", FRIEND).await;
    client.ask(&ask("198.51.100.7")).await.refused(403, "address");
    client.ask(&ask("::ffff:198.51.100.7")).await.refused(403, "address");
    // Another field than the trusted one is anybody's word.
    client.send(&ask("203.0.113.9").field("x-forwarded-for", "198.51.100.7")).await;
    let seen = upstream.answer("{}").await;
    assert_eq!(seen.field("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(client.answer().await.status, 200);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn the_header_that_is_trusted_never_goes_on_whoever_wrote_it() {
    let mut upstream = Upstream::start().await;
    let access = "[access]\ntrusted_proxies = [\"127.0.0.2\"]\ntrusted_header = \"x-client\"";
    let gateway = Setup::new(&upstream).also(access).start();
    let call = post(&Key::new()).field("X-Client", "192.0.2.1").field("x-client-name", "kept");
    for (from, address) in [(STRANGER, "127.0.0.3"), (FRIEND, "192.0.2.1")] {
        let mut client = gateway.client_of("http", from).await;
        client.send(&call).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-client"), None, "an upstream may believe it");
        assert_eq!(seen.field("x-client-name"), Some("kept"));
        assert_eq!(seen.field("x-forwarded-for"), Some(address));
        client.answer().await;
    }
}

#[tokio::test]
async fn the_header_that_is_trusted_has_one_spelling_and_connection_does_not_drop_it() {
    let mut upstream = Upstream::start().await;
    let access = "[access]\ntrusted_proxies = [\"127.0.0.2\"]\ntrusted_header = \"x-client\"\n\
                  deny = [\"192.0.2.0/24\"]";
    let gateway = Setup::new(&upstream).also(access).start();
    let call = post(&Key::new()).field("x-client", "192.0.2.1");
    for from in [STRANGER, FRIEND] {
        for trick in [("connection", "X-Client"), ("x_client", "198.51.100.7")] {
            let mut client = gateway.client_of("http", from).await;
            let answer = client.ask(&call.clone().field(trick.0, trick.1)).await;
            assert!(answer.refused(400, "malformed").closes(), "{trick:?} from {from}");
        }
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn route_and_consumer_say_from_where_they_may_be_used() {
    let mut upstream = Upstream::start().await;
    let (everywhere, home) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route("allow = [\"127.0.0.2\", \"127.0.0.3\"]");
    let setup = setup.consumer("everywhere", &everywhere, "");
    let gateway = setup.consumer("home", &home, "allow = [\"127.0.0.2\"]\n").start();
    for (from, key, allowed) in [
        (FRIEND, &home, true),
        (STRANGER, &home, false),
        (STRANGER, &everywhere, true),
        (Ipv4Addr::LOCALHOST, &everywhere, false),
    ] {
        let mut client = gateway.client_of("http", from).await;
        client.send(&post(key)).await;
        if allowed {
            upstream.answer("{}").await;
            assert_eq!(client.answer().await.status, 200);
        } else {
            client.answer().await.refused(403, "address");
        }
    }
}

#[tokio::test]
async fn no_spelling_of_the_path_gets_round_the_addresses() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("allow = [\"127.0.0.2\"]").start();
    let key = Key::new();
    for target in [
        "/api/mcp",
        "/API/MCP",
        "/api/mcp/",
        "/api/mcp?x=1",
        "/api/mcp/sse",
        "/api/mcp/%61",
        "http://gateway.test/api/mcp",
    ] {
        let call = Call::post(target, &tool_call(1)).bearer(&key);
        gateway.ask(&call).await.refused(403, "address");
    }
    for target in
        ["//api/mcp", "/api//mcp", "/x/../api/mcp", "/api/m%63p", "/api/%6dcp", "/api/mcp;x"]
    {
        let answer = gateway.ask(&Call::post(target, &tool_call(1)).bearer(&key)).await;
        assert!([400, 404].contains(&answer.status), "{target}: {answer:?}");
    }
    upstream.saw_nothing(&gateway).await;
}
