//! The main job: a call and a stream pass.

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

#[tokio::test]
async fn a_call_passes_with_its_key() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    let call = Call::post(&format!("/api/mcp/{}", key.encoded()), &tool_call(1));
    let seen = gateway.pass(&mut upstream, &call).await;
    assert_eq!(seen.target, format!("/mcp/{}", key.text()));
    assert_eq!(seen.text(), tool_call(1));
    let line = gateway.logged("the call", |line| line["status"] == 200).await;
    assert_eq!(line["path"], "/api/mcp/{key}");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_stream_passes_over_tls_event_by_event() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().start();
    let key = Key::new();
    let mut client = gateway.tls_client().await;
    client.send(&Call::get(&format!("/api/sse/{}", key.text()))).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut events = client.stream().await;
    from_upstream.event("endpoint", &format!("/message/{}?sessionId=1", key.text())).await;
    let endpoint = events.next_event().await.unwrap();
    assert!(endpoint.data.starts_with(&format!("/api/message/{}?", key.text())), "{endpoint:?}");
    from_upstream.event("message", "{}").await;
    assert_eq!(events.next_event().await.unwrap().data, "{}");
    gateway.metric_becomes("portcullis_streams_open", &[], 1.0).await;
    drop(events);
    from_upstream.is_abandoned().await;
}

#[tokio::test]
async fn a_refusal_says_why_and_nothing_goes_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    gateway.ask(&Call::get("/api/mcp")).await.refused(401, "unauthorized");
    upstream.saw_nothing(&gateway).await;
}
