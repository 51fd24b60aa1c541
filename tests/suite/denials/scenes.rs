//! How each denial is brought about.

use std::net::Ipv4Addr;

use super::Refused;
use crate::harness::{Call, Key, Setup, Upstream, call_with_id, tool_call};

/// A call that passes, but for what a scene changes of it.
pub(super) fn post(key: &Key) -> Call {
    to("/api/mcp").bearer(key)
}

fn to(target: &str) -> Call {
    Call::post(target, &tool_call(7))
}

fn get(fields: &str) -> String {
    format!("GET /api/mcp HTTP/1.1\r\nhost: gateway.test\r\n{fields}\r\n")
}

/// Sends bytes to a gateway that is set up so, and holds it to asking nobody else.
async fn said_to(setup: impl FnOnce(Setup) -> Setup, bytes: impl AsRef<[u8]>) -> Refused {
    let mut upstream = Upstream::start().await;
    let gateway = setup(Setup::new(&upstream)).start();
    let mut client = gateway.client().await;
    client.raw(bytes).await;
    let answer = client.answer().await;
    upstream.saw_nothing(&gateway).await;
    Refused { client, answer, gateway }
}

async fn said(bytes: &str) -> Refused {
    said_to(|setup| setup, bytes).await
}

async fn asked_of(setup: impl FnOnce(Setup) -> Setup, call: Call) -> Refused {
    said_to(setup, call.bytes()).await
}

async fn asked(call: Call) -> Refused {
    asked_of(|setup| setup, call).await
}

pub(super) async fn request_line() -> Refused {
    said("GET /api/mcp\r\n").await
}

pub(super) async fn version() -> Refused {
    said(&get("").replace("HTTP/1.1", "HTTP/2.0")).await
}

pub(super) async fn line_end() -> Refused {
    said(&get("x: 1\n")).await
}

pub(super) async fn field() -> Refused {
    said(&get("x(: 1\r\n")).await
}

pub(super) async fn field_name() -> Refused {
    said(&get("x_forwarded_for: 192.0.2.1\r\n")).await
}

pub(super) async fn framing() -> Refused {
    said(&get("content-length: 1\r\ntransfer-encoding: chunked\r\n")).await
}

pub(super) async fn transfer_coding() -> Refused {
    said(&get("transfer-encoding: gzip, chunked\r\n")).await
}

pub(super) async fn chunk() -> Refused {
    let chunked = Call::new("POST", "/api/mcp")
        .bearer(&Key::new())
        .field("content-type", "application/json")
        .field("transfer-encoding", "chunked");
    said_to(|setup| setup, [&chunked.bytes()[..], b"+1\r\n"].concat()).await
}

pub(super) async fn host_field() -> Refused {
    said("GET /api/mcp HTTP/1.1\r\n\r\n").await
}

pub(super) async fn target() -> Refused {
    asked(to("/api/mcp#x")).await
}

pub(super) async fn path() -> Refused {
    asked(to("/api/a/../mcp")).await
}

pub(super) async fn connection() -> Refused {
    asked(post(&Key::new()).field("connection", "authorization")).await
}

pub(super) async fn target_too_long() -> Refused {
    asked(to(&format!("/{}", "a".repeat(9 << 10)))).await
}

pub(super) async fn head_too_large() -> Refused {
    asked(post(&Key::new()).field("x", &"a".repeat(17 << 10))).await
}

pub(super) async fn timeout() -> Refused {
    said_to(|setup| setup.also("[timeouts]\nhead = \"100ms\""), "GET /api/mcp HT").await
}

pub(super) async fn expectation() -> Refused {
    asked(post(&Key::new()).field("expect", "a-miracle")).await
}

pub(super) async fn no_route() -> Refused {
    asked(to("/elsewhere")).await
}

pub(super) async fn host() -> Refused {
    let setup = |setup: Setup| setup.route("hosts = [\"gateway.test\"]");
    asked_of(setup, post(&Key::new()).host("other.test")).await
}

pub(super) async fn method() -> Refused {
    asked(Call::new("PUT", "/api/mcp").bearer(&Key::new()).body(&tool_call(7))).await
}

pub(super) async fn media_type() -> Refused {
    let call = Call::new("POST", "/api/mcp").bearer(&Key::new());
    asked(call.field("content-type", "text/plain").body(&tool_call(7))).await
}

pub(super) async fn address() -> Refused {
    asked_of(|setup| setup.route("allow = [\"192.0.2.0/24\"]"), post(&Key::new())).await
}

pub(super) async fn origin() -> Refused {
    asked(post(&Key::new()).field("origin", "https://evil.test")).await
}

pub(super) async fn insecure() -> Refused {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().redirect().start();
    let mut client = gateway.client_of("redirect", Ipv4Addr::LOCALHOST).await;
    let answer = client.ask(&post(&Key::new())).await;
    upstream.saw_nothing(&gateway).await;
    Refused { client, answer, gateway }
}

pub(super) async fn credential_ambiguous() -> Refused {
    let (one, other) = (Key::new(), Key::new());
    asked(to(&format!("/api/mcp/{}", one.encoded())).bearer(&other)).await
}

pub(super) async fn key_missing() -> Refused {
    asked(to("/api/mcp")).await
}

pub(super) async fn key_unknown() -> Refused {
    asked_of(|setup| setup.route("unknown_keys = \"refuse\""), post(&Key::new())).await
}

pub(super) async fn key_expired() -> Refused {
    let key = Key::new();
    asked_of(|setup| setup.consumer("old", &key, "expires = 2020-01-31"), post(&key)).await
}

