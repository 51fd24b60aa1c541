//! What is recorded of calls, where nothing is, and what waits for a record.

use serde_json::{Value, json};

use crate::harness::{AUDIT, Call, Gateway, Key, Setup, Upstream, call_with_id};

/// A call of a tool.
fn tool(id: u32, name: &str, arguments: Value) -> String {
    let params = json!({"name": name, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

/// What is called with a name.
fn request(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": params}).to_string()
}

fn post(key: &Key, body: &str) -> Call {
    Call::post("/api/mcp", body).bearer(key)
}

/// `[audit]` with more lines.
fn audit(lines: &str) -> String {
    format!("{AUDIT}{lines}")
}

/// The fields of a record, those that are each call's own left out.
fn said(record: &Value) -> Value {
    let mut said = record.clone();
    for own in ["ts", "request_id", "key", "duration_ms", "level", "client", "upstream"] {
        said.as_object_mut().unwrap().remove(own);
    }
    said
}

#[tokio::test]
async fn a_call_has_one_record_of_the_same_exchange_as_its_line_in_the_log() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).consumer("agent", &key, "").start();
    gateway.pass(&mut upstream, &post(&key, &tool(7, "posts", json!({"a": 1})))).await;
    let record = &gateway.audited(1).await[0];
    assert_eq!(
        said(record),
        json!({
            "event": "call", "route": "mcp", "consumer": "agent", "tool": "posts",
            "mcp_method": "tools/call", "rpc_id": "7", "outcome": "answered", "status": 200,
        })
    );
    let line = gateway.logged("the call", |line| line["tool"] == "posts").await;
    for field in ["request_id", "key", "client", "duration_ms", "upstream", "consumer", "status"] {
        assert_eq!(record[field], line[field], "{field}");
    }
    gateway.metric_becomes("portcullis_audit_records_total", &[], 1.0).await;
}

#[tokio::test]
async fn a_refused_call_is_recorded_with_its_reason_and_what_never_was_a_call_is_not() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let rules = "rate = \"2/day\"\n[consumers.tools]\ndeny = [\"b\"]\n\
                 [consumers.tools.arguments.a]\n\"/x\" = { equals = 1 }\n";
    let setup = Setup::new(&upstream).route("unknown_keys = \"refuse\"");
    let gateway = setup.consumer("agent", &key, rules).start();
    // A wrong key, and what is no call.
    gateway.ask(&post(&Key::new(), &tool(1, "a", json!({})))).await.refused(401, "unauthorized");
    gateway.pass(&mut upstream, &post(&key, &call_with_id(2, "ping"))).await;
    let mut records = Vec::new();
    for (id, name) in [(3, "b"), (4, "a"), (5, "a")] {
        gateway.ask(&post(&key, &tool(id, name, json!({})))).await;
        records = gateway.audited(records.len() + 1).await;
    }
    for (record, (tool, reason)) in
        records.iter().zip([("b", "tool"), ("a", "argument"), ("a", "rate")])
    {
        let expected = (&json!(tool), &json!(reason), &json!("refused"), &json!(200));
        let found = (&record["tool"], &record["reason"], &record["outcome"], &record["status"]);
        assert_eq!(found, expected, "{record}");
        assert_eq!(record.get("upstream"), None, "{record}");
    }
}

#[tokio::test]
async fn who_is_refused_at_the_door_does_not_fill_the_audit() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also("[limits]\nunproven_per_address = \"1/h\"\n").start();
    gateway.pass(&mut upstream, &post(&Key::new(), &tool(1, "a", json!({})))).await;
    for id in 2..5 {
        let answer = gateway.ask(&post(&Key::new(), &tool(id, "a", json!({})))).await;
        assert_eq!(answer.reason(), "rate");
    }
    gateway.metric_becomes("portcullis_refusals_total", &["reason=\"rate\""], 3.0).await;
    assert_eq!(gateway.audited(1).await[0]["rpc_id"], "1");
}

#[tokio::test]
async fn each_call_of_a_batch_has_a_record() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let (one, two) = (tool(1, "a", json!({})), tool(2, "b", json!({})));
    let batch = format!("[{one},{},{two}]", call_with_id(3, "ping"));
    gateway.pass(&mut upstream, &post(&Key::new(), &batch)).await;
    let records = gateway.audited(2).await;
    let named: Vec<_> = records.iter().map(|r| (&r["tool"], &r["rpc_id"])).collect();
    assert_eq!(named, [(&json!("a"), &json!("1")), (&json!("b"), &json!("2"))]);
    assert_eq!(records[0]["request_id"], records[1]["request_id"]);
}

