use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis::{
    policy::{AddressPolicy, Consumer, Consumers, ToolLimits},
    snapshot::Snapshot,
    types::{Name, Secret},
};
use serde_json::{Value, json};

use super::{Stage, at_once, ends_with};
use crate::harness::{Call, Key};

fn left_alone(_: &mut Snapshot) {}

/// Opens a stream of Alice and one of Bob, edits the configuration, and holds the gateway to ending hers
/// alone, for this reason.
async fn ends_alices(edit: impl FnOnce(&Stage, String) -> String, word: &str, reason: &str) {
    let mut stage = Stage::with("allow = [\"127.0.0.1\"]\n", |setup| setup).await;
    let (alice, bob) = (stage.alice.clone(), stage.bob.clone());
    let (mut of_alice, events) = stage.stream(&alice).await;
    let (mut of_bob, mut others) = stage.stream(&bob).await;
    let begun = Instant::now();
    stage.gateway.apply(|text| edit(&stage, text), left_alone);
    ends_with(events, word).await;
    of_alice.is_abandoned().await;
    at_once(begun);
    assert_eq!(stage.ended("cut", reason).await["consumer"], "alice");
    of_bob.event("message", "{}").await;
    assert!(others.next_event().await.is_some(), "another's goes on");
    assert_eq!(stage.gateway.live().len(), 1);
}

#[tokio::test]
async fn a_consumer_whose_net_is_narrowed_is_ended() {
    let edit = |_: &Stage, text: String| text.replace("[\"127.0.0.1\"]", "[\"192.0.2.1\"]");
    ends_alices(edit, "address", "address").await;
}

#[tokio::test]
async fn a_consumer_whose_key_is_another_is_ended_also_where_unknown_keys_are_forwarded() {
    let edit =
        |stage: &Stage, text: String| text.replace(&stage.alice.sha256(), &Key::new().sha256());
    ends_alices(edit, "unauthorized", "key_unknown").await;
}

#[tokio::test]
async fn a_key_that_is_another_consumers_now_is_ended() {
    let edit = |_: &Stage, text: String| text.replace("name = \"alice\"", "name = \"carol\"");
    ends_alices(edit, "unauthorized", "key_unknown").await;
}

#[tokio::test]
async fn a_consumer_that_may_not_use_the_route_any_more_is_ended() {
    let edit = |_: &Stage, text: String| {
        text.replace("allow = [\"127.0.0.1\"]\n", "routes = [\"marker\"]\n")
    };
    ends_alices(edit, "unauthorized", "key_unknown").await;
}

#[tokio::test]
async fn a_change_of_something_else_ends_nothing() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let (mut stream, mut events) = stage.stream(&alice).await;
    let edit = |text: String| {
        text.replace("unknown_keys = \"forward\"", "rate = \"1/day\"\nunknown_keys = \"refuse\"")
    };
    stage.gateway.apply(edit, left_alone);
    // Who isn't known is refused by now, so it is in force.
    stage.call(&Key::new(), 1).await.answer().await.refused(401, "unauthorized");
    stage.gateway.operate("POST /revocations", &json!({"consumer": "bob"}));
    stream.event("message", "{}").await;
    assert!(events.next_event().await.is_some());
    assert_eq!(stage.gateway.live().len(), 1);
}

#[tokio::test]
async fn a_stranger_is_ended_where_unknown_keys_are_refused_now() {
    let mut stage = Stage::new(|setup| setup).await;
    let (_stream, events) = stage.stream(&Key::new()).await;
    stage.gateway.apply(|text| text.replace("\"forward\"", "\"refuse\""), left_alone);
    ends_with(events, "unauthorized").await;
    stage.ended("cut", "key_unknown").await;
}

#[tokio::test]
async fn a_route_that_is_gone_ends_what_went_there() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let (_stream, events) = stage.stream(&alice).await;
    stage.gateway.apply(|text| text.replace("name = \"mcp\"", "name = \"other\""), left_alone);
    ends_with(events, "no_route").await;
}

