//! An endpoint that is lost, comes back, or is started anew.

use std::time::Duration;

use super::{Pair, ask, post};
use crate::harness::{Call, Key, Setup, Upstream, call_with_id, tool_call};

const HEALTHY: &str = "portcullis_upstream_healthy";

fn of(authority: &str) -> String {
    format!("endpoint=\"{authority}\"")
}

#[tokio::test]
async fn where_an_endpoint_is_lost_its_keys_go_to_the_next_without_an_error_and_come_back() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let key = Key::new();
    let mut client = gateway.client().await;
    let (own, _) = pair.pass(&mut client, &post(&key)).await;
    let label = of(&pair.authority(own));
    assert_eq!(gateway.metric(HEALTHY, &[]), 2.0);
    let address = pair.lose(own).await;
    for _ in 0..3 {
        let (at, seen) = pair.pass(&mut client, &post(&key)).await;
        assert_eq!((at, seen.field("host")), (1 - own, Some(&*pair.authority(1 - own))));
    }
    assert_eq!(gateway.metric(HEALTHY, &[&label]), 0.0);

    pair.put_back(own, address).await;
    // After its time a call tries it. Each of these is one, and none is an error.
    while pair.pass(&mut client, &post(&key)).await.0 != own {
        tokio::task::yield_now().await;
    }
    gateway.metric_becomes(HEALTHY, &[&label], 1.0).await;
    assert_eq!(pair.pass(&mut gateway.client().await, &post(&key)).await.0, own);
}

#[tokio::test]
async fn a_call_that_may_have_been_read_is_an_error_and_goes_nowhere_else() {
    for reset in [false, true] {
        let mut pair = Pair::start().await;
        let gateway = pair.setup().start();
        let key = Key::new();
        let mut client = gateway.client().await;
        let (own, _) = pair.pass(&mut client, &post(&key)).await;
        client.send(&post(&key)).await;
        let (at, request) = pair.next().await;
        assert_eq!(at, own);
        pair.lose(own).await;
        if reset {
            request.reset()
        } else {
            request.hang_up()
        }
        client.answer().await.refused(502, "upstream_down");
        // The next one is the first that the other endpoint sees.
        let other = Call::post("/api/mcp", &call_with_id(8, "ping")).bearer(&key);
        let (at, seen) = pair.pass(&mut client, &other).await;
        assert_eq!((at, seen.text()), (1 - own, &*call_with_id(8, "ping")));
        assert_eq!(pair.0[1 - own].connections(), 1);
    }
}

#[tokio::test]
async fn where_all_are_lost_each_call_tries_all_and_the_first_that_is_back_serves() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let addresses = [pair.lose(0).await, pair.lose(1).await];
    let key = Key::new();
    for _ in 0..3 {
        ask(&gateway, &post(&key)).await.refused(502, "upstream_down");
    }
    for (at, address) in addresses.into_iter().enumerate() {
        pair.put_back(at, address).await;
        // At once, and not after its time.
        let mut client = gateway.client().await;
        client.send(&post(&key)).await;
        pair.next().await.1.respond(200, &[], "{}").await;
        assert_eq!(client.answer().await.status, 200);
        if at == 0 {
            let first = std::mem::replace(&mut pair.0[0], Upstream::start().await);
            first.leave().await;
        }
    }
}

/// A server that is started anew: each of its clients that waits gets one error, and nobody else any.
#[tokio::test]
async fn a_server_that_restarts_costs_those_who_wait_one_error_and_others_none() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let (mut client, key) = (gateway.client().await, Key::new());
        client.send(&post(&key)).await;
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200);
        clients.push((client, key));
    }
    let mut under_way = Vec::new();
    for (client, key) in &mut clients[..2] {
        client.send(&post(key)).await;
        under_way.push(upstream.next().await);
    }
    let address = upstream.leave().await;
    drop(under_way);
    let mut upstream = Upstream::start_on(&address.to_string()).await;
    for (client, _) in &mut clients[..2] {
        client.answer().await.refused(502, "upstream_down");
    }
    // All of them, on connections that were kept and are dead.
    for _ in 0..2 {
        for (client, key) in &mut clients {
            client.send(&post(key)).await;
            assert_eq!(upstream.answer("{}").await.text(), tool_call(7));
            assert_eq!(client.answer().await.status, 200);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_restarts_behind_another_costs_only_those_who_wait_an_error() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (mut client, key) = (gateway.client().await, Key::new());
        pair.pass(&mut client, &post(&key)).await;
        clients.push((client, key));
    }
    let (waiting, key) = &mut clients[0];
    waiting.send(&post(key)).await;
    let (at, request) = pair.next().await;
    let address = pair.lose(at).await;
    drop(request);
    clients[0].0.answer().await.refused(502, "upstream_down");
    for (client, key) in &mut clients {
        assert_eq!(pair.pass(client, &post(key)).await.0, 1 - at, "while it is away");
    }
    pair.put_back(at, address).await;
    for (client, key) in &mut clients {
        pair.pass(client, &post(key)).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_never_answers_leaves_time_for_the_next() {
    let mut upstream = Upstream::start().await;
    // RFC 6761 6.4: nobody ever has a name below `invalid`.
    let endpoints = format!("[\"http://postiz.invalid:3000\", \"http://{}\"]", upstream.address());
    let more = format!(
        "[upstreams.other]\nendpoints = {endpoints}\n[timeouts]\nupstream_connect = \"4s\""
    );
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"other\"\npaths = [\"/api/mcp\"]\n\
                 unknown_keys = \"forward\"\n";
    let gateway = Setup::new(&upstream).routes(route).also(&more).start();
    let begun = std::time::Instant::now();
    for _ in 0..8 {
        gateway.pass(&mut upstream, &post(&Key::new())).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(6), "once at most, and never the whole time");
}
