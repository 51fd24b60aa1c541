//! Lists, wherever they travel.

use serde_json::{Value, json};

use super::{Ruled, SOME, request};
use crate::harness::Call;

const JSON: (&str, &str) = ("content-type", "application/json");

fn tools(names: &[&str]) -> Value {
    let tools: Vec<Value> =
        names.iter().map(|name| json!({"name": name, "inputSchema": {}})).collect();
    json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools, "nextCursor": "c", "cacheScope": "public"}})
}

/// The names in a list, and what else has to be in it.
fn names(answer: &Value) -> Vec<&str> {
    assert_eq!(
        (&answer["id"], &answer["result"]["nextCursor"]),
        (&json!(7), &json!("c")),
        "{answer}"
    );
    assert_eq!(answer["result"]["cacheScope"], "private");
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

const ALL: [&str; 5] = ["postsList", "triggerTool", "integrationList", "postsDelete", "ask_postiz"];
const LEFT: [&str; 2] = ["postsList", "integrationList"];

#[tokio::test]
async fn a_list_in_an_answer_shows_what_may_be_called() {
    let mut ruled = Ruled::by(SOME).await;
    for kind in ["application/json", "application/json; charset=utf-8", "application/problem+json"]
    {
        ruled.client.send(&ruled.post(&request("tools/list", json!({})))).await;
        let list = tools(&ALL).to_string();
        ruled.upstream.next().await.respond(200, &[("content-type", kind)], list).await;
        let answer = ruled.client.answer().await;
        assert_eq!(names(&answer.json()), LEFT);
        assert_eq!(answer.field("content-length"), Some(&*answer.body.len().to_string()));
    }
}

#[tokio::test]
async fn a_list_on_the_stream_of_its_post_shows_what_may_be_called() {
    let mut ruled = Ruled::by(SOME).await;
    ruled.client.send(&ruled.post(&request("tools/list", json!({})))).await;
    let mut from_upstream = ruled.upstream.next().await.stream(&[]).await;
    let mut stream = ruled.client.stream().await;
    from_upstream.send(": hello\n\nid: 1\ndata:\n\n").await;
    assert_eq!(stream.next_comment().await.as_deref(), Some("hello"));
    let priming = stream.next_event().await.unwrap();
    assert_eq!((priming.id.as_deref(), &*priming.data), (Some("1"), ""));
    let list = tools(&ALL).to_string();
    let (head, tail) = list.split_at(list.find("triggerTool").unwrap() + 4);
    from_upstream.send(&format!("id: 2\nevent: message\ndata: {head}")).await;
    from_upstream.send(&format!("{tail}\n\n")).await;
    let event = stream.next_event().await.unwrap();
    assert_eq!(event.id.as_deref(), Some("2"));
    assert_eq!(names(&serde_json::from_str(&event.data).unwrap()), LEFT);
    from_upstream.finish().await;
    assert_eq!(stream.next_event().await, None);
}

#[tokio::test]
async fn a_list_on_a_resumed_stream_and_one_under_the_id_of_another_call_are_sifted_too() {
    let mut ruled = Ruled::by(SOME).await;
    let resumed = Call::get("/api/mcp").bearer(&ruled.key).field("last-event-id", "1");
    let other = ruled.post(&request("tools/call", json!({"name": "posts"})));
    for call in [resumed, other] {
        let mut client = ruled.gateway.client().await;
        client.send(&call).await;
        let mut from_upstream = ruled.upstream.next().await.stream(&[]).await;
        let mut stream = client.stream().await;
        from_upstream.event("message", &tools(&ALL).to_string()).await;
        let event = stream.next_event().await.unwrap();
        assert_eq!(names(&serde_json::from_str(&event.data).unwrap()), LEFT);
        drop(stream);
        from_upstream.is_abandoned().await;
    }
}

#[tokio::test]
async fn prompts_resources_and_templates_are_lists_too() {
    let mut ruled = Ruled::by(SOME).await;
    for (member, named_by, yes, no) in [
        ("prompts", "name", "greeting", "other"),
        ("resources", "uri", "docs://a/1", "docs://a/../b"),
        ("resourceTemplates", "uriTemplate", "docs://a/{id}", "docs://b/{id}"),
    ] {
        ruled.client.send(&ruled.post(&request("prompts/list", json!({})))).await;
        let list = json!({"id": 7, "result": {member: [{named_by: no}, {named_by: yes}, {}]}});
        ruled.upstream.next().await.respond(200, &[JSON], list.to_string()).await;
        let answer = ruled.client.answer().await.json();
        assert_eq!(answer["result"][member], json!([{named_by: yes}]));
    }
}

#[tokio::test]
async fn an_answer_that_can_not_be_judged_does_not_pass() {
    let mut ruled = Ruled::by(SOME).await;
    let list = tools(&ALL).to_string();
    let large =
        tools(&["posts"]).to_string().replace("\"c\"", &format!("\"{}\"", "x".repeat(4 << 20)));
    for (kind, body) in [
        ("text/plain", list.as_str()),
        ("application/json", "{\"result\":{\"tools\":["),
        ("application/json", "{\"result\":{\"tools\":[{\"name\":\"posts\",\"name\":\"x\"}]}}"),
        ("application/json", &large),
    ] {
        ruled.client.send(&ruled.post(&request("tools/list", json!({})))).await;
        ruled.upstream.next().await.respond(200, &[("content-type", kind)], body).await;
        ruled.client.answer().await.refused(502, "upstream_bad");
        ruled.client = ruled.gateway.client().await;
    }
    ruled.client.send(&ruled.post(&request("tools/list", json!({})))).await;
    let mut from_upstream = ruled.upstream.next().await.stream(&[]).await;
    let mut stream = ruled.client.stream().await;
    from_upstream.event("message", "{\"result\":").await;
    let event = stream.next_event().await.unwrap();
    assert!(event.data.contains("upstream_gone"), "{event:?}");
}

#[tokio::test]
async fn under_rules_any_other_answer_passes_as_it_is() {
    let mut ruled = Ruled::by(SOME).await;
    let body =
        "{ \"jsonrpc\": \"2.0\", \"id\": 7, \"result\": {\"content\":[{\"text\":\"\\ud83d\"}]} }";
    for (status, kind, body) in [
        (200, "application/json", body),
        (202, "text/plain", "Accepted"),
        (202, "text/plain", ""),
        (400, "text/html", "<p>no"),
        (404, "application/json", "{\"error\":{\"code\":-32601}}"),
    ] {
        ruled.client.send(&ruled.post(&request("ping", json!({})))).await;
        ruled.upstream.next().await.respond(status, &[("content-type", kind)], body).await;
        let answer = ruled.client.answer().await;
        assert_eq!((answer.status, answer.text()), (status, body));
    }
}

#[tokio::test]
async fn a_compressed_answer_is_refused_at_once_and_a_courtesy_passes() {
    let mut ruled = Ruled::by(SOME).await;
    ruled.client.send(&ruled.post(&request("tools/list", json!({})))).await;
    let mut answer = ruled.upstream.next().await;
    // No end of it comes.
    answer.raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n").await;
    ruled.client.answer().await.refused(502, "upstream_bad");
    let mut client = ruled.gateway.client().await;
    for call in [
        Call::new("DELETE", "/api/mcp").bearer(&ruled.key),
        ruled.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
    ] {
        client.send(&call).await;
        ruled.upstream.next().await.respond(200, &[("content-type", "text/plain")], "OK").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (200, "OK"));
    }
}

#[tokio::test]
async fn a_stream_gives_back_the_memory_of_what_has_gone() {
    let mut ruled = Ruled::by(SOME).await;
    ruled.client.send(&Call::get("/api/mcp").bearer(&ruled.key)).await;
    let mut from_upstream = ruled.upstream.next().await.stream(&[]).await;
    let mut stream = ruled.client.stream().await;
    // Each part ends in the middle of an event, so that something is always held; together they are
    // more than all bodies may take.
    let padding = "x".repeat(1 << 20);
    from_upstream.send("event: other\ndata: ").await;
    for _ in 0..80 {
        from_upstream.send(&format!("{padding}\n\nevent: other\ndata: ")).await;
        assert_eq!(stream.next_event().await.unwrap().data.len(), padding.len());
    }
    drop(stream);
    from_upstream.is_abandoned().await;
}