#[tokio::test]
async fn a_tool_that_is_denied_ends_its_calls_and_no_other() {
    let mut stage = Stage::new(|setup| setup).await;
    let tool = |id: u32, name: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name}});
    let mut denied = stage.gateway.client().await;
    let post = |body: Value| Call::post("/api/mcp", &body.to_string()).bearer(&stage.alice);
    denied.send(&post(tool(7, "delete"))).await;
    let mut asked = stage.upstream.next().await;
    let mut allowed = stage.gateway.client().await;
    allowed.send(&post(tool(8, "list"))).await;
    let other = stage.upstream.next().await;
    let begun = Instant::now();
    let edit = |text: String| {
        text.replace("name = \"alice\"", "name = \"alice\"\ntools = { deny = [\"del*\"] }")
    };
    stage.gateway.apply(edit, left_alone);
    let answer = denied.answer().await;
    at_once(begun);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!(-32602)));
    asked.is_abandoned().await;
    other.respond(200, &[("content-type", "application/json")], "{}").await;
    assert_eq!(allowed.answer().await.status, 200);
}

#[tokio::test]
async fn who_had_a_right_key_when_it_came_has_guessed_nothing() {
    let bans = "[bans]\nwrong_keys = \"1/day\"";
    let mut stage = Stage::new(|setup| setup.also(bans)).await;
    let mut waiting = Vec::new();
    for id in 1..4 {
        waiting.push((stage.call(&stage.alice, id).await, stage.upstream.next().await));
    }
    let old = stage.alice.sha256();
    stage.gateway.apply(|text| text.replace(&old, &Key::new().sha256()), left_alone);
    for (mut client, mut asked) in waiting {
        client.answer().await.refused(401, "unauthorized");
        asked.is_abandoned().await;
    }
    let bob = stage.bob.clone();
    let mut client = stage.call(&bob, 7).await;
    stage.upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200, "nobody of this address is banned");
}

fn second() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_key_that_ends_while_its_stream_is_open_ends_it() {
    let mut stage = Stage::new(|setup| setup).await;
    let (key, end) = (Key::new(), second() + 2);
    let consumer = Consumer {
        name: Name::parse("soon").unwrap(),
        digest: Secret::new(key.text().to_owned()).digest(),
        has_key: true,
        certificate: None,
        previous: None,
        upstream_key: None,
        routes: None,
        nets: AddressPolicy::default(),
        rules: None,
        audit: None,
        quota: None,
        tool_limits: ToolLimits::default(),
        expires_at: Some(end),
    };
    let soon = |snapshot: &mut Snapshot| snapshot.consumers = Consumers::new([consumer]);
    stage.gateway.apply(|text| text, soon);
    let (_stream, events) = stage.stream(&key).await;
    ends_with(events, "unauthorized").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let late = now.saturating_sub(Duration::from_secs(end));
    assert!(now.as_secs() >= end && late < Duration::from_secs(1), "{late:?} late");
    stage.ended("cut", "key_expired").await;
}

/// Changes something while the body of an admitted call is still to come.
async fn changed_meanwhile(change: impl FnOnce(&Stage)) -> (Stage, crate::harness::Client) {
    let stage = Stage::with("allow = [\"127.0.0.1\"]\n", |setup| setup).await;
    let call = Call::post("/api/mcp", &crate::harness::tool_call(7)).bearer(&stage.alice);
    let bytes = call.field("expect", "100-continue").bytes();
    let body = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap() + 4;
    let mut client = stage.gateway.client().await;
    client.raw(&bytes[..body]).await;
    // Its body is the next that is asked for, so its key and its address were let in.
    client.is_told_to_continue().await;
    change(&stage);
    client.raw(&bytes[body..]).await;
    (stage, client)
}

#[tokio::test]
async fn a_call_that_was_admitted_before_a_change_is_judged_by_it_when_it_goes_on() {
    let narrows = |stage: &Stage| {
        let edit = |text: String| text.replace("[\"127.0.0.1\"]", "[\"192.0.2.1\"]");
        stage.gateway.apply(edit, left_alone);
    };
    let (mut stage, mut client) = changed_meanwhile(narrows).await;
    client.answer().await.refused(403, "address");
    stage.upstream.untouched();
}

#[tokio::test]
async fn a_call_whose_key_is_revoked_while_its_body_comes_goes_no_further() {
    let revokes = |stage: &Stage| {
        stage.gateway.operate("POST /revocations", &json!({"consumer": "alice"}));
    };
    let (mut stage, mut client) = changed_meanwhile(revokes).await;
    client.answer().await.refused(401, "unauthorized");
    stage.upstream.untouched();
}

