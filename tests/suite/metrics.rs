//! The tools that calls are counted by.

use portcullis::types::RequestId;
use serde_json::json;

use crate::harness::{Call, Client, Gateway, Key, Setup, Upstream};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Rules that name no tool; under them every answer is read.
const RULED: &str = "tools = { deny = [\"shut*\"] }\n";

/// A gateway whose calls are counted, with one client and one key.
struct Counted {
    // First, so that the client goes before the gateway does.
    client: Client,
    upstream: Upstream,
    gateway: Gateway,
    key: Key,
}

impl Counted {
    async fn start() -> Self {
        Self::with(|setup, _| setup).await
    }

    /// Under rules that hold for its key.
    async fn ruled() -> Self {
        Self::with(|setup, key| setup.consumer("agent", key, RULED)).await
    }

    async fn with(setup: impl FnOnce(Setup, &Key) -> Setup) -> Self {
        let upstream = Upstream::start().await;
        // One that could be a tool's name.
        let key = Key::holding("");
        let gateway = setup(Setup::new(&upstream), &key).start();
        let client = gateway.client().await;
        Self { client, upstream, gateway, key }
    }

    fn post(&self, body: &str) -> Call {
        Call::post("/api/mcp", body).bearer(&self.key)
    }

    fn asks_for_the_list(&self) -> Call {
        self.post(&request("tools/list", &json!({})))
    }

    /// The upstream answers `tools/list` so.
    async fn list(&mut self, body: &str) {
        self.client.send(&self.asks_for_the_list()).await;
        self.upstream.next().await.respond(200, &[JSON], body).await;
        self.client.answer().await;
    }

    fn calls(&self, tool: &str) -> Call {
        self.post(&request("tools/call", &json!({"name": tool})))
    }

    /// Calls a tool that isn't let in.
    async fn is_refused(&mut self, tool: &str) {
        assert_eq!(self.client.ask(&self.calls(tool)).await.reason(), "tool");
    }

    /// Holds the gateway to having counted that many calls under a tool's label.
    async fn counts(&self, label: &str, calls: f64) {
        let labels = [&*format!("tool=\"{label}\""), "method=\"tools/call\""];
        self.gateway.metric_becomes("portcullis_mcp_calls_total", &labels, calls).await;
    }

    /// Calls a tool, and holds the gateway to counting that under this label.
    async fn counts_call(&mut self, tool: &str, label: &str) {
        let name = "portcullis_mcp_calls_total";
        let of_label = format!("tool=\"{label}\"");
        let before = self.gateway.metric(name, &[&of_label]);
        let all = self.gateway.metric(name, &["method=\"tools/call\""]);
        self.client.send(&self.calls(tool)).await;
        self.upstream.answer("{}").await;
        self.client.answer().await;
        self.gateway.metric_becomes(name, &["method=\"tools/call\""], all + 1.0).await;
        assert_eq!(self.gateway.metric(name, &[&of_label]), before + 1.0, "{tool} as {label}");
    }
}

fn request(method: &str, params: &serde_json::Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

fn tools(names: &[&str]) -> String {
    let tools: Vec<_> = names.iter().map(|name| json!({"name": name, "inputSchema": {}})).collect();
    json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools}}).to_string()
}

#[tokio::test]
async fn a_tool_counts_by_its_name_once_the_upstream_has_listed_it() {
    let mut counted = Counted::start().await;
    counted.counts_call("postsList", "other").await;
    counted.list(&tools(&["postsList", "ask_postiz"])).await;
    counted.counts_call("postsList", "postsList").await;
    counted.counts_call("made-up", "other").await;
    let seconds = "portcullis_mcp_call_duration_seconds_count";
    let labels = ["tool=\"postsList\"", "method=\"tools/call\""];
    assert_eq!(counted.gateway.metric(seconds, &labels), 1.0);
    // What was counted before it was known stays where it was.
    counted.counts("other", 2.0).await;
}

