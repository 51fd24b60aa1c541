//! A shared stream that ends, or is silent: the seats stay for as long as there is hope.

use serde_json::json;

use super::*;

/// A silence is looked into at once, and soon taken for deafness.
const IMPATIENT: &str = "[timeouts]\nkeep_alive_comment = \"100ms\"\nupstream_connect = \"1s\"";

#[tokio::test]
async fn nothing_is_sent_before_it_is_known_that_its_answer_will_be_heard() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&sse(&key)).await;
    let mut bus = Bus { stream: upstream.next().await.stream(&[]).await };
    bus.announce(&key).await;
    let mut member = Member::of(client.stream().await).await;
    let mut posting = gateway.client().await;
    posting.send(&Call::post(&member.endpoint, &ping(1).to_string())).await;
    bus.answer_ping(&mut upstream).await;
    let call = taken(&mut upstream).await;
    assert_eq!(posting.answer().await.status, 201);
    bus.answer(&call, json!("heard")).await;
    assert_eq!(member.hears().await["result"], "heard");
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_anew_under_the_seats_and_what_waited_is_told() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (bus, mut member) = open((&gateway, &mut upstream), &key, &key).await;
    member.post((&gateway, &mut upstream), &ping(7)).await;
    bus.stream.hang_up();
    let error = member.hears().await;
    assert_eq!(
        (&error["id"], &error["error"]["data"]["reason"]),
        (&json!(7), &json!("upstream_gone"))
    );
    let request = upstream.next().await;
    assert_eq!(
        (request.method.as_str(), request.field("accept")),
        ("GET", Some("text/event-stream"))
    );
    assert_eq!(request.target, format!("/mcp/{}/sse", key.text()));
    let mut bus = Bus { stream: request.stream(&[]).await };
    bus.announce(&key).await;
    bus.answer_ping(&mut upstream).await;
    let call = member.post((&gateway, &mut upstream), &ping(8)).await;
    bus.answer(&call, json!("heard")).await;
    assert_eq!(member.hears().await["result"], "heard");
}

#[tokio::test]
async fn a_stream_that_is_silent_is_asked_and_opened_anew_where_it_is_deaf() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).also(IMPATIENT).start();
    let key = Key::new();
    let (mut bus, mut member) = open((&gateway, &mut upstream), &key, &key).await;
    bus.answer_ping(&mut upstream).await;
    // Somebody else has closed a stream of the key: this one never says anything again.
    for _ in 0..2 {
        taken(&mut upstream).await;
    }
    bus.stream.is_abandoned().await;
    let mut bus = Bus { stream: upstream.next().await.stream(&[]).await };
    bus.announce(&key).await;
    bus.answer_ping(&mut upstream).await;
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    bus.say(&changed).await;
    assert_eq!(member.hears().await, changed);
}

#[tokio::test]
async fn a_server_that_is_slow_for_a_moment_is_not_deaf() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).also(IMPATIENT).start();
    let key = Key::new();
    let (mut bus, mut member) = open((&gateway, &mut upstream), &key, &key).await;
    let call = member.post((&gateway, &mut upstream), &ping(1)).await;
    let first = taken(&mut upstream).await;
    let _second = taken(&mut upstream).await;
    bus.answer(&first, json!({})).await;
    bus.answer(&call, json!("at last")).await;
    assert_eq!(member.hears().await["result"], "at last");
    drop(member);
    bus.stream.is_abandoned().await;
}

#[tokio::test]
async fn the_seats_end_with_a_key_that_the_server_takes_no_more() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (bus, mut member) = open((&gateway, &mut upstream), &key, &key).await;
    bus.stream.finish().await;
    let body = r#"{"statusCode":400,"message":"Invalid url"}"#;
    upstream.next().await.respond(400, &[], body).await;
    assert!(member.events.next_event().await.is_none());
    assert!(!member.events.ended_whole(), "there would have been more");
    gateway.metric_becomes("portcullis_shared_streams_open", &[], 0.0).await;
    // The next client asks the server itself.
    let mut client = gateway.client().await;
    client.send(&sse(&key)).await;
    upstream.next().await.respond(400, &[], body).await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn a_stream_is_not_opened_anew_for_nobody() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (bus, member) = open((&gateway, &mut upstream), &key, &key).await;
    bus.stream.hang_up();
    let mut request = upstream.next().await;
    drop(member);
    request.is_abandoned().await;
    gateway.metric_becomes("portcullis_shared_streams_open", &[], 0.0).await;
}

#[tokio::test]
async fn a_drain_ends_the_stream_with_its_last_seat() {
    let mut upstream = Upstream::start().await;
    let mut gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, member) = open((&gateway, &mut upstream), &key, &key).await;
    let stopping = gateway.begin_to_stop();
    drop(member);
    bus.stream.is_abandoned().await;
    assert!(stopping.ended() < std::time::Duration::from_secs(2));
}

#[tokio::test]
async fn a_seat_that_is_ended_leaves_the_others_theirs() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).operator().start();
    let key = Key::new();
    let (mut bus, mut first) = open((&gateway, &mut upstream), &key, &key).await;
    let mut second = join(&gateway, &key).await;
    let live = gateway.live();
    assert_eq!(live.len(), 2);
    // The oldest first.
    assert_eq!(gateway.kill(&json!({"stream": live[0]["stream"]})), 1);
    assert_eq!(first.events.next_comment().await.as_deref(), Some("ended: killed"));
    assert!(first.events.next_event().await.is_none() && first.events.ended_whole());
    let call = second.post((&gateway, &mut upstream), &ping(1)).await;
    bus.answer(&call, json!({})).await;
    assert_eq!(second.hears().await["id"], 1);
    drop(second);
    // It is kept open for a moment, and then it isn't.
    bus.stream.is_abandoned().await;
}

/// On a stream of its own this client would hear the answers of all others.
#[tokio::test]
async fn a_stream_that_never_says_where_to_post_is_nobodys_own() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&sse(&Key::new())).await;
    upstream.next().await.stream(&[]).await.hang_up();
    client.answer().await.refused(502, "upstream_bad");
}
