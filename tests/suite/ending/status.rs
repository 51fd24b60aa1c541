use serde_json::{Value, json};

use super::{Stage, ends_with};

#[tokio::test]
async fn what_is_under_way_is_shown_with_whose_it_is_and_how_far() {
    let mut stage = Stage::new(|setup| setup).await;
    assert!(stage.gateway.live().is_empty());
    let (alice, bob) = (stage.alice.clone(), stage.bob.clone());
    let (_stream, events) = stage.stream(&alice).await;
    let mut client = stage.call(&bob, 7).await;
    let request = stage.upstream.next().await;
    let live = stage.gateway.live();
    let [of_alice, of_bob] = &*live else { panic!("{live:?}") };
    for (name, value) in [
        ("kind", json!("stream")),
        ("consumer", json!("alice")),
        ("route", json!("mcp")),
        ("client", json!("127.0.0.1")),
        ("session", Value::Null),
        ("mcp_method", Value::Null),
        ("tools", json!([])),
        ("events", json!(1)),
    ] {
        assert_eq!(of_alice[name], value, "{name}: {of_alice}");
    }
    let fingerprint = of_alice["key"].as_str().unwrap();
    assert!(fingerprint.starts_with("fp:") && fingerprint.len() == 11, "{fingerprint}");
    assert!(of_alice["bytes"].as_u64().unwrap() > 10 && of_alice["age_seconds"].is_number());
    assert!(of_alice["last_event_seconds"].is_number(), "{of_alice}");
    for (name, value) in [
        ("kind", json!("request")),
        ("consumer", json!("bob")),
        ("mcp_method", json!("tools/call")),
        ("events", json!(0)),
        ("last_event_seconds", Value::Null),
    ] {
        assert_eq!(of_bob[name], value, "{name}: {of_bob}");
    }
    assert_eq!(of_bob["tools"].as_array().unwrap().len(), 1, "{of_bob}");
    let opened = stage.gateway.logged("the opening", |line| line["event"] == "stream_open").await;
    assert_eq!((&opened["request_id"], &opened["key"]), (&of_alice["stream"], &of_alice["key"]));
    request.respond(200, &[], "{}").await;
    client.answer().await;
    let left = stage.gateway.command(&["status"]);
    let left = String::from_utf8(left.stdout).unwrap();
    let line: Value = serde_json::from_str(left.trim_end()).expect("one line");
    assert_eq!(line["stream"], of_alice["stream"]);
    assert_eq!(stage.gateway.kill(&json!({"all": true})), 1);
    ends_with(events, "killed").await;
}
