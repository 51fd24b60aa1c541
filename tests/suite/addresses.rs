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