pub(super) async fn session() -> Refused {
    asked(post(&Key::new()).field("mcp-session-id", "made-up")).await
}

/// Asks after so many calls of the key that passed. The rate is one a day.
async fn over_the_rate(before: usize, passing: &str, then: &str) -> Refused {
    let (mut upstream, key) = (Upstream::start().await, Key::new());
    let gateway = Setup::new(&upstream).route("rate = \"1/day\"").consumer("one", &key, "").start();
    let call = |body: &str| Call::post("/api/mcp", body).bearer(&key);
    for _ in 0..before {
        gateway.pass(&mut upstream, &call(passing)).await;
    }
    let mut client = gateway.client().await;
    let answer = client.ask(&call(then)).await;
    upstream.saw_nothing(&gateway).await;
    Refused { client, answer, gateway }
}

pub(super) async fn rate() -> Refused {
    over_the_rate(1, &tool_call(1), &tool_call(7)).await
}

pub(super) async fn rate_of_a_notification() -> Refused {
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    over_the_rate(1, &tool_call(1), notification).await
}

pub(super) async fn discover_rate() -> Refused {
    let discover = |id| call_with_id(id, "server/discover");
    over_the_rate(10, &discover(1), &discover(7)).await
}

pub(super) async fn streams() -> Refused {
    let (mut upstream, key) = (Upstream::start().await, Key::new());
    let gateway = Setup::new(&upstream).route("max_streams = 1").start();
    let mut holder = gateway.client().await;
    holder.send(&Call::get("/api/mcp").bearer(&key)).await;
    let held = upstream.next().await.stream(&[]).await;
    let mut client = gateway.client().await;
    let listen = call_with_id(7, "subscriptions/listen");
    let answer = client.ask(&Call::post("/api/mcp", &listen).bearer(&key)).await;
    upstream.saw_nothing(&gateway).await;
    drop(held);
    Refused { client, answer, gateway }
}

/// A body that comes while another takes all the memory that there is for bodies.
pub(super) async fn overload() -> Refused {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).route("max_body = \"64MiB\"").start();
    let padded = |size: usize| {
        let call = tool_call(7);
        let spaces = " ".repeat(size - call.len());
        post(&Key::new()).body(&(call + &spaces))
    };
    let mut holder = gateway.client().await;
    holder.send(&padded(64 << 20)).await;
    let held = upstream.next().await;
    let mut client = gateway.client().await;
    let answer = client.ask(&padded(40 << 10)).await;
    held.respond(200, &[], "{}").await;
    holder.answer().await;
    upstream.saw_nothing(&gateway).await;
    Refused { client, answer, gateway }
}

pub(super) async fn body_too_large() -> Refused {
    asked_of(|setup| setup.route("max_body = \"10B\""), post(&Key::new())).await
}

pub(super) async fn not_json() -> Refused {
    asked(post(&Key::new()).body("{\"id\":7,")).await
}

pub(super) async fn not_rpc() -> Refused {
    asked(post(&Key::new()).body("{\"id\":7}")).await
}

pub(super) async fn head_mismatch() -> Refused {
    asked(post(&Key::new()).field("mcp-method", "tools/list")).await
}

/// A request that the rules of the route don't let through.
async fn against_the_rules(method: &str, params: &str) -> Refused {
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let only = r#"tools = { allow = ["other"] }"#;
    asked_of(|setup| setup.route(only), post(&Key::new()).body(&body)).await
}

pub(super) async fn tool() -> Refused {
    against_the_rules("tools/call", r#"{"name":"integrationList"}"#).await
}

pub(super) async fn prompt() -> Refused {
    against_the_rules("prompts/get", r#"{"name":"greeting"}"#).await
}

pub(super) async fn resource() -> Refused {
    against_the_rules("resources/read", r#"{"uri":"docs://a"}"#).await
}

pub(super) async fn method_denied() -> Refused {
    against_the_rules("vendor/own", "{}").await
}

/// A version whose clients are told by the status what isn't there.
pub(super) async fn method_gone() -> Refused {
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let params = format!(r#"{{"uri":"docs://a","_meta":{meta}}}"#);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"resources/subscribe","params":{params}}}"#);
    let call = post(&Key::new()).body(&body).field("mcp-protocol-version", "2026-07-28");
    let call = call.field("mcp-method", "resources/subscribe");
    let all = r#"resources = { allow = ["*"] }"#;
    asked_of(|setup| setup.route(all), call).await
}

pub(super) async fn discovery() -> Refused {
    asked(to("/register")).await
}

/// A call that goes upstream and gets these bytes there, and no more for as long as it waits.
async fn answered(more: &str, bytes: &str) -> Refused {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also(more).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut request = upstream.next().await;
    request.raw(bytes).await;
    let answer = client.answer().await;
    Refused { client, answer, gateway }
}

/// An endpoint that nobody listens at.
pub(super) async fn upstream_down() -> Refused {
    let mut upstream = Upstream::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"down\"\npaths = [\"/api/mcp\"]\n\
                 unknown_keys = \"forward\"\n";
    let down = format!("[upstreams.down]\nendpoints = [\"http://{address}\"]");
    let gateway = Setup::new(&upstream).routes(route).also(&down).start();
    let mut client = gateway.client().await;
    let answer = client.ask(&post(&Key::new())).await;
    upstream.saw_nothing(&gateway).await;
    Refused { client, answer, gateway }
}

pub(super) async fn upstream_slow() -> Refused {
    answered("[timeouts]\nupstream_first_byte = \"100ms\"", "").await
}

pub(super) async fn upstream_bad() -> Refused {
    answered("", "SSH-2.0-OpenSSH_9.2\r\n").await
}