#[tokio::test]
async fn a_list_passes_byte_for_byte_and_a_stream_is_not_held_to_be_learned_from() {
    let mut counted = Counted::start().await;
    let body = format!(" {}\n", tools(&["a"]).replace(":[", " :\t["));
    counted.client.send(&counted.asks_for_the_list()).await;
    counted.upstream.next().await.respond(200, &[JSON], &body).await;
    assert_eq!(counted.client.answer().await.text(), body);

    counted.client.send(&counted.asks_for_the_list()).await;
    let mut from_upstream = counted.upstream.next().await.stream(&[]).await;
    let mut stream = counted.client.stream().await;
    let event = format!("id: 1\nevent: message\ndata: {}\n\n", tools(&["b"]));
    let (head, tail) = event.split_at(event.len() / 2);
    for part in [head, tail] {
        from_upstream.send(part).await;
        let mut seen = Vec::new();
        while seen.len() < part.len() {
            seen.extend(stream.next_bytes().await.unwrap());
        }
        assert_eq!(seen, part.as_bytes(), "half an event leaves as half an event");
    }
    from_upstream.finish().await;
    assert_eq!(stream.next_bytes().await, None);
    counted.client = stream.into_client();
    for tool in ["a", "b"] {
        counted.counts_call(tool, tool).await;
    }
}

#[tokio::test]
async fn a_stream_teaches_though_the_client_leaves_when_it_has_its_answer() {
    let mut counted = Counted::start().await;
    let mut client = counted.gateway.client().await;
    client.send(&counted.asks_for_the_list()).await;
    let mut from_upstream = counted.upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("message", &tools(&["a"])).await;
    stream.next_event().await.unwrap();
    drop(stream);
    from_upstream.is_abandoned().await;
    counted.counts_call("a", "a").await;
}

#[tokio::test]
async fn each_message_of_a_batch_counts_under_its_own_tool() {
    let mut counted = Counted::start().await;
    counted.list(&tools(&["a", "b"])).await;
    let calls =
        ["a", "b", "b", "made-up"].map(|tool| request("tools/call", &json!({"name": tool})));
    counted.client.send(&counted.post(&format!("[{}]", calls.join(",")))).await;
    counted.upstream.answer("[]").await;
    counted.client.answer().await;
    for (label, calls) in [("a", 1.0), ("b", 2.0), ("other", 1.0)] {
        counted.counts(label, calls).await;
    }
}

#[tokio::test]
async fn under_rules_all_that_is_listed_is_known_and_not_only_what_may_be_called() {
    let mut counted = Counted::ruled().await;
    counted.list(&tools(&["open", "shut"])).await;
    counted.is_refused("shut").await;
    counted.is_refused("shut-made-up").await;
    counted.counts_call("open", "open").await;
    let labels = ["tool=\"shut\"", "outcome=\"refused\"", "consumer=\"agent\""];
    counted.gateway.metric_becomes("portcullis_mcp_calls_total", &labels, 1.0).await;
    counted.counts("other", 1.0).await;
}

#[tokio::test]
async fn under_rules_lists_on_streams_are_learned_from_too() {
    let mut counted = Counted::ruled().await;
    let listens = Call::get("/api/mcp").bearer(&counted.key);
    for (call, tool) in [(counted.asks_for_the_list(), "a"), (listens, "b")] {
        let mut client = counted.gateway.client().await;
        client.send(&call).await;
        let mut from_upstream = counted.upstream.next().await.stream(&[]).await;
        let mut stream = client.stream().await;
        from_upstream.event("message", &tools(&[tool])).await;
        stream.next_event().await.unwrap();
        from_upstream.finish().await;
        assert_eq!(stream.next_event().await, None);
        counted.counts_call(tool, tool).await;
    }
}

#[tokio::test]
async fn the_tools_that_rules_name_count_before_any_list() {
    let mut counted = Counted::with(|setup, key| {
        let rules = "tools = { allow = [\"a*\", \"both\"] }\n";
        setup.route("tools = { deny = [\"denied\"] }").consumer("agent", key, rules)
    })
    .await;
    counted.counts_call("both", "both").await;
    counted.counts_call("a1", "other").await;
    counted.is_refused("denied").await;
    counted.counts("denied", 1.0).await;
}

