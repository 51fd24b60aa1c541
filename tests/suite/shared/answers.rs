//! What is asked from a seat, and what comes back to it.

use serde_json::json;

use super::*;

#[tokio::test]
async fn nothing_of_a_message_changes_but_the_names_of_messages() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (_bus, member) = open((&gateway, &mut upstream), &key, &key).await;
    let body = |id: &str, token: &str| {
        format!(
            r#"{{ "jsonrpc" :"2.0","id": {id}, "method":"tools/call","params":{{"name":"x","_meta":{{"progressToken":{token}}},"arguments":{{"id":1,"n":1.0, "t":"\u00e9"}}}} }}"#
        )
    };
    let mut client = gateway.client().await;
    client.send(&Call::post(&member.endpoint, &body("1", "\"t\""))).await;
    let seen = upstream.next().await.respond(201, &[], "{}").await;
    assert_eq!(client.answer().await.status, 201);
    let message: Value = serde_json::from_slice(&seen.body).unwrap();
    let id = message["id"].to_string();
    assert!(id.starts_with("\"portcullis-"), "{id}");
    assert_eq!(seen.text(), body(&id, &id));
    assert_eq!(seen.target, format!("/mcp/{}/messages", key.text()));
}

#[tokio::test]
async fn an_id_comes_back_as_it_was_written() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, mut member) = open((&gateway, &mut upstream), &key, &key).await;
    for id in ["0", "-1.50", "1e2", "\"\"", "\"a\\u0062\\\"\""] {
        let mut client = gateway.client().await;
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        client.send(&Call::post(&member.endpoint, &body)).await;
        let call = taken(&mut upstream).await;
        client.answer().await;
        bus.stream
            .send(format!("data: {{\"result\":{{}},\ndata: \"id\":{},\"x\":1}}\n\n", call["id"]))
            .await;
        let event = member.events.next_event().await.unwrap();
        assert_eq!(event.data, format!("{{\"result\":{{}},\n\"id\":{id},\"x\":1}}"));
    }
}

#[tokio::test]
async fn what_belongs_to_nobody_here_reaches_nobody() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, mut member) = open((&gateway, &mut upstream), &key, &key).await;
    let call = member.post((&gateway, &mut upstream), &ping(1)).await;
    for (counted, message) in [
        (1.0, json!({"jsonrpc": "2.0", "id": 1, "result": "of a client past the gateway"})),
        (2.0, json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}})),
        (3.0, json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}})),
        (
            4.0,
            json!({"jsonrpc": "2.0", "method": "notifications/progress",
                     "params": {"progressToken": 1, "progress": 1}}),
        ),
        (5.0, json!("no message")),
    ] {
        bus.say(&message).await;
        gateway.metric_becomes("portcullis_shared_messages_dropped_total", &[], counted).await;
    }
    bus.stream.event("other", "{\"id\":1}").await;
    bus.answer(&call, json!("own")).await;
    assert_eq!(member.hears().await["result"], "own", "and nothing before it");
    // An answer is for once.
    bus.answer(&call, json!("again")).await;
    gateway.metric_becomes("portcullis_shared_messages_dropped_total", &[], 6.0).await;
}

#[tokio::test]
async fn progress_goes_to_whose_call_it_is_and_a_change_of_lists_to_all() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, mut one) = open((&gateway, &mut upstream), &key, &key).await;
    let mut other = join(&gateway, &key).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                      "params": {"name": "x", "_meta": {"progressToken": 1}}});
    one.post((&gateway, &mut upstream), &call).await;
    let seen = other.post((&gateway, &mut upstream), &call).await;
    let progress = |token: &Value| {
        json!({"jsonrpc": "2.0", "method": "notifications/progress",
               "params": {"progressToken": token, "progress": 1}})
    };
    bus.say(&progress(&seen["params"]["_meta"]["progressToken"])).await;
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    bus.say(&changed).await;
    assert_eq!(other.hears().await, progress(&json!(1)));
    assert_eq!(other.hears().await, changed);
    assert_eq!(one.hears().await, changed);
}

#[tokio::test]
async fn a_call_is_cancelled_by_the_name_that_the_server_knows_and_nobody_elses() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (_bus, one) = open((&gateway, &mut upstream), &key, &key).await;
    let other = join(&gateway, &key).await;
    let call = one.post((&gateway, &mut upstream), &ping(1)).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
                        "params": {"requestId": 1, "reason": "x"}});
    let seen = one.post((&gateway, &mut upstream), &cancel).await;
    assert_eq!(seen["params"]["requestId"], call["id"]);
    let seen = other.post((&gateway, &mut upstream), &cancel).await;
    let cancelled = &seen["params"]["requestId"];
    assert!(cancelled != &call["id"] && cancelled != &json!(1), "{seen}");
    // Nor does it answer what another was asked.
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    let seen = other.post((&gateway, &mut upstream), &answer).await;
    assert!(seen["id"] != json!(1) && seen["id"] != call["id"], "{seen}");
}

#[tokio::test]
async fn a_batch_is_named_anew_and_each_gets_its_own_of_what_comes_back() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, mut one) = open((&gateway, &mut upstream), &key, &key).await;
    let mut other = join(&gateway, &key).await;
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let batch = json!([ping(1), initialized, ping("b")]);
    let of_one = one.post((&gateway, &mut upstream), &batch).await;
    let of_other = other.post((&gateway, &mut upstream), &json!([ping(1)])).await;
    assert_eq!(of_one[1], initialized);
    let result = |call: &Value, of: &str| json!({"jsonrpc": "2.0", "id": call["id"], "result": of});
    bus.say(&json!([result(&of_one[2], "b"), result(&of_other[0], "o"), result(&of_one[0], "a")]))
        .await;
    let told = |id: Value, of: &str| json!({"jsonrpc": "2.0", "id": id, "result": of});
    assert_eq!(one.hears().await, json!([told(json!("b"), "b"), told(json!(1), "a")]));
    assert_eq!(other.hears().await, json!([told(json!(1), "o")]));
}

#[tokio::test]
async fn what_waits_at_a_seat_is_bounded_in_number_and_length() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, member) = open((&gateway, &mut upstream), &key, &key).await;
    let long = Call::post(&member.endpoint, &ping("x".repeat(255)).to_string());
    gateway.ask(&long).await.refused(400, "not_rpc");
    let batch: Value = (0..64).map(ping).collect();
    let mut last = Value::Null;
    for _ in 0..4 {
        last = member.post((&gateway, &mut upstream), &batch).await;
    }
    let refused = Call::post(&member.endpoint, &ping(1).to_string());
    gateway.ask(&refused).await.refused(503, "overload");
    gateway
        .metric_becomes("portcullis_limits_reached_total", &["limit=\"stream_calls\""], 1.0)
        .await;
    bus.answer(&last[0], json!({})).await;
    let mut member = member;
    member.hears().await;
    member.post((&gateway, &mut upstream), &ping(1)).await;
}

#[tokio::test]
async fn a_call_that_the_server_refuses_waits_for_nothing() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let key = Key::new();
    let (mut bus, member) = open((&gateway, &mut upstream), &key, &key).await;
    let mut client = gateway.client().await;
    client.send(&Call::post(&member.endpoint, &ping(1).to_string())).await;
    let seen = upstream.next().await.respond(500, &[], "").await;
    assert_eq!(client.answer().await.status, 500);
    let call: Value = serde_json::from_slice(&seen.body).unwrap();
    bus.answer(&call, json!({})).await;
    gateway.metric_becomes("portcullis_shared_messages_dropped_total", &[], 1.0).await;
}
