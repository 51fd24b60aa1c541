//! What a key may use of a server: what it calls, what it sees listed, and every way past that.

mod arguments;
mod bypass;
mod lists;
mod pins;
mod presets;

use serde_json::{Value, json};

use crate::harness::{Answer, Call, Client, Gateway, Key, Setup, Upstream};

/// Rules that let in two tools, a family of prompts and one of resources.
const SOME: &str = r#"tools = { allow = ["integrationList", "posts*"], deny = ["postsDelete"] }
prompts = { allow = ["greet*"] }
resources = { allow = ["docs://a/*"] }
"#;

/// A consumer under these rules, and its client.
struct Ruled {
    // First, so that the client goes before the gateway does.
    client: Client,
    upstream: Upstream,
    gateway: Gateway,
    key: Key,
}

impl Ruled {
    async fn by(rules: &str) -> Self {
        Self::with(rules, |setup| setup).await
    }

    async fn with(rules: &str, setup: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start().await;
        let key = Key::new();
        let gateway = setup(Setup::new(&upstream)).consumer("agent", &key, rules).start();
        let client = gateway.client().await;
        Self { client, upstream, gateway, key }
    }

    fn post(&self, body: &str) -> Call {
        Call::post("/api/mcp", body).bearer(&self.key)
    }

    /// Asks what has to be refused, and holds the gateway to asking nobody else.
    async fn refused(&mut self, body: &str) -> Answer {
        let answer = self.client.ask(&self.post(body)).await;
        self.upstream.saw_nothing(&self.gateway).await;
        answer
    }

    /// Asks what has to pass as it is.
    async fn passes(&mut self, body: &str) {
        self.client.send(&self.post(body)).await;
        let seen = self.upstream.answer("{}").await;
        assert_eq!(seen.text(), body, "the bytes judged are the bytes forwarded");
        assert_eq!(self.client.answer().await.status, 200);
    }
}