#[tokio::test]
async fn prompts_and_resources_are_recorded_by_their_names_and_lists_are_not() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut records = Vec::new();
    for (method, params, more) in [
        ("prompts/get", json!({"name": "greeting"}), 1),
        ("tools/list", json!({}), 0),
        ("resources/read", json!({"uri": "docs://a/1"}), 1),
        ("initialize", json!({}), 0),
        ("tools/call", json!({}), 1),
    ] {
        gateway.pass(&mut upstream, &post(&Key::new(), &request(method, params))).await;
        records = gateway.audited(records.len() + more).await;
    }
    let named = |index: usize| {
        let record = &records[index];
        (
            record["mcp_method"].as_str().unwrap(),
            record["prompt"].as_str(),
            record["resource"].as_str(),
        )
    };
    assert_eq!(named(0), ("prompts/get", Some("greeting"), None));
    assert_eq!(named(1), ("resources/read", None, Some("docs://a/1")));
    assert_eq!(named(2), ("tools/call", None, None));
}

#[tokio::test]
async fn the_chosen_arguments_of_a_tool_are_recorded_and_no_other() {
    let mut upstream = Upstream::start().await;
    let fields = "[audit.fields]\nschedule = [\"/posts/*/type\", \"/posts\", \"/note\"]\n\
                  \"*\" = [\"/note\", \"/date\"]\n";
    let gateway = Setup::new(&upstream).also(&audit(fields)).start();
    let posts = json!([{"type": "draft", "text": "own"}, {"type": "now"}, {}]);
    let note = "n ".repeat(150);
    let arguments = json!({"posts": posts, "note": note, "date": 7});
    let mut records = Vec::new();
    for name in ["schedule", "other"] {
        gateway.pass(&mut upstream, &post(&Key::new(), &tool(1, name, arguments.clone()))).await;
        records = gateway.audited(records.len() + 1).await;
    }
    let cut = json!({"kind": "text", "bytes": 300, "begins": "n ".repeat(128)});
    assert_eq!(
        records[0]["arguments"],
        json!({
            "/posts/*/type": ["draft", "now"],
            "/posts": {"kind": "array", "items": 3},
            "/note": cut,
            "/date": 7,
        })
    );
    assert_eq!(records[1]["arguments"], json!({"/note": cut, "/date": 7}));
}

#[tokio::test]
async fn what_is_noted_of_a_call_is_bounded_and_says_so() {
    let mut upstream = Upstream::start().await;
    let fields = "[audit.fields]\n\"*\" = [\"/posts/*\", \"/key\"]\n";
    let gateway = Setup::new(&upstream).also(&audit(fields)).start();
    let mut records = Vec::new();
    for arguments in [
        json!({"posts": vec!["x".repeat(10); 1000]}),
        json!({"posts": vec!["x ".repeat(500); 30]}),
        // A server that doesn't tell upper case from lower reads what the pointer doesn't.
        json!({"KEY": 1}),
    ] {
        gateway.pass(&mut upstream, &post(&Key::new(), &tool(1, "a", arguments))).await;
        records = gateway.audited(records.len() + 1).await;
    }
    assert!(records.iter().all(|record| record["partial"] == true), "{records:#?}");
    assert_eq!(records[0]["arguments"]["/posts/*"].as_array().unwrap().len(), 32);
    assert!(records[1].to_string().len() < 5000, "{}", records[1]);
}

#[tokio::test]
async fn a_digest_is_the_same_for_the_same_arguments_after_a_restart_too() {
    let mut upstream = Upstream::start().await;
    let state = tempfile::TempDir::new().unwrap();
    let with = |state: &str| audit(&format!("digest = true\n{state}"));
    let kept = with(&format!("[state]\ndir = \"{}\"\n", state.path().display()));
    let mut digests = Vec::new();
    for more in [&kept, &kept, &with("")] {
        let gateway = Setup::new(&upstream).also(more).start();
        let mut records = Vec::new();
        for arguments in [json!({"a": 1}), json!({"a": 1}), json!({"a": 2})] {
            gateway.pass(&mut upstream, &post(&Key::new(), &tool(1, "x", arguments))).await;
            records = gateway.audited(records.len() + 1).await;
        }
        digests.extend(records.iter().map(|record| record["digest"].as_str().unwrap().to_owned()));
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0].len(), 32);
    assert_ne!(digests[0], digests[2]);
    assert_eq!(digests[..3], digests[3..6]);
    assert_ne!(digests[0], digests[6], "without [state] the key is another");
}

#[tokio::test]
async fn a_key_in_an_argument_a_name_or_an_id_is_never_shown_and_counted() {
    let mut upstream = Upstream::start().await;
    let (key, virtual_key, real) = (Key::new(), Key::new(), Key::new());
    let setup = Setup::new(&upstream)
        .also(&audit("[audit.fields]\n\"*\" = [\"/a\", \"/b\", \"/c/*\"]\n"))
        .consumer("own", &key, "")
        .injected("agent", &virtual_key, &real, "tools = { deny = [\"*\"] }\n");
    let gateway = setup.start();
    let padded = format!("{}{}", "x".repeat(250), key.text());
    let arguments = json!({"a": key.text(), "b": padded, "c": [key.encoded(), "plain"]});
    gateway.pass(&mut upstream, &post(&key, &tool(1, "a", arguments))).await;
    gateway.audited(1).await;
    let greeting = json!({
        "jsonrpc": "2.0", "id": key.text(), "method": "prompts/get",
        "params": {"name": format!("a{}", key.text())},
    });
    gateway.pass(&mut upstream, &post(&key, &greeting.to_string())).await;
    gateway.audited(2).await;
    gateway.ask(&post(&virtual_key, &tool(3, "a", json!({"a": real.text()})))).await;
    let records = gateway.audited(3).await;
    let mask = "[redacted]";
    assert_eq!(records[0]["arguments"], json!({"/a": mask, "/b": mask, "/c/*": [mask, "plain"]}));
    assert_eq!((&records[1]["rpc_id"], &records[1]["prompt"]), (&json!(mask), &json!(mask)));
    assert_eq!(records[2]["arguments"], json!({"/a": mask}));
    gateway.metric_becomes("portcullis_redactions_total", &["sink=\"audit\""], 6.0).await;
}