/// It is under way, although nobody can see it yet.
#[tokio::test]
async fn a_call_that_is_killed_while_its_body_comes_goes_no_further() {
    for which in [json!({"key": "alice"}), json!({"address": "127.0.0.0/8"}), json!({"all": true})]
    {
        let kills = |stage: &Stage| assert_eq!(stage.gateway.kill(&which), 0);
        let (mut stage, mut client) = changed_meanwhile(kills).await;
        client.answer().await.refused(403, "killed");
        stage.upstream.untouched();
        let mut client = stage.call(&stage.alice, 8).await;
        stage.upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200, "it may come again");
    }
    let kills = |stage: &Stage| assert_eq!(stage.gateway.kill(&json!({"key": "bob"})), 0);
    let (mut stage, mut client) = changed_meanwhile(kills).await;
    stage.upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200, "another was meant");
}

#[tokio::test]
async fn a_call_whose_address_is_banned_while_its_body_comes_goes_no_further() {
    let bans = |stage: &Stage| {
        let (status, _) = stage.gateway.operate("POST /bans", &json!({"net": "127.0.0.1"}));
        assert_eq!(status, 200);
    };
    let (mut stage, mut client) = changed_meanwhile(bans).await;
    client.answer().await.refused(403, "banned");
    stage.upstream.untouched();
}

#[tokio::test]
async fn an_operators_ban_ends_what_the_address_holds_open() {
    let exempt = "[access]\ntrusted_proxies = [\"127.0.0.1\"]\n[bans]\nexempt = [\"203.0.113.9\"]";
    let mut stage = Stage::new(|setup| setup.also(exempt)).await;
    let alice = stage.alice.clone();
    let from = |client: &str| {
        let call = Call::get("/api/mcp").bearer(&alice).field("accept", "text/event-stream");
        call.field("x-forwarded-for", client)
    };
    let (_stream, events) = stage.opened(&from("203.0.113.7")).await;
    let (mut exempt, mut goes_on) = stage.opened(&from("203.0.113.9")).await;
    let begun = Instant::now();
    let (status, _) = stage.gateway.operate("POST /bans", &json!({"net": "203.0.113.0/24"}));
    assert_eq!(status, 200);
    ends_with(events, "banned").await;
    at_once(begun);
    stage.ended("cut", "banned").await;
    let record = stage.gateway.operation(|line| line["what"] == "ban").await;
    assert_eq!((&record["value"], &record["ended"]), (&json!("203.0.113.0/24"), &json!(1)));
    exempt.event("message", "{}").await;
    assert!(goes_on.next_event().await.is_some());
}

#[tokio::test]
async fn a_route_whose_nets_are_narrowed_ends_what_went_there() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let (_stream, events) = stage.stream(&alice).await;
    let begun = Instant::now();
    let narrows = |text: String| {
        text.replace(
            "unknown_keys = \"forward\"",
            "deny = [\"127.0.0.1\"]\nunknown_keys = \"forward\"",
        )
    };
    stage.gateway.apply(narrows, left_alone);
    ends_with(events, "address").await;
    at_once(begun);
}

#[tokio::test]
async fn a_proxy_that_is_denied_brings_nothing_more_on_what_it_has_open() {
    let access = "[access]\ntrusted_proxies = [\"127.0.0.1\"]";
    let mut stage = Stage::new(|setup| setup.also(access)).await;
    let brought = |call: Call| call.bearer(&stage.alice).field("x-forwarded-for", "203.0.113.7");
    let post = brought(Call::post("/api/mcp", &crate::harness::tool_call(7)));
    let get = brought(Call::get("/api/mcp").field("accept", "text/event-stream"));
    let mut client = stage.gateway.client().await;
    client.send(&post).await;
    stage.upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    let (_stream, events) = stage.opened(&get).await;
    let denies = |text: String| text.replace(access, &format!("{access}\ndeny = [\"127.0.0.1\"]"));
    stage.gateway.apply(denies, left_alone);
    client.send(&post).await;
    client.answer().await.refused(403, "address");
    ends_with(events, "address").await;
}