fn request(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

/// The error of an answer that is told by the call's id, with its code.
fn told(answer: &Answer) -> (i64, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let error = &answer.json()["error"];
    (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_tool_that_is_not_allowed_is_unknown_and_the_client_goes_on() {
    let mut ruled = Ruled::by(SOME).await;
    for tool in ["triggerTool", "postsDelete", "IntegrationList", "integrationList ", "é<script>"]
    {
        let answer = ruled.refused(&request("tools/call", json!({"name": tool}))).await;
        let shown: String = tool.chars().filter(char::is_ascii_alphanumeric).collect();
        assert_eq!(told(&answer), (-32602, format!("Unknown tool: {shown}")));
        assert_eq!(answer.json()["id"], 7);
    }
    for tool in ["integrationList", "postsList", "posts"] {
        ruled.passes(&request("tools/call", json!({"name": tool, "arguments": {}}))).await;
    }
    for nameless in [json!({}), json!({"name": 1}), json!(["integrationList"])] {
        let answer = ruled.refused(&request("tools/call", nameless)).await;
        assert_eq!(told(&answer), (-32602, "Unknown tool".to_owned()));
    }
}

#[tokio::test]
async fn prompts_and_resources_are_judged_by_every_method_that_names_them() {
    let mut ruled = Ruled::by(SOME).await;
    let completes = |sort: &str, name: &str| {
        let reference = json!({"type": format!("ref/{sort}"), "name": name, "uri": name});
        json!({"ref": reference, "argument": {"name": "x", "value": ""}})
    };
    let listens = |uris: Value| json!({"notifications": {"resourceSubscriptions": uris}});
    for (method, good, bad) in [
        ("prompts/get", json!({"name": "greeting"}), json!({"name": "other"})),
        ("resources/read", json!({"uri": "docs://a/1"}), json!({"uri": "docs://b/1"})),
        ("resources/read", json!({"uri": "docs://a/1"}), json!({"uri": "docs://a/../b"})),
        ("resources/subscribe", json!({"uri": "docs://a/1"}), json!({"uri": "docs://b/1"})),
        ("resources/unsubscribe", json!({"uri": "docs://a/1"}), json!({"uri": "docs://b/1"})),
        ("completion/complete", completes("prompt", "greeting"), completes("prompt", "other")),
        (
            "completion/complete",
            completes("resource", "docs://a/{x}"),
            completes("resource", "docs://b/{x}"),
        ),
        ("completion/complete", completes("prompt", "greeting"), completes("tool", "x")),
        (
            "subscriptions/listen",
            listens(json!(["docs://a/1"])),
            listens(json!(["docs://a/1", "docs://b/1"])),
        ),
    ] {
        ruled.passes(&request(method, good)).await;
        let answer = ruled.refused(&request(method, bad)).await;
        assert_eq!(told(&answer).0, -32602, "{method}");
    }
}

#[tokio::test]
async fn beside_an_allow_list_what_is_in_no_list_is_closed() {
    let mut ruled = Ruled::by("tools = { allow = [\"*\"], deny = [\"x\"] }\n").await;
    ruled.passes(&request("tools/call", json!({"name": "y"}))).await;
    let answer = ruled.refused(&request("resources/read", json!({"uri": "docs://a"}))).await;
    assert_eq!(answer.reason(), "resource");
    let mut ruled = Ruled::by("tools = { deny = [\"x\"] }\n").await;
    ruled.passes(&request("resources/read", json!({"uri": "docs://a/../b"}))).await;
    let answer = ruled.refused(&request("tools/call", json!({"name": "x"}))).await;
    assert_eq!(answer.reason(), "tool");
}

#[tokio::test]
async fn under_rules_a_method_of_no_version_is_not_found() {
    let mut ruled = Ruled::by(SOME).await;
    for method in
        ["vendor/own", "tools/Call", "sampling/createMessage", "tasks/list", "rpc.discover"]
    {
        let answer = ruled.refused(&request(method, json!({}))).await;
        assert_eq!(told(&answer), (-32601, "Method not found".to_owned()), "{method}");
    }
    for method in
        ["initialize", "ping", "tools/list", "logging/setLevel", "tasks/get", "server/discover"]
    {
        ruled.passes(&request(method, json!({}))).await;
    }
    // The answer to a question of the server's.
    ruled.passes(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#).await;
}

#[tokio::test]
async fn a_modern_body_without_its_version_is_for_the_server_to_refuse() {
    let mut ruled = Ruled::by(SOME).await;
    for (method, params) in [
        // -32602 there, where a head that says otherwise is -32020.
        ("server/discover", json!({})),
        // Gone since 2026-07-28, and nothing of it is mirrored.
        ("tasks/result", json!({"taskId": "a"})),
    ] {
        let body = request(method, params);
        let call = ruled.post(&body).field("mcp-protocol-version", "2026-07-28");
        let seen = ruled.gateway.pass(&mut ruled.upstream, &call.field("mcp-method", method)).await;
        assert_eq!(seen.text(), body);
    }
}

#[tokio::test]
async fn the_rules_of_a_route_hold_for_strangers_and_beside_a_consumers_own() {
    let mut ruled = Ruled::with("tools = { allow = [\"a\", \"b\"] }\n", |s| {
        s.route("tools = { deny = [\"b\"] }")
    })
    .await;
    ruled.passes(&request("tools/call", json!({"name": "a"}))).await;
    for tool in ["b", "c"] {
        ruled.refused(&request("tools/call", json!({"name": tool}))).await;
    }
    let stranger = Key::new();
    let of_stranger = |tool| {
        Call::post("/api/mcp", &request("tools/call", json!({"name": tool}))).bearer(&stranger)
    };
    assert_eq!(told(&ruled.client.ask(&of_stranger("b")).await).0, -32602);
    ruled.client.send(&of_stranger("c")).await;
    ruled.upstream.answer("{}").await;
}

#[tokio::test]
async fn a_refused_notification_is_a_400_and_a_refused_batch_answers_each_id() {
    let mut ruled = Ruled::by(SOME).await;
    let notification = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"triggerTool"}}"#;
    let answer = ruled.refused(notification).await;
    answer.refused(400, "tool");
    let (good, bad) = (
        request("tools/call", json!({"name": "posts"})).replace(":7", ":1"),
        request("tools/call", json!({"name": "triggerTool"})),
    );
    let answer = ruled.refused(&format!("[{good},{notification},{bad}]")).await;
    assert_eq!(answer.status, 200);
    let errors = answer.json();
    let said: Vec<_> =
        errors.as_array().unwrap().iter().map(|e| (&e["id"], &e["error"]["code"])).collect();
    // The first that is refused is the notification, and takes the others with it.
    assert_eq!(said, [(&json!(1), &json!(-32600)), (&json!(7), &json!(-32600))]);
    let answer = ruled.refused(&format!("[{good},{bad}]")).await.json();
    assert_eq!(answer[0]["error"]["code"], -32600);
    assert_eq!(answer[1]["error"]["message"], "Unknown tool: triggerTool");
    assert!(
        answer[0]["error"]["data"]["reason"] == "tool" && answer.as_array().unwrap().len() == 2
    );
    ruled.passes(&format!("[{good},{}]", request("ping", json!({})))).await;
}

#[tokio::test]
async fn on_the_legacy_transport_a_refused_call_is_told_on_the_stream() {
    let mut ruled = Ruled::by(SOME).await;
    let key = ruled.key.text().to_owned();
    ruled.client.send(&Call::get(&format!("/api/mcp/{key}/sse"))).await;
    let mut from_upstream = ruled.upstream.next().await.stream(&[]).await;
    let mut stream = ruled.client.stream().await;
    from_upstream.event("endpoint", &format!("/mcp/{key}/messages")).await;
    let endpoint = stream.next_event().await.unwrap().data;
    let call = Call::post(&endpoint, &request("tools/call", json!({"name": "triggerTool"})));
    assert_eq!(ruled.gateway.ask(&call).await.status, 202);
    let error: Value = serde_json::from_str(&stream.next_event().await.unwrap().data).unwrap();
    assert_eq!(error["error"]["message"], "Unknown tool: triggerTool");
    // And what is listed there is sifted too.
    let list = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "triggerTool"}, {"name": "posts"}]}});
    from_upstream.event("message", &list.to_string()).await;
    let list: Value = serde_json::from_str(&stream.next_event().await.unwrap().data).unwrap();
    assert_eq!(list["result"]["tools"], json!([{"name": "posts"}]));
    drop(stream);
    from_upstream.is_abandoned().await;
}
