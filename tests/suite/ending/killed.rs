use std::time::Instant;

use serde_json::{Value, json};

use super::{Stage, at_once, ends_with};
use crate::harness::{Call, Key, Setup, Upstream};

/// Ends the stream of Alice by what `which` makes of its status, and nothing of Bob's.
async fn ends_one(which: impl FnOnce(&Value) -> Value) {
    let mut stage = Stage::new(|setup| setup).await;
    let (alice, bob) = (stage.alice.clone(), stage.bob.clone());
    let (mut of_alice, events) = stage.stream(&alice).await;
    let (mut of_bob, mut others) = stage.stream(&bob).await;
    let live = stage.gateway.live();
    let which = which(&live[0]);
    let begun = Instant::now();
    assert_eq!(stage.gateway.kill(&which), 1);
    ends_with(events, "killed").await;
    of_alice.is_abandoned().await;
    at_once(begun);
    assert_eq!(stage.ended("cut", "killed").await["consumer"], "alice");
    of_bob.event("message", "{}").await;
    assert!(others.next_event().await.is_some(), "another's goes on");
    assert_eq!(stage.gateway.kill(&which), 0, "it is gone");
    stage.gateway.metric_becomes("portcullis_refusals_total", &["killed"], 1.0).await;
}

#[tokio::test]
async fn a_consumers_name_ends_what_came_with_its_key() {
    ends_one(|_| json!({"key": "alice"})).await;
}

#[tokio::test]
async fn a_fingerprint_ends_what_came_with_that_key() {
    ends_one(|live| json!({"key": live["key"]})).await;
}

#[tokio::test]
async fn an_id_ends_one_stream() {
    ends_one(|live| json!({"stream": live["stream"]})).await;
}

#[tokio::test]
async fn a_net_ends_what_came_from_there() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let (_stream, events) = stage.stream(&alice).await;
    assert_eq!(stage.gateway.kill(&json!({"address": "192.0.2.0/24"})), 0);
    assert_eq!(stage.gateway.kill(&json!({"address": "127.0.0.0/8"})), 1);
    ends_with(events, "killed").await;
}

#[tokio::test]
async fn a_session_is_ended_by_its_id_and_by_what_is_shown_of_it() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let mut client = stage.gateway.client().await;
    let begin = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    client.send(&Call::post("/api/mcp", begin).bearer(&alice)).await;
    stage.upstream.next().await.respond(200, &[("mcp-session-id", "s-1")], "{}").await;
    let id = client.answer().await.field("mcp-session-id").unwrap().to_owned();
    let listen = Call::get("/api/mcp").bearer(&alice).field("mcp-session-id", &id);
    for by_id in [true, false] {
        let (_stream, events) = stage.opened(&listen).await;
        let shown = stage.gateway.live()[0]["session"].clone();
        assert!(shown.as_str().unwrap().starts_with("fp:"), "{shown}");
        let which = if by_id { json!(id) } else { shown };
        assert_eq!(stage.gateway.kill(&json!({"session": "another"})), 0);
        assert_eq!(stage.gateway.kill(&json!({"session": which})), 1);
        ends_with(events, "killed").await;
    }
}

#[tokio::test]
pub(crate) async fn a_call_that_waits_is_refused_and_one_on_its_stream_is_told_there() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let mut waits = stage.call(&alice, 7).await;
    let mut asked = stage.upstream.next().await;
    let streams = stage.call(&alice, 8).await;
    let mut stream = stage.upstream.next().await.stream(&[]).await;
    let mut events = streams.stream().await;
    stream.event("message", "{}").await;
    events.next_event().await.unwrap();
    assert_eq!(stage.gateway.kill(&json!({"all": true})), 2);
    let answer = waits.answer().await;
    answer.refused(403, "killed");
    assert_eq!(answer.json()["id"], 7);
    let error: Value = serde_json::from_str(&events.next_event().await.unwrap().data).unwrap();
    assert_eq!((&error["id"], &error["error"]["data"]["reason"]), (&json!(8), &json!("killed")));
    assert!(events.next_event().await.is_none() && events.ended_whole());
    asked.is_abandoned().await;
    stream.is_abandoned().await;
}

