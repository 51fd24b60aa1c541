use std::time::Instant;

use serde_json::{Value, json};

use super::{Stage, at_once, ends_with};
use crate::harness::{Key, Setup};

fn revoke(stage: &Stage, name: &str) -> Value {
    let (status, body) = stage.gateway.operate("POST /revocations", &json!({"consumer": name}));
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn a_revoked_key_ends_what_it_holds_open_and_opens_nothing_more() {
    let mut stage = Stage::new(Setup::state).await;
    let (alice, bob) = (stage.alice.clone(), stage.bob.clone());
    let (_stream, events) = stage.stream(&alice).await;
    let (mut of_bob, mut others) = stage.stream(&bob).await;
    let begun = Instant::now();
    let answer = revoke(&stage, "alice");
    assert_eq!((&answer["ended"], &answer["kept"]), (&json!(1), &json!(true)), "{answer}");
    // From outside it looks like any wrong key.
    ends_with(events, "unauthorized").await;
    at_once(begun);
    stage.call(&alice, 7).await.answer().await.refused(401, "unauthorized");
    stage.gateway.metric_becomes("portcullis_refusals_total", &["key_revoked"], 2.0).await;
    of_bob.event("message", "{}").await;
    assert!(others.next_event().await.is_some());
    let record = stage.gateway.operation(|line| line["what"] == "revoke").await;
    assert_eq!((&record["value"], &record["ended"]), (&json!("alice"), &json!(1)));
}

#[tokio::test]
async fn a_revocation_is_listed_and_lifted() {
    let mut stage = Stage::new(Setup::state).await;
    revoke(&stage, "alice");
    let (_, listed) = stage.gateway.operate("GET /revocations", &Value::Null);
    let first = &listed["revocations"][0];
    assert_eq!((&first["consumer"], &first["keys"]), (&json!("alice"), &json!(1)), "{listed}");
    let (status, _) = stage.gateway.operate("DELETE /revocations/bob", &Value::Null);
    assert_eq!(status, 404);
    let (status, _) = stage.gateway.operate("POST /revocations", &json!({"consumer": "carol"}));
    assert_eq!(status, 404);
    let (status, lifted) = stage.gateway.operate("DELETE /revocations/alice", &Value::Null);
    assert_eq!((status, &lifted["kept"]), (200, &json!(true)));
    let alice = stage.alice.clone();
    let mut client = stage.call(&alice, 7).await;
    stage.upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn without_a_state_directory_it_is_said_that_it_is_not_kept() {
    let stage = Stage::new(|setup| setup).await;
    let output = stage.gateway.command(&["revoke", "alice"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["revoked"], &answer["kept"]), (&json!(true), &json!(false)));
    let listed = stage.gateway.command(&["revocations"]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains("alice"));
    assert!(stage.gateway.command(&["unrevoke", "alice"]).status.success());
    let again = stage.gateway.command(&["unrevoke", "alice"]);
    assert_eq!(again.status.code(), Some(1));
}

#[tokio::test]
async fn a_new_key_of_a_revoked_consumer_counts_and_the_old_one_does_not() {
    let mut stage = Stage::new(|setup| setup).await;
    let (old, new) = (stage.alice.clone(), Key::new());
    revoke(&stage, "alice");
    stage.gateway.apply(|text| text.replace(&old.sha256(), &new.sha256()), |_| {});
    let mut client = stage.call(&new, 7).await;
    stage.upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    // This route forwards keys that nobody has.
    stage.call(&old, 8).await.answer().await.refused(401, "unauthorized");
    let is_it = |line: &Value| line["reason"] == "key_revoked" && line.get("consumer").is_none();
    stage.gateway.logged("the old key", is_it).await;
}

/// A deployment that writes a file in two steps, or one that somebody takes back, would let in again who
/// was revoked.
#[tokio::test]
async fn a_revocation_holds_although_a_file_in_between_lacks_its_consumer() {
    let mut stage = Stage::new(|setup| setup.route("unknown_keys = \"refuse\"")).await;
    let (alice, bob) = (stage.alice.clone(), stage.bob.clone());
    let (_stream, events) = stage.stream(&bob).await;
    revoke(&stage, "alice");
    let lacks = |text: String| {
        let without = |text: String, key: &Key| text.replace(&key.sha256(), &Key::new().sha256());
        without(without(text, &alice), &bob)
    };
    stage.gateway.apply(lacks, |_| {});
    // All that lives has been judged by that file.
    ends_with(events, "unauthorized").await;
    stage.call(&alice, 8).await.answer().await.refused(401, "unauthorized");
    stage.gateway.apply(|text| text, |_| {});
    stage.call(&alice, 9).await.answer().await.refused(401, "unauthorized");
    let (_, listed) = stage.gateway.operate("GET /revocations", &Value::Null);
    assert_eq!(listed["revocations"][0]["consumer"], "alice", "{listed}");
    assert_eq!(stage.gateway.operate("DELETE /revocations/alice", &Value::Null).0, 200);
    let mut client = stage.call(&alice, 10).await;
    stage.upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200, "an operator has lifted it");
}
