//! Ways past the rules that were tried on others, each shut.

use serde_json::json;

use super::{Ruled, SOME, request, told};
use crate::harness::Call;

const CALL: &str = r#""jsonrpc":"2.0","id":7,"method":"tools/call""#;

#[tokio::test]
async fn an_escape_in_a_name_hides_nothing() {
    let mut ruled = Ruled::by(SOME).await;
    for body in [
        format!(r#"{{{CALL},"params":{{"n\u0061me":"triggerTool"}}}}"#),
        format!(r#"{{{CALL},"params":{{"name":"trigger\u0054ool"}}}}"#),
        r#"{"jsonrpc":"2.0","id":7,"m\u0065thod":"tools\/call","params":{"name":"triggerTool"}}"#
            .to_owned(),
        format!(r#"{{{CALL},"p\u0061rams":{{"name":"triggerTool"}}}}"#),
    ] {
        assert_eq!(told(&ruled.refused(&body).await).1, "Unknown tool: triggerTool", "{body}");
    }
    // The same spelling of a name that is allowed goes on as it was written.
    ruled.passes(&format!(r#"{{{CALL},"params":{{"n\u0061me":"postsLi\u0073t"}}}}"#)).await;
}

#[tokio::test]
async fn a_member_in_two_spellings_or_twice_is_no_message() {
    let mut ruled = Ruled::by(SOME).await;
    for body in [
        format!(r#"{{{CALL},"params":{{"name":"posts","name":"triggerTool"}}}}"#),
        format!(r#"{{{CALL},"params":{{"name":"posts","Name":"triggerTool"}}}}"#),
        format!(r#"{{{CALL},"params":{{"name":"posts","n\u0061me":"triggerTool"}}}}"#),
        format!(r#"{{{CALL},"params":{{"name":"posts"}},"Params":{{"name":"triggerTool"}}}}"#),
        format!(r#"{{{CALL},"params":{{"name":"posts"}},"paramſ":{{"name":"triggerTool"}}}}"#),
        format!(r#"{{{CALL},"params":{{"name":"posts"}},"params":{{"name":"triggerTool"}}}}"#),
        format!(r#"{{{CALL},"method":"ping"}}"#),
        format!(r#"{{{CALL},"METHOD":"ping"}}"#),
        format!(r#"{{{CALL},"params":{{"name":"posts","arguments":{{"a":1,"a":2}}}}}}"#),
        format!(r#"{{{CALL},"params":{{"name":"posts"}},"result":{{}}}}"#),
        r#"{"id":7,"method":"tools/call","params":{"name":"posts"}}"#.to_owned(),
    ] {
        ruled.refused(&body).await.refused(400, "not_rpc");
    }
}

#[tokio::test]
async fn a_letter_that_looks_like_another_is_another() {
    let mut ruled = Ruled::by("tools = { deny = [\"triggerTool\"], allow = [\"post*\"] }\n").await;
    for tool in ["pоsts", "ｐosts", "p\u{200b}osts", "POSTS", "\u{feff}posts"] {
        let answer = ruled.refused(&request("tools/call", json!({"name": tool}))).await;
        assert_eq!(answer.reason(), "tool", "{tool:?}");
    }
}

#[tokio::test]
async fn a_head_that_says_otherwise_than_the_body_is_refused_in_every_version() {
    let mut ruled = Ruled::by(SOME).await;
    let body = request("tools/call", json!({"name": "triggerTool"}));
    for version in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        let call = ruled.post(&body).field("mcp-protocol-version", version);
        for (name, value) in
            [("mcp-method", "ping"), ("mcp-name", "posts"), ("mcp-name", "=?base64?cG9zdHM=?=")]
        {
            let answer = ruled.client.ask(&call.clone().field(name, value)).await;
            answer.refused(400, "head_mismatch");
            assert_eq!(answer.json()["error"]["code"], -32020);
        }
        // Agreeing with it doesn't make the call a better one.
        let agreeing = call.field("mcp-method", "tools/call").field("mcp-name", "triggerTool");
        assert_eq!(ruled.client.ask(&agreeing).await.reason(), "tool");
    }
    ruled.upstream.saw_nothing(&ruled.gateway).await;
}

#[tokio::test]
async fn a_batch_hides_no_call_and_is_only_of_versions_that_have_it() {
    let mut ruled = Ruled::by(SOME).await;
    let (good, bad) =
        (request("ping", json!({})), request("tools/call", json!({"name": "triggerTool"})));
    let answer = ruled.refused(&format!("[{good},{bad}]")).await;
    assert_eq!((answer.status, answer.json().as_array().unwrap().len()), (200, 2));
    for version in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        let call = ruled.post(&format!("[{good}]")).field("mcp-protocol-version", version);
        ruled.client.ask(&call).await.refused(400, "not_rpc");
    }
    ruled.passes(&format!("[{good}]")).await;
}

#[tokio::test]
async fn a_key_in_another_spelling_is_the_same_key() {
    let mut ruled = Ruled::by(SOME).await;
    let body = request("tools/call", json!({"name": "triggerTool"}));
    let escaped = |such: fn(&u8) -> bool| -> String {
        let one = |b: u8| if such(&b) { format!("%{b:02x}") } else { char::from(b).to_string() };
        ruled.key.text().bytes().map(one).collect()
    };
    let call = |key: String| Call::post(&format!("/api/mcp/{key}"), &body);
    let letters = call(escaped(u8::is_ascii_alphanumeric));
    let all = call(escaped(|_| true));
    // A triplet of a letter is decoded; that of any other byte is refused.
    assert_eq!(told(&ruled.gateway.ask(&letters).await).0, -32602);
    ruled.gateway.ask(&all).await.refused(400, "malformed");
    for scheme in ["bearer ", "BEARER ", ""] {
        let call = Call::post("/api/mcp", &body)
            .field("authorization", &format!("{scheme}{}", ruled.key.text()));
        assert_eq!(told(&ruled.gateway.ask(&call).await).0, -32602);
    }
    ruled.upstream.saw_nothing(&ruled.gateway).await;
}

#[tokio::test]
async fn a_body_that_can_not_be_read_is_not_forwarded() {
    let mut ruled = Ruled::by(SOME).await;
    let body = request("tools/call", json!({"name": "posts"}));
    let gzip = ruled.post(&body).field("content-encoding", "gzip");
    ruled.client.ask(&gzip).await.refused(415, "media_type");
    let utf16 = Call::new("POST", "/api/mcp")
        .bearer(&ruled.key)
        .field("content-type", "application/json; charset=utf-16")
        .body(&body);
    ruled.client.ask(&utf16).await.refused(415, "media_type");
    let as_utf16: String = body.chars().flat_map(|c| [c, '\0']).collect();
    ruled.refused(&as_utf16).await.refused(400, "not_json");
    ruled.refused(&format!("\u{feff}{body}")).await.refused(400, "not_json");
    ruled.refused(&format!("{body}\0")).await.refused(400, "not_json");
    ruled.refused(&"[".repeat(10_000)).await.refused(400, "not_rpc");
    let deep = format!(
        r#"{{{CALL},"params":{{"name":"posts","arguments":{}1{}}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    ruled.refused(&deep).await.refused(400, "not_rpc");
    let digits =
        format!(r#"{{{CALL},"params":{{"name":"posts","arguments":{}}}}}"#, "1".repeat(10_000));
    ruled.refused(&digits).await.refused(400, "not_rpc");
    let large = request("tools/call", json!({"name": "posts", "arguments": "x".repeat(5 << 20)}));
    ruled.refused(&large).await.refused(413, "body_too_large");
}
