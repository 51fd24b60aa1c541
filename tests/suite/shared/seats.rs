//! Who gets a seat, and where there is nothing to share.

use serde_json::json;

use super::*;
use crate::harness::tool_call;

#[tokio::test]
async fn clients_of_one_key_share_one_stream_and_meet_nowhere() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, mut one) = open((&gateway, &mut upstream), &key, &key).await;
    let mut other = join(&gateway, &key).await;
    assert_ne!(one.endpoint, other.endpoint);
    gateway.metric_becomes("portcullis_shared_streams_open", &["upstream=\"postiz\""], 1.0).await;
    // Both count from the same number.
    let of_one = one.post((&gateway, &mut upstream), &ping(1)).await;
    let of_other = other.post((&gateway, &mut upstream), &ping(1)).await;
    assert_ne!(of_one["id"], of_other["id"]);
    bus.answer(&of_other, json!("other's")).await;
    bus.answer(&of_one, json!("one's")).await;
    assert_eq!(one.hears().await, json!({"jsonrpc": "2.0", "id": 1, "result": "one's"}));
    assert_eq!(other.hears().await, json!({"jsonrpc": "2.0", "id": 1, "result": "other's"}));
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn consumers_with_one_key_behind_them_share_a_stream_under_their_own_rules() {
    let mut upstream = Upstream::start().await;
    let (alice, bob, real) = (Key::new(), Key::new(), Key::new());
    let gateway = setup(&upstream)
        .injected("alice", &alice, &real, "")
        .injected("bob", &bob, &real, "tools = { allow = [\"b\"] }")
        .start();
    let (mut bus, mut one) = open((&gateway, &mut upstream), &alice, &real).await;
    let mut other = join(&gateway, &bob).await;
    let list = json!({"jsonrpc": "2.0", "id": "list", "method": "tools/list"});
    for member in [&mut one, &mut other] {
        let call = member.post((&gateway, &mut upstream), &list).await;
        let tools = json!([{"name": "a", "title": real.text()}, {"name": "b"}]);
        bus.answer(&call, json!({"tools": tools})).await;
    }
    let covered = "*".repeat(real.text().len());
    let all = json!([{"name": "a", "title": covered}, {"name": "b"}]);
    assert_eq!(one.hears().await["result"]["tools"], all);
    assert_eq!(other.hears().await["result"]["tools"], json!([{"name": "b"}]));
    let refused = Call::post(&other.endpoint, &tool_call(9));
    assert_eq!(gateway.ask(&refused).await.status, 202);
    assert_eq!(other.hears().await["error"]["data"]["reason"], "tool");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_nothing_from_the_others() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, first) = open((&gateway, &mut upstream), &key, &key).await;
    let mut other = join(&gateway, &key).await;
    let left = first.post((&gateway, &mut upstream), &ping(1)).await;
    drop(first);
    gateway.metric_becomes("portcullis_streams_open", &[], 1.0).await;
    let call = other.post((&gateway, &mut upstream), &ping(1)).await;
    bus.answer(&left, json!("late")).await;
    bus.answer(&call, json!("its own")).await;
    assert_eq!(other.hears().await["result"], "its own");
    gateway.metric_becomes("portcullis_shared_messages_dropped_total", &[], 1.0).await;
    // Nobody is there for a moment: the stream stays, because closing it would silence who comes next.
    drop(other);
    gateway.metric_becomes("portcullis_streams_open", &[], 0.0).await;
    let mut again = join(&gateway, &key).await;
    let call = again.post((&gateway, &mut upstream), &ping(1)).await;
    bus.answer(&call, json!("again")).await;
    assert_eq!(again.hears().await["result"], "again");
}

#[tokio::test]
async fn a_key_that_is_refused_opens_nothing_for_anybody() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    for _ in 0..2 {
        let mut client = gateway.client().await;
        client.send(&sse(&key)).await;
        let body = r#"{"statusCode":400,"message":"Invalid url"}"#;
        upstream.next().await.respond(400, &[("content-type", "application/json")], body).await;
        assert_eq!(client.answer().await.status, 400);
    }
}

#[tokio::test]
async fn where_the_one_who_opens_leaves_the_next_one_opens() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let mut first = gateway.client().await;
    first.send(&sse(&key)).await;
    let mut opening = upstream.next().await;
    let mut second = gateway.client().await;
    second.send(&sse(&key)).await;
    drop(first);
    opening.is_abandoned().await;
    let mut bus = Bus { stream: upstream.next().await.stream(&[]).await };
    bus.announce(&key).await;
    bus.answer_ping(&mut upstream).await;
    Member::of(second.stream().await).await;
}

#[tokio::test]
async fn streams_that_name_a_session_are_told_apart_by_the_server_and_not_shared() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    for session in ["7", "8"] {
        let mut client = gateway.client().await;
        client.send(&sse(&key)).await;
        let mut stream = upstream.next().await.stream(&[]).await;
        let endpoint = format!("/mcp/{}/messages?sessionId={session}", key.text());
        stream.event("endpoint", &endpoint).await;
        let member = Member::of(client.stream().await).await;
        let seen = gateway.pass(&mut upstream, &Call::post(&member.endpoint, &tool_call(1))).await;
        assert_eq!((seen.target.as_str(), seen.text()), (&*endpoint, &*tool_call(1)));
        stream.finish().await;
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_stream_is_shared_also_while_it_is_found_out_how_the_server_speaks() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).upstream("dialect = \"auto\"").start();
    let question = upstream.next().await;
    let key = Key::new();
    let (mut bus, _one) = open((&gateway, &mut upstream), &key, &key).await;
    let mut other = join(&gateway, &key).await;
    let call = other.post((&gateway, &mut upstream), &ping(1)).await;
    bus.answer(&call, json!({})).await;
    assert_eq!(other.hears().await["id"], 1);
    question.hang_up();
}

#[tokio::test]
async fn sharing_can_be_turned_off_and_is_off_where_nobody_says_how_the_server_speaks() {
    for lines in ["dialect = \"legacy-sse\"\nshared_streams = false", "", "dialect = \"session\""] {
        let mut upstream = Upstream::start().await;
        let gateway = Setup::new(&upstream).upstream(lines).start();
        let key = Key::new();
        for _ in 0..2 {
            let mut client = gateway.client().await;
            client.send(&sse(&key)).await;
            let mut stream = upstream.next().await.stream(&[]).await;
            stream.event("endpoint", &announced(&key)).await;
            let member = Member::of(client.stream().await).await;
            let call = Call::post(&member.endpoint, &tool_call(1));
            assert_eq!(gateway.pass(&mut upstream, &call).await.text(), tool_call(1));
            stream.finish().await;
        }
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn a_message_from_nowhere_is_refused_for_its_answer_would_find_nobody() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (_bus, member) = open((&gateway, &mut upstream), &key, &key).await;
    let bare = format!("/api/mcp/{}/messages", key.text());
    gateway.ask(&Call::post(&bare, &tool_call(1))).await.refused(404, "no_route");
    // So clients of the newer transport try, and open a stream then.
    let probe = format!("/api/mcp/{}/sse", key.text());
    gateway.ask(&Call::post(&probe, &tool_call(1))).await.refused(404, "no_route");
    let endpoint = member.endpoint.clone();
    drop(member);
    gateway.metric_becomes("portcullis_streams_open", &[], 0.0).await;
    gateway.ask(&Call::post(&endpoint, &tool_call(1))).await.refused(404, "session");
    upstream.saw_nothing(&gateway).await;
}
