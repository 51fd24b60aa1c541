//! What is noted of an exchange, once and at its end.

use serde_json::Value;

use crate::harness::{Call, Gateway, Key, Setup, Upstream, call_with_id, tool_call};

fn post(key: &Key, body: &str) -> Call {
    Call::post(&format!("/api/mcp/{}", key.encoded()), body)
}

fn notes(reason: &str) -> impl Fn(&Value) -> bool {
    move |line| line["reason"] == reason
}

/// Holds a refusal's line to this many bytes that were read.
async fn read_of(gateway: &Gateway, reason: &str, bytes: usize) {
    let line = gateway.logged(reason, notes(reason)).await;
    assert_eq!(line["bytes_in"], bytes, "{line}");
}

#[tokio::test]
async fn bytes_in_is_what_was_read_of_a_request_head_and_body() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let call = post(&Key::new(), &tool_call(1));
    gateway.pass(&mut upstream, &call).await;
    let line = gateway.logged("the call", |line| line["status"] == 200).await;
    assert_eq!(line["bytes_in"], call.bytes().len(), "{line}");

    let listen = Call::get(&format!("/api/sse/{}", Key::new().text()));
    let mut client = gateway.client().await;
    client.send(&listen).await;
    let from_upstream = upstream.next().await.stream(&[]).await;
    let stream = client.stream().await;
    from_upstream.finish().await;
    drop(stream);
    for event in ["stream_open", "exchange"] {
        let this = |line: &Value| line["event"] == event && line["method"] == "GET";
        let line = gateway.logged(event, this).await;
        assert_eq!(line["bytes_in"], listen.bytes().len(), "{line}");
    }
}

#[tokio::test]
async fn bytes_in_of_a_refusal_is_what_was_read_before_it() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("max_body = \"100B\"").start();
    let key = Key::new();
    // Two on one connection, in one piece: each has its own.
    let nowhere = Call::post("/nowhere", &tool_call(1));
    let not_json = post(&key, "nope");
    let mut client = gateway.client().await;
    client.raw([nowhere.bytes(), not_json.bytes()].concat()).await;
    client.answer().await.refused(404, "no_route");
    client.answer().await.refused(400, "not_json");
    read_of(&gateway, "no_route", nowhere.bytes().len()).await;
    read_of(&gateway, "not_json", not_json.bytes().len()).await;

    let ambiguous = "GET /api/mcp HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n";
    client.raw(ambiguous).await;
    client.answer().await.refused(400, "malformed");
    read_of(&gateway, "malformed", ambiguous.len()).await;

    // Its chunks are counted as they came, up to the one that was too much.
    let mut client = gateway.client().await;
    let head = format!(
        "POST /api/mcp/{} HTTP/1.1\r\nhost: gateway.test\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        key.text()
    );
    let chunk = format!("40\r\n{}\r\n", "x".repeat(64));
    client.raw(format!("{head}{chunk}{chunk}")).await;
    client.answer().await.refused(413, "body_too_large");
    read_of(&gateway, "body_too_large", head.len() + 2 * chunk.len()).await;
}

#[tokio::test]
async fn bytes_in_of_a_body_that_stopped_is_what_had_come() {
    let upstream = Upstream::start().await;
    let gateway =
        Setup::new(&upstream).also("[timeouts]\nbody = \"100ms\"\nhead = \"100ms\"").start();
    let whole = post(&Key::new(), &call_with_id(1, "ping")).bytes();
    let mut client = gateway.client().await;
    client.raw(&whole[..whole.len() - 9]).await;
    client.answer().await.refused(408, "timeout");
    read_of(&gateway, "timeout", whole.len() - 9).await;
}

#[tokio::test]
async fn a_batch_is_one_line_and_each_of_its_messages_is_counted() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route("rate = \"4/day\"");
    let gateway = setup.consumer("one", &key, "").start();
    let noted = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    let batch = format!("[{},{},{},{noted}]", tool_call(1), tool_call(2), call_with_id(3, "ping"));
    gateway.pass(&mut upstream, &post(&key, &batch)).await;
    assert_eq!(gateway.ask(&post(&key, &batch)).await.status, 200);
    for outcome in ["answered", "refused"] {
        let line = gateway.logged(outcome, |line| line["outcome"] == outcome).await;
        assert_eq!((&line["mcp_method"], line.get("tool")), (&"batch".into(), None), "{line}");
        for (labels, count) in [
            (&["method=\"tools/call\"", "tool=\"other\""][..], 2.0),
            (&["method=\"ping\"", "tool=\"\""], 1.0),
            (&["method=\"notifications/cancelled\"", "tool=\"\""], 1.0),
            (&["consumer=\"one\""], 4.0),
        ] {
            let outcome = format!("outcome=\"{outcome}\"");
            let labels = [labels, &[outcome.as_str()]].concat();
            gateway.metric_becomes("portcullis_mcp_calls_total", &labels, count).await;
        }
    }
}