#[tokio::test]
async fn where_audit_is_off_nothing_is_recorded_unless_the_other_is_stricter() {
    let mut upstream = Upstream::start().await;
    let (quiet, watched) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route("audit = \"off\"");
    let gateway =
        setup.consumer("quiet", &quiet, "").consumer("watched", &watched, "audit = \"on\"\n");
    let gateway = gateway.start();
    for key in [&quiet, &watched] {
        gateway.pass(&mut upstream, &post(key, &tool(1, "a", json!({})))).await;
    }
    assert_eq!(gateway.audited(1).await[0]["consumer"], "watched");
}

/// A gateway whose calls wait for their records.
async fn required() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("audit = \"required\"").start();
    (upstream, gateway)
}

#[tokio::test]
async fn a_record_that_is_required_is_there_before_the_upstream_is() {
    let (mut upstream, gateway) = required().await;
    let (key, mut client) = (Key::new(), gateway.client().await);
    client.send(&post(&key, &tool(7, "a", json!({})))).await;
    let call = upstream.next().await;
    let begun = gateway.audit();
    assert_eq!(
        said(&begun[0]),
        json!({
            "event": "begun", "route": "mcp", "tool": "a", "mcp_method": "tools/call", "rpc_id": "7",
        })
    );
    assert_eq!(begun[0]["upstream"], "postiz");
    call.respond(200, &[], "{}").await;
    client.answer().await;
    let records = gateway.audited(2).await;
    assert_eq!(
        (&records[1]["event"], &records[1]["outcome"]),
        (&json!("call"), &json!("answered"))
    );
    assert_eq!(records[0]["request_id"], records[1]["request_id"]);
    // What is no call waits for nothing.
    gateway.pass(&mut upstream, &post(&key, &call_with_id(8, "ping"))).await;
    assert_eq!(gateway.audit().len(), 2);
}

#[tokio::test]
async fn a_required_record_that_can_not_be_written_keeps_the_call_and_no_other() {
    let (mut upstream, gateway) = required().await;
    let (key, mut client) = (Key::new(), gateway.client().await);
    let call = post(&key, &tool(7, "a", json!({})));
    gateway.loses_its_audit();
    for _ in 0..2 {
        let answer = client.ask(&call).await;
        answer.refused(503, "overload");
        assert_eq!(answer.json()["id"], 7);
        // Nothing of it, and the calls of another route pass.
        upstream.saw_nothing(&gateway).await;
    }
    gateway.metric_becomes("portcullis_audit_failing", &[], 1.0).await;
    gateway.pass(&mut upstream, &post(&key, &call_with_id(8, "ping"))).await;
    gateway.finds_its_audit().await;
    client.send(&call).await;
    upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    // What was refused meanwhile is recorded as that.
    let refused = |record: &&Value| record["outcome"] == "refused";
    let records = gateway.audited(5).await;
    assert_eq!(records.iter().filter(refused).count(), 2, "{records:#?}");
    assert_eq!(gateway.metric("portcullis_audit_records_dropped_total", &[]), 0.0);
}

#[tokio::test]
async fn a_batch_waits_for_the_records_of_all_its_calls() {
    let (mut upstream, gateway) = required().await;
    let (one, two) = (tool(1, "a", json!({})), tool(2, "b", json!({})));
    let mut client = gateway.client().await;
    client.send(&post(&Key::new(), &format!("[{one},{two}]"))).await;
    let call = upstream.next().await;
    let begun: Vec<_> = gateway.audit().iter().map(|r| r["tool"].clone()).collect();
    assert_eq!(begun, ["a", "b"]);
    call.respond(200, &[], "[]").await;
    client.answer().await;
}

#[tokio::test]
async fn the_audit_is_put_aside_by_its_size_and_so_many_are_kept() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also(&audit("size = \"4KiB\"\nkeep = 2\n")).start();
    let (key, mut client) = (Key::new(), gateway.client().await);
    for id in 0..80 {
        client.send(&post(&key, &tool(id, "a", json!({})))).await;
        upstream.answer("{}").await;
        client.answer().await;
    }
    gateway.metric_becomes("portcullis_audit_records_total", &[], 80.0).await;
    let mut files: Vec<_> = std::fs::read_dir(gateway.audit_dir()).unwrap().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let names: Vec<_> = files.iter().map(std::fs::DirEntry::file_name).collect();
    assert_eq!(names, ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
    assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 4096));
}
