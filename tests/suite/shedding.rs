//! Who makes way where there is no more room: the connection that has waited longest of those on which
//! nothing is under way and that nobody has shown a key on.

use std::net::Ipv4Addr;

use crate::harness::{Call, Client, Gateway, Key, Setup, Upstream, tool_call};

const SHED: [&str; 1] = ["outcome=\"shed\""];

fn call(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(1)).bearer(key)
}

async fn from(gateway: &Gateway, last: u8) -> Client {
    gateway.client_of("http", Ipv4Addr::new(127, 0, 0, last)).await
}

async fn open(gateway: &Gateway, count: f64) {
    gateway.metric_becomes("portcullis_connections_open", &[], count).await;
}

async fn reached(gateway: &Gateway, limit: &str, count: f64) {
    let label = format!("limit=\"limits.{limit}\"");
    gateway.metric_becomes("portcullis_limits_reached_total", &[&label], count).await;
}

/// Passes a call on a connection, and leaves it open.
async fn used(gateway: &Gateway, upstream: &mut Upstream, last: u8, key: &Key) -> Client {
    let mut client = from(gateway, last).await;
    client.send(&call(key)).await;
    upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    client
}

#[tokio::test]
async fn silent_connections_from_many_addresses_keep_nobody_out() {
    let mut upstream = Upstream::start().await;
    let limits = "[limits]\nconnections = 6\nconnections_per_address = 2";
    let gateway = Setup::new(&upstream).also(limits).start();
    let mut silent = Vec::new();
    for (last, count) in [2, 2, 3, 3, 4, 4].into_iter().zip(1_u8..) {
        silent.push(from(&gateway, last).await);
        open(&gateway, count.into()).await;
    }
    let _client = used(&gateway, &mut upstream, 9, &Key::new()).await;
    silent[0].is_closed().await;
    gateway.metric_becomes("portcullis_connections_total", &SHED, 1.0).await;
    reached(&gateway, "connections", 1.0).await;
    open(&gateway, 6.0).await;
}

#[tokio::test]
async fn within_an_address_its_own_oldest_makes_way() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also("[limits]\nconnections_per_address = 2").start();
    let _other = from(&gateway, 2).await;
    open(&gateway, 1.0).await;
    let mut first = from(&gateway, 3).await;
    open(&gateway, 2.0).await;
    // Half a head is nothing under way.
    let mut second = from(&gateway, 3).await;
    second.raw("POST /api/mcp HTTP/1.1\r\nhost: ").await;
    open(&gateway, 3.0).await;
    let _third = used(&gateway, &mut upstream, 3, &Key::new()).await;
    first.is_closed().await;
    let _fourth = used(&gateway, &mut upstream, 3, &Key::new()).await;
    second.is_closed().await;
    gateway.metric_becomes("portcullis_connections_total", &SHED, 2.0).await;
    reached(&gateway, "connections_per_address", 2.0).await;
    reached(&gateway, "connections", 0.0).await;
}

#[tokio::test]
async fn what_is_under_way_is_never_shed() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also("[limits]\nconnections = 2").start();
    // Neither a call that waits for its answer nor a body that still comes.
    let mut waiting = from(&gateway, 2).await;
    waiting.send(&call(&Key::new())).await;
    let request = upstream.next().await;
    let key = Key::new();
    let bytes = call(&key).field("expect", "100-continue").bytes();
    let (head, body) = bytes.split_at(bytes.len() - tool_call(1).len());
    let mut sending = from(&gateway, 3).await;
    sending.raw(head).await;
    sending.is_told_to_continue().await;
    from(&gateway, 4).await.is_closed().await;
    request.respond(200, &[], "{}").await;
    assert_eq!(waiting.answer().await.status, 200);
    sending.raw(body).await;
    upstream.answer("{}").await;
    assert_eq!(sending.answer().await.status, 200);
    let refused = ["outcome=\"connections\""];
    gateway.metric_becomes("portcullis_connections_total", &refused, 1.0).await;
    gateway.metric_becomes("portcullis_connections_total", &SHED, 0.0).await;
}

#[tokio::test]
async fn a_connection_that_has_shown_a_key_that_is_one_is_never_shed() {
    let mut upstream = Upstream::start().await;
    let consumer = Key::new();
    let setup = Setup::new(&upstream).consumer("one", &consumer, "");
    let gateway = setup.also("[limits]\nconnections = 2").start();
    // A consumer's, and one that the upstream has accepted.
    let mut known = used(&gateway, &mut upstream, 2, &consumer).await;
    let mut accepted = used(&gateway, &mut upstream, 3, &Key::new()).await;
    from(&gateway, 4).await.is_closed().await;
    for client in [&mut known, &mut accepted] {
        client.ask(&Call::get("/nowhere")).await.refused(404, "no_route");
    }
    gateway.metric_becomes("portcullis_connections_total", &SHED, 0.0).await;
}

#[tokio::test]
async fn a_connection_whose_requests_were_all_refused_makes_way() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).route("unknown_keys = \"refuse\"");
    let key = Key::new();
    let gateway = setup.consumer("one", &key, "").also("[limits]\nconnections = 1").start();
    let mut guesser = from(&gateway, 2).await;
    guesser.ask(&call(&Key::new())).await.refused(401, "unauthorized");
    // It begins to wait a moment after its answer.
    while gateway.metric("portcullis_connections_total", &SHED) < 1.0 {
        drop(from(&gateway, 3).await);
    }
    guesser.is_closed().await;
    open(&gateway, 0.0).await;
    let _client = used(&gateway, &mut upstream, 3, &key).await;
}

#[tokio::test]
async fn who_waits_with_a_hello_makes_way_and_who_has_shown_a_key_over_http2_does_not() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).tls().consumer("one", &key, "");
    let gateway = setup.also("[limits]\nconnections = 2").start();
    let mut silent = gateway.client_of("https", Ipv4Addr::new(127, 0, 0, 2)).await;
    open(&gateway, 1.0).await;
    let mut idle = gateway.http2().await;
    open(&gateway, 2.0).await;
    let mut http2 = gateway.http2().await;
    silent.is_closed().await;
    // Its request needs a place of its own, and gets that of the other.
    http2.send(crate::http2::call(1, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(1).await.status, 200);
    idle.is_closed().await;
    gateway.metric_becomes("portcullis_connections_total", &SHED, 2.0).await;
    let _third = from(&gateway, 3).await;
    open(&gateway, 2.0).await;
    let _fourth = from(&gateway, 4).await;
    gateway.metric_becomes("portcullis_connections_total", &SHED, 3.0).await;
    // No connection but with a place: the one that is left takes the next request's.
    http2.send(crate::http2::call(3, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(3).await.status, 200);
}