#[tokio::test]
async fn only_the_answer_to_a_list_teaches() {
    let mut counted = Counted::start().await;
    let told = counted.calls("echo");
    let batch = counted.post(&format!("[{}]", request("tools/list", &json!({}))));
    for (call, status, tool) in
        [(told, 200, "told"), (batch, 200, "batch"), (counted.asks_for_the_list(), 400, "error")]
    {
        counted.client.send(&call).await;
        counted.upstream.next().await.respond(status, &[JSON], tools(&[tool])).await;
        counted.client.answer().await;
        counted.counts_call(tool, "other").await;
    }
    // Neither a prompt, nor a list that can't be read, nor one that is too long to be copied.
    let prompts = tools(&["prompt"]).replace("tools", "prompts");
    let torn = tools(&["torn"]).replace("]}}", "]}");
    let long = tools(&["long"]).replace("{}", &format!("{:?}", "x".repeat(256 << 10)));
    for (body, tool) in [(prompts, "prompt"), (torn, "torn"), (long, "long")] {
        counted.list(&body).await;
        counted.counts_call(tool, "other").await;
    }
    counted.list(&tools(&["whole"])).await;
    counted.counts_call("whole", "whole").await;
    // Nor, without rules, a stream that was opened by itself.
    let mut client = counted.gateway.client().await;
    client.send(&Call::get("/api/mcp").bearer(&counted.key)).await;
    let mut from_upstream = counted.upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("message", &tools(&["unread"])).await;
    from_upstream.finish().await;
    while stream.next_event().await.is_some() {}
    counted.counts_call("unread", "other").await;
}

#[tokio::test]
async fn the_129th_tool_counts_as_other() {
    let mut counted = Counted::start().await;
    let names: Vec<String> = (1..=129).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Over two pages, as a server may have it.
    for page in [&names[..100], &names[100..]] {
        counted.list(&tools(page)).await;
    }
    for (tool, label) in [("t1", "t1"), ("t128", "t128"), ("t129", "other")] {
        counted.counts_call(tool, label).await;
    }
    // What has come first stays, whatever the server lists now.
    counted.list(&tools(&["t200"])).await;
    counted.counts_call("t200", "other").await;
    counted.counts_call("t1", "t1").await;
}

#[tokio::test]
async fn a_name_that_could_forge_a_series_counts_as_other() {
    let mut counted = Counted::start().await;
    let forged = "x\",route=\"forged";
    let long = "n".repeat(129);
    counted.list(&tools(&[forged, "two words", "é", "", &long, "plain"])).await;
    for tool in [forged, "two words", "é", &long] {
        counted.counts_call(tool, "other").await;
    }
    counted.counts_call("plain", "plain").await;
    assert!(!counted.gateway.admin("/metrics").contains("forged"));
}

#[tokio::test]
async fn a_list_that_shows_a_key_teaches_nothing() {
    // The harness looks for keys in the metrics when the gateway is dropped.
    let real = Key::holding("");
    for rules in ["", RULED] {
        let mut counted =
            Counted::with(|setup, key| setup.injected("agent", key, &real, rules)).await;
        counted.teaches_nothing_beside(&real).await;
        counted.teaches_nothing_beside(&counted.key.clone()).await;
    }
    let mut stranger = Counted::start().await;
    stranger.teaches_nothing_beside(&stranger.key.clone()).await;
}

impl Counted {
    async fn teaches_nothing_beside(&mut self, key: &Key) {
        let tool = &*format!("before-{}", RequestId::next());
        let list = |text: &str| tools(&[tool, "by-KEY"]).replace("KEY", text);
        for list in [list(key.text()), list(&key.text().replace('z', "\\u007a"))] {
            self.list(&list).await;
            self.counts_call(tool, "other").await;
        }
        self.list(&tools(&[tool])).await;
        self.counts_call(tool, tool).await;
    }
}

#[tokio::test]
async fn series_of_names_that_a_reload_takes_away_go_with_them() {
    let mut counted = Counted::ruled().await;
    let call = counted.post(&request("ping", &json!({})));
    counted.client.send(&call).await;
    counted.upstream.answer("{}").await;
    assert_eq!(counted.client.answer().await.status, 200);
    counted.gateway.metric_becomes("portcullis_requests_total", &["agent"], 1.0).await;
    counted.gateway.apply(|text| text.replace("name = \"agent\"", "name = \"other\""), |_| {});
    for series in ["requests_total", "request_duration_seconds_count", "mcp_calls_total"] {
        let series = format!("portcullis_{series}");
        counted.gateway.metric_becomes(&series, &["\"agent\""], 0.0).await;
    }
    assert!(counted.gateway.admin("/metrics").contains("listener=\"http\""));
}