#[tokio::test]
async fn an_event_that_is_torn_is_never_made_to_look_whole() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let (mut stream, mut events) = stage.stream(&alice).await;
    stream.send("data: whole\n\ndata: half").await;
    events.next_event().await.unwrap();
    let half = |live: &[Value]| live[0]["bytes"].as_u64().unwrap() > 40;
    while !half(&stage.gateway.live()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.gateway.kill(&json!({"all": true})), 1);
    assert!(events.next_event().await.is_none());
    assert!(!events.ended_whole());
    stage.ended("cut", "killed").await;
}

#[tokio::test]
async fn a_kill_is_in_the_audit_and_no_key_that_was_pasted_is() {
    let stage = Stage::new(|setup| setup).await;
    // Pasted by mistake, it may be the key itself.
    let (status, _) = stage.gateway.operate("POST /kill", &json!({"key": Key::new().text()}));
    assert!(status == 200 || status == 400, "{status}");
    let (status, _) = stage.gateway.operate("POST /kill", &json!({"session": Key::new().text()}));
    assert_eq!(status, 200);
    assert_eq!(stage.gateway.kill(&json!({"key": "alice"})), 0);
    let is_it = |line: &Value| line["selector"] == "key" && line["value"] == "alice";
    let audit = stage.gateway.operation(is_it).await;
    assert_eq!((&audit["what"], &audit["ended"]), (&json!("kill"), &json!(0)), "{audit}");
}

#[tokio::test]
async fn the_command_says_how_many_and_fails_where_there_was_none() {
    let mut stage = Stage::new(|setup| setup).await;
    let alice = stage.alice.clone();
    let (_stream, events) = stage.stream(&alice).await;
    let none = stage.gateway.command(&["kill", "--key", "bob"]);
    assert_eq!((none.status.code(), &*none.stdout), (Some(1), &b"{\"ended\":0}\n"[..]));
    let one = stage.gateway.command(&["kill", "--key", "alice"]);
    assert_eq!((one.status.code(), &*one.stdout), (Some(0), &b"{\"ended\":1}\n"[..]));
    ends_with(events, "killed").await;
    for wrong in [&["kill"][..], &["kill", "--all", "--key", "bob"], &["kill", "--address", "x"]] {
        let output = stage.gateway.command(wrong);
        assert!(!output.status.success() && !output.stderr.is_empty(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_tunnel_is_reset_at_both_ends() {
    let mut upstream = Upstream::start().await;
    let web = format!(
        "[upstreams.site]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"site\"\nkind = \"web\"\n\
         upstream = \"site\"\npaths = [\"/\"]\nupgrade = [\"websocket\"]",
        upstream.address()
    );
    let gateway = Setup::new(&upstream).operator().also(&web).start();
    let mut client = gateway.client().await;
    let asks = "GET /socket HTTP/1.1\r\nhost: gateway.test\r\nconnection: upgrade\r\n\
                upgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n";
    client.raw(asks).await;
    let mut asked = upstream.next().await;
    let switches = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                    upgrade: websocket\r\nsec-websocket-accept: y\r\n\r\n";
    asked.raw(switches).await;
    client.one_switch().await;
    let tunnel = async {
        while gateway.live().first().is_none_or(|one| one["kind"] != "tunnel") {
            tokio::task::yield_now().await;
        }
    };
    tunnel.await;
    assert_eq!(gateway.kill(&json!({"all": true})), 1);
    asked.is_abandoned().await;
    assert!(client.is_reset().await);
    let line = gateway.logged("the end", |line| line["reason"] == "killed").await;
    assert_eq!(line["outcome"], "cut");
}
