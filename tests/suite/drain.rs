//! The end: nothing new, what is under way may finish, streams get their grace.

use std::time::Duration;

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

fn target() -> String {
    format!("/api/mcp/{}", Key::new().encoded())
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once_whoever_is_connected() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&Call::post(&target(), &tool_call(1))).await;
    upstream.answer("{}").await;
    client.answer().await;
    let stopping = gateway.begin_to_stop();
    client.is_closed().await;
    assert!(stopping.ended() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_call_under_way_finishes_and_its_connection_closes() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&Call::post(&target(), &tool_call(1))).await;
    let request = upstream.next().await;
    let ready = gateway.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let stopping = gateway.begin_to_stop();
    while !gateway.admin("/readyz").contains("draining") {
        tokio::task::yield_now().await;
    }
    while tokio::net::TcpStream::connect(gateway.address("http")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    request.respond(200, &[], "{}").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.closes()), (200, true));
    assert!(stopping.ended() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_open_stream_gets_its_grace_and_a_clean_end() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[timeouts]\nshutdown = \"300ms\"");
    let mut gateway = setup.start();
    let mut client = gateway.client().await;
    client.send(&Call::get(&target())).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let mut events = client.stream().await;
    stream.event("message", "{}").await;
    events.next_event().await.unwrap();
    let stopping = gateway.begin_to_stop();
    stream.event("message", "{}").await;
    assert!(events.next_event().await.is_some(), "events pass during the grace");
    assert!(events.next_event().await.is_none());
    assert!(events.ended_whole());
    let line = gateway.logged("the end", |line| line["event"] == "exchange").await;
    let id = u64::from_str_radix(line["request_id"].as_str().unwrap(), 16).unwrap();
    assert_eq!(events.retry(), Some(1_000 + id % 14_001), "each at a moment of its own");
    let took = stopping.ended();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_stream_whose_event_is_torn_is_told_nothing_more() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[timeouts]\nshutdown = \"200ms\"");
    let mut gateway = setup.start();
    let mut client = gateway.client().await;
    client.send(&Call::get(&target())).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let mut events = client.stream().await;
    stream.send("data: whole\n\ndata: half").await;
    events.next_event().await.unwrap();
    let stopping = gateway.begin_to_stop();
    assert!(events.next_event().await.is_none());
    assert!(!events.ended_whole() && events.retry().is_none());
    stopping.ended();
    let shutdown = |line: &serde_json::Value| line["outcome"] == "cut";
    gateway.logged("the cut", shutdown).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_does_not_look_whole() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[timeouts]\nshutdown = \"200ms\"");
    let mut gateway = setup.start();
    let mut client = gateway.client().await;
    client.send(&Call::post(&target(), &tool_call(1))).await;
    let mut request = upstream.next().await;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    request.raw(format!("{head}6\r\n{{\"res\"\r\n")).await;
    let stopping = gateway.begin_to_stop();
    let said = String::from_utf8(client.rest().await).unwrap();
    assert!(said.contains("{\"res\"") && !said.ends_with("0\r\n\r\n"), "{said}");
    stopping.ended();
}

#[tokio::test]
async fn a_call_that_still_waits_at_the_end_of_the_grace_is_told() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).also("[timeouts]\nshutdown = \"200ms\"");
    let mut gateway = setup.start();
    let mut client = gateway.client().await;
    client.send(&Call::post(&target(), &tool_call(1))).await;
    let _request = upstream.next().await;
    let stopping = gateway.begin_to_stop();
    client.answer().await.refused(503, "overload");
    stopping.ended();
    gateway.logged("the call", |line| line["reason"] == "overload").await;
}

#[tokio::test]
async fn a_stream_whose_client_reads_nothing_ends_with_the_grace_and_is_logged() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nshutdown = \"200ms\"\nwrite_stall = \"1h\"";
    let mut gateway = Setup::new(&upstream).also(timeouts).start();
    let mut client = gateway.client().await;
    client.send(&Call::get(&target())).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let stopping = gateway.begin_to_stop();
    let event = "x".repeat(64 * 1024);
    let flood = async {
        loop {
            stream.event("message", &event).await;
        }
    };
    tokio::select! {
        () = flood => {}
        line = gateway.logged("the end", |line| line["event"] == "exchange") => {
            // What of the two depends on whether the socket was full by then.
            assert!(line["outcome"] == "client_gone" || line["outcome"] == "cut", "{line}");
        }
    }
    drop(client);
    stopping.ended();
}
