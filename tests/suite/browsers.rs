//! MCP clients that run in a page.

use crate::harness::{Answer, Call, Key, Setup, Upstream, tool_call};

const INSPECTOR: &str = "https://inspector.example.com";

fn setup(upstream: &Upstream) -> Setup {
    Setup::new(upstream).route(&format!("origins = [\"{INSPECTOR}\"]"))
}

fn preflight(asks_for: &str) -> Call {
    Call::new("OPTIONS", "/api/mcp")
        .field("origin", INSPECTOR)
        .field("access-control-request-method", "POST")
        .field("access-control-request-headers", asks_for)
}

fn names(answer: &Answer, field: &str) -> Vec<String> {
    let list = answer.field(field).unwrap_or_else(|| panic!("no {field} in {answer:?}"));
    list.split(", ").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_preflight_allows_what_an_mcp_client_sends_and_repeats_only_names_of_parameters() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let asked = "authorization,content-type,last-event-id,mcp-method,mcp-name,\
                 mcp-param-region,mcp-protocol-version,mcp-session-id,x-evil";
    let answer = gateway.ask(&preflight(asked)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.field("access-control-allow-origin"), Some(INSPECTOR));
    assert_eq!(answer.field("access-control-allow-credentials"), None);
    let allowed = names(&answer, "access-control-allow-headers");
    for name in asked.split(',').filter(|name| *name != "x-evil") {
        assert!(allowed.iter().any(|allowed| allowed == name), "{name} is not in {allowed:?}");
    }
    assert!(!allowed.iter().any(|name| name == "x-evil" || name == "*"), "{allowed:?}");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_preflight_that_asks_for_too_much_is_answered_with_so_many_names() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let fixed = names(&gateway.ask(&preflight("")).await, "access-control-allow-headers").len();
    let many: Vec<String> = (0..200).map(|n| format!("mcp-param-{n}")).collect();
    let answer = gateway.ask(&preflight(&many.join(","))).await;
    assert_eq!(names(&answer, "access-control-allow-headers").len(), fixed + 32);
    let long = format!("mcp-param-{}", "a".repeat(55));
    let answer = gateway.ask(&preflight(&long)).await;
    assert_eq!(names(&answer, "access-control-allow-headers").len(), fixed);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_parameter_of_a_page_goes_upstream_and_what_a_client_reads_is_exposed() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let call = Call::post("/api/mcp", &tool_call(1)).bearer(&Key::new());
    let mut client = gateway.client().await;
    client.send(&call.field("origin", INSPECTOR).field("mcp-param-region", "eu")).await;
    let request = upstream.next().await;
    assert_eq!(request.field("mcp-param-region"), Some("eu"));
    request.respond(200, &[("mcp-session-id", "1")], "{}").await;
    let mut exposed = names(&client.answer().await, "access-control-expose-headers");
    exposed.sort_unstable();
    let read = [
        "last-event-id",
        "mcp-protocol-version",
        "mcp-session-id",
        "retry-after",
        "www-authenticate",
    ];
    assert_eq!(exposed, read);
}

#[tokio::test]
async fn a_refusal_can_be_read_by_a_page_of_an_allowed_origin_and_by_no_other() {
    let mut upstream = Upstream::start().await;
    let gateway = setup(&upstream).start();
    let call = |origin: &str| Call::post("/api/mcp", &tool_call(1)).field("origin", origin);
    let missing = gateway.ask(&call(INSPECTOR)).await;
    missing.refused(401, "unauthorized");
    assert_eq!(missing.field("access-control-allow-origin"), Some(INSPECTOR));
    for call in [
        call("https://evil.example"),
        Call::new("OPTIONS", "/api/mcp")
            .field("origin", "https://evil.example")
            .field("access-control-request-method", "POST")
            .field("access-control-request-headers", "mcp-param-a"),
    ] {
        let refused = gateway.ask(&call).await;
        refused.refused(403, "origin");
        let cors = refused.fields.iter().find(|(name, _)| name.starts_with("access-control"));
        assert_eq!(cors, None);
    }
    upstream.saw_nothing(&gateway).await;
}
