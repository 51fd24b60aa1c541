//! What is too slow, and what is too much at once.

use std::net::Ipv4Addr;

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_408_and_closed() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also("[timeouts]\nhead = \"100ms\"").start();
    let mut client = gateway.client().await;
    client.raw("GET /api/mcp HTTP/1.1\r\nhost: gat").await;
    assert!(client.answer().await.refused(408, "timeout").closes());
    client.is_closed().await;
}

#[tokio::test]
async fn a_body_that_stops_is_answered_408_and_nothing_of_it_went_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also("[timeouts]\nbody = \"100ms\"").start();
    let mut client = gateway.client().await;
    let whole = Call::post(&format!("/api/mcp/{}", Key::new().encoded()), &tool_call(1)).bytes();
    client.raw(&whole[..whole.len() - 9]).await;
    client.answer().await.refused(408, "timeout");
    client.is_closed().await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_without_a_word() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[timeouts]\nidle = \"100ms\"\nhead = \"150ms\"");
    let gateway = setup.start();
    let mut silent = gateway.client().await;
    assert!(silent.rest().await.is_empty());
    let mut kept = gateway.client().await;
    kept.send(&Call::post(&format!("/api/mcp/{}", Key::new().encoded()), &tool_call(1))).await;
    upstream.answer("{}").await;
    assert!(!kept.answer().await.closes());
    assert!(kept.rest().await.is_empty());
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed_and_counted() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).tls().also("[timeouts]\nhandshake = \"100ms\"");
    let gateway = setup.start();
    let mut client = gateway.client_of("https", Ipv4Addr::LOCALHOST).await;
    client.raw([0x16, 3, 1]).await;
    client.is_closed().await;
    let outcome = ["https", "timeout"];
    gateway.metric_becomes("portcullis_tls_handshakes_total", &outcome, 1.0).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_the_upstream_with_it() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also("[timeouts]\nwrite_stall = \"200ms\"").start();
    let mut client = gateway.client().await;
    client.send(&Call::get(&format!("/api/mcp/{}", Key::new().encoded()))).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let event = "x".repeat(64 * 1024);
    let flood = async {
        loop {
            stream.event("message", &event).await;
        }
    };
    tokio::select! {
        () = flood => {}
        line = gateway.logged("the end", |line| line["event"] == "exchange") => {
            assert_eq!(line["outcome"], "client_gone");
        }
    }
    drop(client);
}

#[tokio::test]
async fn connections_are_capped_in_all_and_for_one_address() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream);
    let gateway = setup.also("[limits]\nconnections = 3\nconnections_per_address = 2").start();
    let from = |last| gateway.client_of("http", Ipv4Addr::new(127, 0, 0, last));
    let mut under_way = Vec::new();
    for address in [2, 2, 3] {
        let mut client = from(address).await;
        client.send(&Call::get(&format!("/api/mcp/{}", Key::new().encoded()))).await;
        under_way.push((client, upstream.next().await));
        if under_way.len() == 2 {
            from(2).await.is_closed().await;
        }
    }
    from(4).await.is_closed().await;
    for (outcome, count) in [("accepted\"", 3.0), ("connections\"", 2.0), ("", 5.0)] {
        let labels = ["listener=\"http\"", &format!("outcome=\"{outcome}")];
        gateway.metric_becomes("portcullis_connections_total", &labels, count).await;
    }
}

#[tokio::test]
async fn handshakes_under_way_are_capped() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().also("[limits]\nhandshakes = 1").start();
    let mut first = gateway.client_of("https", Ipv4Addr::LOCALHOST).await;
    first.raw(gateway.client_hello()).await;
    first.is_answered().await;
    let mut second = gateway.client_of("https", Ipv4Addr::LOCALHOST).await;
    second.raw(gateway.client_hello()).await;
    second.is_closed().await;
    let outcome = ["https", "busy"];
    gateway.metric_becomes("portcullis_tls_handshakes_total", &outcome, 1.0).await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_keeps_nobody_from_a_handshake() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().also("[limits]\nhandshakes = 1").start();
    let _silent = gateway.client_of("https", Ipv4Addr::LOCALHOST).await;
    let mut halting = gateway.client_of("https", Ipv4Addr::LOCALHOST).await;
    halting.raw(&gateway.client_hello()[..99]).await;
    gateway.metric_becomes("portcullis_connections_open", &["https"], 2.0).await;
    gateway.tls_client().await.ask(&Call::get("/nothing")).await.refused(404, "no_route");
}
