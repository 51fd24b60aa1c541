use std::time::Instant;

use serde_json::json;

use super::{Stage, at_once};
use crate::harness::Call;

#[tokio::test]
async fn who_reads_nothing_is_ended_at_once_and_gets_no_more_of_it() {
    let setup = |setup: crate::harness::Setup| setup.also("[timeouts]\nwrite_stall = \"1h\"");
    let mut stage = Stage::new(setup).await;
    let mut client = stage.gateway.client().await;
    client.send(&Call::get("/api/mcp").bearer(&stage.alice)).await;
    let mut stream = stage.upstream.next().await.stream(&[]).await;
    let event = "x".repeat(64 * 1024);
    // Until the gateway takes no more, because its client doesn't.
    let mut sent = 0;
    while tokio::time::timeout(std::time::Duration::from_millis(300), stream.event("m", &event))
        .await
        .is_ok()
    {
        sent += event.len();
    }
    assert!(sent > 0);
    let begun = Instant::now();
    assert_eq!(stage.gateway.kill(&json!({"key": "alice"})), 1);
    let line = stage.ended("cut", "killed").await;
    at_once(begun);
    assert_eq!(line["consumer"], "alice");
    stage.gateway.metric_becomes("portcullis_connections_open", &[], 0.0).await;
    assert!(client.is_reset().await, "what waits in the socket isn't delivered");
}
