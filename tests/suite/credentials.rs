//! Who is calling.

use crate::harness::{Answer, Call, Key, Setup, Upstream, tool_call};

fn refuse() -> &'static str {
    "unknown_keys = \"refuse\""
}

/// An answer without what names the exchange.
fn anonymous(answer: &Answer) -> (u16, Vec<(String, String)>, serde_json::Value) {
    let mut json = answer.json();
    json["error"]["data"]["request_id"] = "".into();
    (answer.status, answer.fields.clone(), json)
}

#[tokio::test]
async fn missing_wrong_and_expired_keys_look_alike_outside_and_differ_in_the_log() {
    let mut upstream = Upstream::start().await;
    let (old, elsewhere) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route(refuse());
    let setup = setup.consumer("old", &old, "expires = 2020-01-31\n");
    let gateway = setup.consumer("elsewhere", &elsewhere, "routes = [\"marker\"]\n").start();
    let call = || Call::post("/api/mcp", &tool_call(1));
    let missing = gateway.ask(&call()).await;
    missing.refused(401, "unauthorized");
    assert_eq!(missing.field("www-authenticate"), Some("Bearer realm=\"portcullis\""));
    for key in [&Key::new(), &old, &elsewhere] {
        let answer = gateway.ask(&call().bearer(key)).await;
        assert_eq!(anonymous(&answer), anonymous(&missing));
    }
    for reason in ["key_missing", "key_unknown", "key_expired"] {
        gateway.logged(reason, |line| line["reason"] == reason).await;
        assert!(gateway.metric("portcullis_refusals_total", &[reason]) >= 1.0, "{reason}");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn two_keys_that_differ_or_one_in_the_query_are_refused() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let (key, other) = (Key::new(), Key::new());
    let target = format!("/api/mcp/{}", key.encoded());
    let queried = format!("{target}?api_key={}", other.encoded());
    for call in [
        Call::post(&target, &tool_call(1)).bearer(&other),
        Call::post("/api/mcp", &tool_call(1)).bearer(&key).bearer(&key),
        Call::post(&queried, &tool_call(1)),
    ] {
        gateway.ask(&call).await.refused(400, "credential_ambiguous");
    }
    upstream.saw_nothing(&gateway).await;
    gateway.pass(&mut upstream, &Call::post(&target, &tool_call(1)).bearer(&key)).await;
}

#[tokio::test]
async fn a_consumers_upstream_key_goes_up_in_the_form_in_which_its_own_came() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route(refuse()).injected("agent", &key, &real, "");
    let gateway = setup.start();
    let in_path = Call::post(&format!("/api/mcp/{}", key.encoded()), &tool_call(1));
    let seen = gateway.pass(&mut upstream, &in_path).await;
    assert_eq!(seen.target, format!("/mcp/{}", real.text()));
    assert_eq!(seen.field("authorization"), None);
    let both = gateway.pass(&mut upstream, &in_path.clone().bearer(&key)).await;
    assert_eq!(both.field("authorization"), None, "one place is enough");
    let bearer = Call::post("/api/mcp", &tool_call(1));
    let seen = gateway.pass(&mut upstream, &bearer.clone().bearer(&key)).await;
    assert_eq!(seen.field("authorization"), Some(format!("Bearer {}", real.text()).as_str()));
    let raw = bearer.field("authorization", key.text());
    let seen = gateway.pass(&mut upstream, &raw).await;
    assert_eq!(seen.field("authorization"), Some(real.text()));
    let line = gateway.logged("the consumer", |line| line["consumer"] == "agent").await;
    assert!(line["key"].as_str().unwrap().starts_with("fp:"));
    assert!(gateway.metric("portcullis_requests_total", &["agent"]) >= 4.0);
}

#[tokio::test]
async fn an_injected_key_is_never_seen_in_an_error_that_quotes_it() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("agent", &key, &real, "").start();
    let mut client = gateway.client().await;
    client.send(&Call::post(&format!("/api/mcp/{}/x", key.encoded()), &tool_call(1))).await;
    let mut request = upstream.next().await;
    let (front, back) = real.text().split_at(5);
    let body = format!("Cannot POST /mcp/{}/x", real.text());
    let head = format!(
        "HTTP/1.1 404 Not Found\r\nx-asked: /mcp/{}\r\ncontent-length: {}\r\n\r\n",
        real.text(),
        body.len()
    );
    request.raw(format!("{head}Cannot POST /mcp/{front}")).await;
    request.raw(format!("{back}/x")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (404, "Cannot POST /mcp/[redacted]/x"));
    assert_eq!(answer.field("x-asked"), None);
}

#[tokio::test]
async fn the_key_of_a_known_consumer_goes_on_where_none_is_injected() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route(refuse()).consumer("plain", &key, "");
    let gateway = setup.start();
    let seen =
        gateway.pass(&mut upstream, &Call::post("/api/mcp", &tool_call(1)).bearer(&key)).await;
    assert_eq!(seen.field("authorization"), Some(format!("Bearer {}", key.text()).as_str()));
}

#[tokio::test]
async fn an_injected_key_is_not_shown_by_an_endpoint_that_comes_late_or_in_disguise() {
    let disguises = [
        "retry: 3000\n\nevent: endpoint\ndata: /message/KEY?sessionId=1\n\n",
        "\u{feff}event: endpoint\ndata: /message/KEY?sessionId=1\n\n",
        "event: x\nevent: endpoint\ndata: /message/KEY?sessionId=1\n\n",
        "event: message\ndata: /message/KEY?sessionId=1\n\n",
    ];
    for disguise in disguises {
        let mut upstream = Upstream::start().await;
        let (key, real) = (Key::new(), Key::new());
        let gateway = Setup::new(&upstream).injected("agent", &key, &real, "").start();
        let mut client = gateway.client().await;
        client.send(&Call::get(&format!("/api/sse/{}", key.encoded()))).await;
        let mut stream = upstream.next().await.stream(&[]).await;
        stream.send(disguise.replace("KEY", real.text())).await;
        stream.hang_up();
        let said = String::from_utf8(client.rest().await).unwrap();
        assert!(!said.contains(real.text()), "{disguise:?}");
    }
}
