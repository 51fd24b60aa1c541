//! Address lists that are tried out before they are in force, and nets under a name.

use std::net::Ipv4Addr;

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

const FRIEND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const OBSERVED: &str = "portcullis_observed_refusals_total";

fn post(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(1)).bearer(key)
}

#[tokio::test]
async fn a_peer_that_an_observed_list_would_refuse_is_served_counted_and_noted() {
    let mut upstream = Upstream::start().await;
    let deny = "[access]\ndeny = { nets = [\"127.0.0.3\"], mode = \"observe\" }";
    let gateway = Setup::new(&upstream).also(deny).start();
    for (from, observed) in [(FRIEND, None), (STRANGER, Some("address"))] {
        let mut client = gateway.client_of("http", from).await;
        client.send(&post(&Key::new())).await;
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200);
        let line = gateway.logged("it", |line| line["client"] == from.to_string()).await;
        assert_eq!(line.get("observed").and_then(|word| word.as_str()), observed, "{line}");
        assert_eq!((&line["outcome"], line.get("reason")), (&"answered".into(), None), "{line}");
    }
    // Once as a connection, which has no route, and once as what was asked on it.
    gateway.metric_becomes(OBSERVED, &["reason=\"address\"", "route=\"\""], 1.0).await;
    gateway.metric_becomes(OBSERVED, &["reason=\"address\"", "route=\"mcp\""], 1.0).await;
    let connections = |outcome| gateway.metric("portcullis_connections_total", &[outcome]);
    assert_eq!((connections("accepted"), connections("")), (2.0, 2.0), "counted once each");
}

#[tokio::test]
async fn the_lists_of_a_route_and_of_a_consumer_can_be_observed() {
    let mut upstream = Upstream::start().await;
    let (home, away) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream);
    let setup = setup.route("deny = { nets = [\"127.0.0.3\"], mode = \"observe\" }");
    let allow = "allow = { nets = [\"127.0.0.9\"], mode = \"observe\" }\n";
    let gateway = setup.consumer("home", &home, allow).consumer("away", &away, "").start();
    let mut counted = 0.0;
    for (from, key, observed) in [
        (FRIEND, &away, false),
        (FRIEND, &home, true),
        (STRANGER, &away, true),
        (STRANGER, &home, true),
    ] {
        let mut client = gateway.client_of("http", from).await;
        client.send(&post(key)).await;
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200, "{from}");
        // Once an exchange, however many lists would refuse it.
        counted += f64::from(u8::from(observed));
        gateway.metric_becomes(OBSERVED, &["route=\"mcp\""], counted).await;
    }
}

#[tokio::test]
async fn what_is_in_force_refuses_beside_what_is_observed() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .route("allow = { nets = [\"127.0.0.3\"], mode = \"observe\" }\ndeny = [\"127.0.0.0/8\"]")
        .start();
    // In force, the allow list would let this one in.
    let mut client = gateway.client_of("http", STRANGER).await;
    client.ask(&post(&Key::new())).await.refused(403, "address");
    let line = gateway.logged("the refusal", |line| line["reason"] == "address").await;
    assert_eq!(line.get("observed"), None, "{line}");
    assert_eq!(gateway.metric(OBSERVED, &[]), 0.0);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_set_is_its_nets_for_access_routes_consumers_and_proxies() {
    let mut upstream = Upstream::start().await;
    let (home, everywhere) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream)
        .also(
            "[sets]\nproxies = [\"127.0.0.9\"]\noffice = [\"127.0.0.2\", \"127.0.0.9\"]\n\
             all = [\"127.0.0.0/8\", \"198.51.100.0/24\"]\nbad = [\"127.0.0.3\"]\n\
             [access]\nallow = [\"all\"]\ndeny = [\"bad\"]\ntrusted_proxies = [\"proxies\"]",
        )
        .route("allow = [\"office\", \"198.51.100.7\", \"127.0.0.4\"]")
        .consumer("home", &home, "allow = [\"office\"]\n")
        .consumer("everywhere", &everywhere, "")
        .start();
    gateway.client_of("http", STRANGER).await.is_closed().await;
    for (from, key, hops, allowed) in [
        ([127, 0, 0, 2], &home, None, true),
        ([127, 0, 0, 4], &home, None, false),
        ([127, 0, 0, 4], &everywhere, None, true),
        ([127, 0, 0, 5], &everywhere, None, false),
        ([127, 0, 0, 9], &everywhere, Some("198.51.100.7"), true),
        ([127, 0, 0, 9], &everywhere, Some("198.51.100.8"), false),
        ([127, 0, 0, 2], &everywhere, Some("198.51.100.8"), true),
    ] {
        let mut client = gateway.client_of("http", from.into()).await;
        let call =
            hops.into_iter().fold(post(key), |call, hops| call.field("x-forwarded-for", hops));
        client.send(&call).await;
        if allowed {
            upstream.answer("{}").await;
            assert_eq!(client.answer().await.status, 200, "{from:?} {hops:?}");
        } else {
            client.answer().await.refused(403, "address");
        }
    }
}
