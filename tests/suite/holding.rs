//! What is held while it lasts, and returned on every way out: streams of an address, requests under
//! way to an upstream, memory for bodies.

use std::net::Ipv4Addr;

use crate::harness::{Answer, Call, Client, Gateway, Key, Setup, Upstream, tool_call};

fn call(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(1)).bearer(key)
}

fn listen() -> Call {
    Call::get("/api/mcp").bearer(&Key::new())
}

async fn from(gateway: &Gateway, last: u8) -> Client {
    gateway.client_of("http", Ipv4Addr::new(127, 0, 0, last)).await
}

async fn in_flight(gateway: &Gateway, upstream: &str, count: f64) {
    let label = format!("upstream=\"{upstream}\"");
    gateway.metric_becomes("portcullis_upstream_requests_in_flight", &[&label], count).await;
}

async fn reached(gateway: &Gateway, limit: &str, count: f64) {
    let label = format!("limit=\"{limit}\"");
    gateway.metric_becomes("portcullis_limits_reached_total", &[&label], count).await;
}

fn too_many(answer: &Answer) {
    let message = answer.refused(429, "streams").json()["error"]["message"].to_string();
    assert!(message.contains("This address has too many open streams."), "{message}");
}

#[tokio::test]
async fn an_address_has_so_many_streams_over_all_keys() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also("[limits]\nstreams_per_address = 2").start();
    let mut open = Vec::new();
    // The answer to a call, known for a stream only when it comes, counts as a GET does.
    for call in [listen(), call(&Key::new())] {
        let mut client = from(&gateway, 2).await;
        client.send(&call).await;
        open.push((upstream.next().await.stream(&[]).await, client.stream().await));
    }
    too_many(&from(&gateway, 2).await.ask(&listen()).await);
    reached(&gateway, "limits.streams_per_address", 1.0).await;
    let mut other = from(&gateway, 3).await;
    other.send(&listen()).await;
    let others = (upstream.next().await.stream(&[]).await, other.stream().await);
    // By its end, and by its client's going.
    let (stream, mut events) = open.remove(0);
    stream.finish().await;
    assert_eq!(events.next_event().await, None);
    let (mut stream, events) = open.remove(0);
    drop(events);
    stream.is_abandoned().await;
    drop(others);
    gateway.metric_becomes("portcullis_streams_open", &[], 0.0).await;
    for _ in 0..2 {
        let mut client = from(&gateway, 2).await;
        client.send(&listen()).await;
        open.push((upstream.next().await.stream(&[]).await, client.stream().await));
    }
}

/// A gateway with a site beside nothing else.
fn site(upstream: &Upstream, lines: &str) -> Gateway {
    let routes = "[[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n\
                  hosts = [\"gateway.test\"]\nupgrade = [\"websocket\"]\n";
    let site = format!("[upstreams.site]\nendpoints = [\"http://{}\"]\n", upstream.address());
    Setup::new(upstream).routes(routes).also(&format!("{site}{lines}")).start()
}

const OFFER: &str = "GET /socket HTTP/1.1\r\nhost: gateway.test\r\nconnection: Upgrade\r\n\
                     upgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_tunnel_and_an_event_stream_of_a_site_are_streams_of_their_address() {
    let mut upstream = Upstream::start().await;
    let gateway = site(&upstream, "[limits]\nstreams_per_address = 1");
    let mut tunnel = from(&gateway, 2).await;
    tunnel.raw(OFFER).await;
    let mut site = upstream.next().await;
    site.raw(SWITCH).await;
    tunnel.one_switch().await;
    in_flight(&gateway, "site", 1.0).await;
    let mut second = from(&gateway, 2).await;
    second.raw(OFFER).await;
    let mut refused = upstream.next().await;
    refused.raw(SWITCH).await;
    too_many(&second.answer().await);
    refused.is_abandoned().await;
    let events = Call::get("/events");
    let mut third = from(&gateway, 2).await;
    third.send(&events).await;
    let mut refused = upstream.next().await.stream(&[]).await;
    too_many(&third.answer().await);
    refused.is_abandoned().await;
    reached(&gateway, "limits.streams_per_address", 2.0).await;
    let mut page = from(&gateway, 2).await;
    page.send(&Call::get("/page")).await;
    upstream.answer("{}").await;
    assert_eq!(page.answer().await.status, 200);
    drop(tunnel);
    site.is_abandoned().await;
    drop(site);
    in_flight(&gateway, "site", 0.0).await;
    let mut fourth = from(&gateway, 2).await;
    fourth.send(&events).await;
    let stream = upstream.next().await.stream(&[]).await;
    let mut events = fourth.stream().await;
    in_flight(&gateway, "site", 1.0).await;
    stream.finish().await;
    assert_eq!(events.next_event().await, None);
    in_flight(&gateway, "site", 0.0).await;
}

#[tokio::test]
async fn an_upstream_has_so_many_requests_under_way_and_the_rest_is_told_before_it_hears_of_them() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).upstream("max_requests = 1").start();
    in_flight(&gateway, "postiz", 0.0).await;
    let mut first = gateway.client().await;
    first.send(&call(&Key::new())).await;
    let request = upstream.next().await;
    let refused = gateway.ask(&call(&Key::new())).await;
    let wait = refused.refused(503, "overload").field("retry-after").unwrap();
    assert!((1..=5).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    assert_eq!(upstream.connections(), 1);
    reached(&gateway, "upstreams.max_requests", 1.0).await;
    in_flight(&gateway, "postiz", 1.0).await;
    request.respond(200, &[], "{}").await;
    first.answer().await;
    in_flight(&gateway, "postiz", 0.0).await;
    // A stream is under way until it ends, and a client that leaves takes its request with it.
    first.send(&listen()).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let events = first.stream().await;
    gateway.ask(&call(&Key::new())).await.refused(503, "overload");
    drop(events);
    stream.is_abandoned().await;
    in_flight(&gateway, "postiz", 0.0).await;
    gateway.pass(&mut upstream, &call(&Key::new())).await;
    in_flight(&gateway, "postiz", 0.0).await;
}

#[tokio::test]
async fn an_address_has_a_quarter_of_the_memory_for_bodies() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("max_body = \"20MiB\"").start();
    let padded = |size: usize| {
        let call = tool_call(1);
        let spaces = " ".repeat(size - call.len());
        Call::post("/api/mcp", &(call + &spaces)).bearer(&Key::new())
    };
    let mut holder = from(&gateway, 2).await;
    holder.send(&padded(17 << 20)).await;
    let held = upstream.next().await;
    from(&gateway, 2).await.ask(&padded(40 << 10)).await.refused(503, "overload");
    reached(&gateway, "bodies", 1.0).await;
    let mut other = from(&gateway, 3).await;
    other.send(&padded(40 << 10)).await;
    upstream.answer("{}").await;
    assert_eq!(other.answer().await.status, 200);
    held.respond(200, &[], "{}").await;
    assert_eq!(holder.answer().await.status, 200);
}
