//! What the arguments of a tool may be.

use serde_json::{Value, json};

use super::{Ruled, request, told};
use crate::harness::Setup;

/// Drafts alone, on two channels, three posts at most.
const DRAFTS: &str = r#"
[consumers.tools.arguments.schedule]
"/posts/*/type" = { one_of = ["draft"] }
"/posts/*/channel" = { one_of = ["a", "b"], optional = true }
"/posts" = { max_items = 3 }
"#;

fn schedule(arguments: &Value) -> String {
    request("tools/call", json!({"name": "schedule", "arguments": arguments}))
}

/// The words after "Argument not allowed: ".
fn rule(answer: &crate::harness::Answer) -> String {
    let (code, text) = told(answer);
    assert_eq!(code, -32602);
    text.strip_prefix("Argument not allowed: ").unwrap_or(&text).to_owned()
}

#[tokio::test]
async fn every_element_has_to_keep_every_rule() {
    let mut ruled = Ruled::by(DRAFTS).await;
    for posts in [
        json!([]),
        json!([{"type": "draft"}]),
        json!([{"type": "draft", "channel": "a", "other": {"type": "now"}}, {"type": "draft"}]),
    ] {
        ruled.passes(&schedule(&json!({"posts": posts}))).await;
    }
    let draft = json!({"type": "draft"});
    for (posts, broken) in [
        (json!([draft, {"type": "now"}]), r#"/posts/*/type must be one of "draft""#),
        (json!([{"type": ["draft"]}]), r#"/posts/*/type must be one of "draft""#),
        (json!([{}]), r#"/posts/*/type must be one of "draft""#),
        (json!([{"type": "draft", "channel": "c"}]), r#"/posts/*/channel must be one of "a", "b""#),
        (json!([draft, draft, draft, draft]), "/posts may have at most 3 elements"),
        (json!({"0": draft}), r#"/posts/*/type must be one of "draft""#),
        (json!("draft"), r#"/posts/*/type must be one of "draft""#),
    ] {
        let answer = ruled.refused(&schedule(&json!({"posts": posts}))).await;
        // Of several broken rules any may be told; here there is one of elements, and one of all.
        let said = rule(&answer);
        assert!(said == broken || posts.is_object() || posts.is_string(), "{posts}: {said}");
        assert_eq!(answer.json()["error"]["data"]["reason"], "argument");
        assert_eq!(answer.json()["id"], 7);
    }
}

#[tokio::test]
async fn a_call_that_would_cost_its_rules_too_much_is_refused_and_told_so() {
    let mut ruled = Ruled::by(DRAFTS).await;
    let draft = json!({"type": "draft"});
    let posts = vec![draft; 150_000];
    let answer = ruled.refused(&schedule(&json!({"posts": posts}))).await;
    assert_eq!(rule(&answer), "there are too many of them to be judged");
}

#[tokio::test]
async fn a_call_without_arguments_breaks_a_rule_that_wants_them() {
    let mut ruled = Ruled::by(DRAFTS).await;
    for params in [
        json!({"name": "schedule"}),
        json!({"name": "schedule", "arguments": null}),
        json!({"name": "schedule", "arguments": []}),
        json!({"name": "schedule", "arguments": {"posts": null}}),
        json!({"name": "schedule", "arguments": {"Posts": []}}),
    ] {
        let answer = ruled.refused(&request("tools/call", params.clone())).await;
        assert!(answer.status == 200 || answer.status == 400, "{params}: {answer:?}");
    }
    ruled.passes(&request("tools/call", json!({"name": "other"}))).await;
}

#[tokio::test]
async fn a_member_that_is_the_named_one_in_another_case_is_refused() {
    let mut ruled = Ruled::by(DRAFTS).await;
    let answer =
        ruled.refused(&schedule(&json!({"posts": [{"type": "draft", "Type": "now"}]}))).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["data"]["reason"], "not_rpc");
    // Twice in one case is refused of every object.
    let twice = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"schedule","arguments":{"posts":[{"type":"draft","type":"now"}]}}}"#;
    assert_eq!(ruled.refused(twice).await.status, 400);
}

#[tokio::test]
async fn an_escape_does_not_hide_a_value_or_a_name() {
    let mut ruled = Ruled::by(DRAFTS).await;
    let hidden = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"schedule","arguments":{"p\u006fsts":[{"t\u0079pe":"n\u006fw"}]}}}"#;
    assert_eq!(rule(&ruled.refused(hidden).await), r#"/posts/*/type must be one of "draft""#);
}

#[tokio::test]
async fn one_call_of_a_batch_that_breaks_a_rule_takes_the_batch_with_it() {
    let mut ruled = Ruled::by(DRAFTS).await;
    let call = |id: u32, kind: &str| {
        let arguments = json!({"posts": [{"type": kind}]});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
               "params": {"name": "schedule", "arguments": arguments}})
    };
    let answer = ruled.refused(&json!([call(1, "draft"), call(2, "now")]).to_string()).await;
    let errors = answer.json();
    assert_eq!(errors[0]["error"]["code"], -32600);
    assert_eq!(
        errors[1]["error"]["message"],
        "Argument not allowed: /posts/*/type must be one of \"draft\""
    );
}

#[tokio::test]
async fn the_rules_of_the_route_and_of_the_consumer_both_hold() {
    let route = r#"tools = { arguments = { "sched*" = { "/note" = { absent = true } } } }"#;
    let mut ruled = Ruled::with(DRAFTS, |setup: Setup| setup.route(route)).await;
    ruled.passes(&schedule(&json!({"posts": []}))).await;
    let answer = ruled.refused(&schedule(&json!({"posts": [], "note": "x"}))).await;
    assert_eq!(rule(&answer), "/note must be left out");
    let answer = ruled.refused(&schedule(&json!({"posts": [{}]}))).await;
    assert_eq!(rule(&answer), r#"/posts/*/type must be one of "draft""#);
}

#[tokio::test]
async fn texts_numbers_and_times_are_held_to_their_rules() {
    let rules = r#"
[consumers.tools.arguments.schedule]
"/text" = { max_length = 5, matches = "[a-z ]*", optional = true }
"/at" = { after = "now", before = "now+30d", optional = true }
"/count" = { equals = 1, optional = true }
"/sure" = { equals = true, optional = true }
"#;
    let mut ruled = Ruled::by(rules).await;
    let hour = |hours: i64| {
        let now = jiff::Timestamp::now();
        now.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap().to_string()
    };
    for arguments in [
        json!({"text": "a bc"}),
        json!({"at": hour(1)}),
        json!({"count": 1.0}),
        json!({"sure": true}),
        json!({}),
    ] {
        ruled.passes(&schedule(&arguments)).await;
    }
    for (arguments, broken) in [
        (json!({"text": "abcdef"}), "/text may have at most 5 characters"),
        (json!({"text": "A"}), "/text must match [a-z ]*"),
        (json!({"at": hour(-1)}), "/at must be a time after now, UTC"),
        (json!({"at": hour(31 * 24)}), "/at must be a time before now+30d, UTC"),
        (json!({"at": "tomorrow"}), "/at must be a time before now+30d, UTC"),
        (json!({"count": "1"}), "/count must be 1"),
        (json!({"sure": null}), "/sure must be true"),
    ] {
        assert_eq!(rule(&ruled.refused(&schedule(&arguments)).await), broken, "{arguments}");
    }
}
