//! How each denial is brought about.

use std::net::{Ipv4Addr, SocketAddr};

use super::scene::{Meanwhile, Scene};
use crate::{
    harness::{Call, Key, Setup, Upstream, call_with_id, tool_call},
    noon,
};

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

/// Bytes for a gateway that is set up so.
async fn said_to(setup: impl FnOnce(Setup) -> Setup, bytes: impl AsRef<[u8]>) -> Scene {
    let upstream = Upstream::start().await;
    let gateway = setup(Setup::new(&upstream)).start();
    Scene::new(upstream, gateway, bytes).await
}

async fn said(bytes: &str) -> Scene {
    said_to(|setup| setup, bytes).await
}

async fn asked_of(setup: impl FnOnce(Setup) -> Setup, call: Call) -> Scene {
    said_to(setup, call.bytes()).await
}

async fn asked(call: Call) -> Scene {
    asked_of(|setup| setup, call).await
}

pub(super) async fn request_line() -> Scene {
    said("GET /api/mcp\r\n").await
}

pub(super) async fn version() -> Scene {
    said(&get("").replace("HTTP/1.1", "HTTP/2.0")).await
}

pub(super) async fn line_end() -> Scene {
    said(&get("x: 1\n")).await
}

pub(super) async fn field() -> Scene {
    said(&get("x(: 1\r\n")).await
}

pub(super) async fn field_name() -> Scene {
    said(&get("x_forwarded_for: 192.0.2.1\r\n")).await
}

pub(super) async fn framing() -> Scene {
    said(&get("content-length: 1\r\ntransfer-encoding: chunked\r\n")).await
}

pub(super) async fn transfer_coding() -> Scene {
    said(&get("transfer-encoding: gzip, chunked\r\n")).await
}

pub(super) async fn chunk() -> Scene {
    let chunked = Call::new("POST", "/api/mcp")
        .bearer(&Key::new())
        .field("content-type", "application/json")
        .field("transfer-encoding", "chunked");
    said_to(|setup| setup, [&chunked.bytes()[..], b"+1\r\n"].concat()).await
}

pub(super) async fn host_field() -> Scene {
    said("GET /api/mcp HTTP/1.1\r\n\r\n").await
}

pub(super) async fn target() -> Scene {
    asked(to("/api/mcp#x")).await
}

pub(super) async fn path() -> Scene {
    asked(to("/api/a/../mcp")).await
}

pub(super) async fn connection() -> Scene {
    asked(post(&Key::new()).field("connection", "authorization")).await
}

pub(super) async fn target_too_long() -> Scene {
    asked(to(&format!("/{}", "a".repeat(9 << 10)))).await
}

pub(super) async fn head_too_large() -> Scene {
    asked(post(&Key::new()).field("x", &"a".repeat(17 << 10))).await
}

pub(super) async fn timeout() -> Scene {
    said_to(|setup| setup.also("[timeouts]\nhead = \"100ms\""), "GET /api/mcp HT").await
}

pub(super) async fn expectation() -> Scene {
    asked(post(&Key::new()).field("expect", "a-miracle")).await
}

pub(super) async fn no_route() -> Scene {
    asked(to("/elsewhere")).await
}

pub(super) async fn host() -> Scene {
    let setup = |setup: Setup| setup.route("hosts = [\"gateway.test\"]");
    asked_of(setup, post(&Key::new()).host("other.test")).await
}

pub(super) async fn method() -> Scene {
    asked(Call::new("PUT", "/api/mcp").bearer(&Key::new()).body(&tool_call(7))).await
}

pub(super) async fn media_type() -> Scene {
    let call = Call::new("POST", "/api/mcp").bearer(&Key::new());
    asked(call.field("content-type", "text/plain").body(&tool_call(7))).await
}

pub(super) async fn address() -> Scene {
    asked_of(|setup| setup.route("allow = [\"192.0.2.0/24\"]"), post(&Key::new())).await
}

pub(super) async fn banned() -> Scene {
    let upstream = Upstream::start().await;
    let bans = "[bans]\nwrong_keys = \"1/day\"";
    let gateway = Setup::new(&upstream).route("unknown_keys = \"refuse\"").also(bans).start();
    let mut client = gateway.client_of("http", Ipv4Addr::new(127, 0, 0, 7)).await;
    for _ in 0..2 {
        client.ask(&post(&Key::new())).await.refused(401, "unauthorized");
    }
    Scene { client, ..Scene::new(upstream, gateway, post(&Key::new()).bytes()).await }
}

pub(super) async fn origin() -> Scene {
    asked(post(&Key::new()).field("origin", "https://evil.test")).await
}

pub(super) async fn insecure() -> Scene {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().redirect().start();
    let client = gateway.client_of("redirect", Ipv4Addr::LOCALHOST).await;
    Scene { client, ..Scene::new(upstream, gateway, post(&Key::new()).bytes()).await }
}

pub(super) async fn credential_ambiguous() -> Scene {
    let (one, other) = (Key::new(), Key::new());
    asked(to(&format!("/api/mcp/{}", one.encoded())).bearer(&other)).await
}

pub(super) async fn key_missing() -> Scene {
    asked(to("/api/mcp")).await
}

pub(super) async fn key_unknown() -> Scene {
    asked_of(|setup| setup.route("unknown_keys = \"refuse\""), post(&Key::new())).await
}

pub(super) async fn key_expired() -> Scene {
    let key = Key::new();
    asked_of(|setup| setup.consumer("old", &key, "expires = 2020-01-31"), post(&key)).await
}

pub(super) async fn key_revoked() -> Scene {
    let key = Key::new();
    let setup = |setup: Setup| setup.operator().consumer("revoked", &key, "");
    let scene = asked_of(setup, post(&key)).await;
    let revoke = serde_json::json!({"consumer": "revoked"});
    assert_eq!(scene.gateway.operate("POST /revocations", &revoke).0, 200);
    scene
}

pub(super) async fn session() -> Scene {
    asked(post(&Key::new()).field("mcp-session-id", "made-up")).await
}

/// Asks after so many calls of the key that passed. The rate is one a day.
async fn over_the_rate(before: usize, passing: &str, then: &str) -> Scene {
    let (mut upstream, key) = (Upstream::start().await, Key::new());
    let gateway = Setup::new(&upstream).route("rate = \"1/day\"").consumer("one", &key, "").start();
    let call = |body: &str| Call::post("/api/mcp", body).bearer(&key);
    for _ in 0..before {
        gateway.pass(&mut upstream, &call(passing)).await;
    }
    Scene::new(upstream, gateway, call(then).bytes()).await
}

pub(super) async fn rate() -> Scene {
    over_the_rate(1, &tool_call(1), &tool_call(7)).await
}

pub(super) async fn rate_of_a_notification() -> Scene {
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    over_the_rate(10, notification, notification).await
}

pub(super) async fn budget() -> Scene {
    let (mut upstream, key) = (Upstream::start().await, Key::new());
    let setup = Setup::new(&upstream).route("budgets = { \"integration*\" = \"1/day\" }");
    let gateway = setup.also(&noon::limits()).consumer("one", &key, "").start();
    gateway.pass(&mut upstream, &post(&key)).await;
    Scene::new(upstream, gateway, post(&key).bytes()).await
}

pub(super) async fn discover_rate() -> Scene {
    let discover = |id| call_with_id(id, "server/discover");
    over_the_rate(10, &discover(1), &discover(7)).await
}

pub(super) async fn streams() -> Scene {
    let (mut upstream, key) = (Upstream::start().await, Key::new());
    let gateway = Setup::new(&upstream).route("max_streams = 1").start();
    let mut holder = gateway.client().await;
    holder.send(&Call::get("/api/mcp").bearer(&key)).await;
    let held = upstream.next().await.stream(&[]).await;
    let listen = call_with_id(7, "subscriptions/listen");
    let call = Call::post("/api/mcp", &listen).bearer(&key);
    let meanwhile = Meanwhile::Stream(held, holder);
    Scene { meanwhile, ..Scene::new(upstream, gateway, call.bytes()).await }
}

/// A call that mustn't go anywhere before its record is written, and no place for one.
pub(super) async fn unrecorded() -> Scene {
    let setup = |setup: Setup| setup.route("audit = \"required\"");
    let scene = asked_of(setup, post(&Key::new())).await;
    scene.gateway.loses_its_audit();
    scene
}

/// A body that comes while another takes all the memory that there is for bodies.
pub(super) async fn overload() -> Scene {
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
    let meanwhile = Meanwhile::Call(held, holder);
    Scene { meanwhile, ..Scene::new(upstream, gateway, padded(40 << 10).bytes()).await }
}

pub(super) async fn body_too_large() -> Scene {
    asked_of(|setup| setup.route("max_body = \"10B\""), post(&Key::new())).await
}

pub(super) async fn not_json() -> Scene {
    asked(post(&Key::new()).body("{\"id\":7,")).await
}

pub(super) async fn not_rpc() -> Scene {
    asked(post(&Key::new()).body("{\"id\":7}")).await
}

pub(super) async fn head_mismatch() -> Scene {
    asked(post(&Key::new()).field("mcp-method", "tools/list")).await
}

/// A request that the rules of the route don't let through.
async fn against_the_rules(method: &str, params: &str) -> Scene {
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let only = r#"tools = { allow = ["other"] }"#;
    asked_of(|setup| setup.route(only), post(&Key::new()).body(&body)).await
}

pub(super) async fn tool() -> Scene {
    against_the_rules("tools/call", r#"{"name":"integrationList"}"#).await
}

pub(super) async fn argument() -> Scene {
    let rules = r#"tools = { arguments = { other = { "/type" = { equals = "draft" } } } }"#;
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"other","arguments":{"type":"now"}}}"#;
    asked_of(|setup| setup.route(rules), post(&Key::new()).body(body)).await
}

pub(super) async fn prompt() -> Scene {
    against_the_rules("prompts/get", r#"{"name":"greeting"}"#).await
}

pub(super) async fn resource() -> Scene {
    against_the_rules("resources/read", r#"{"uri":"docs://a"}"#).await
}

pub(super) async fn method_denied() -> Scene {
    against_the_rules("vendor/own", "{}").await
}

/// A version whose clients are told by the status what isn't there.
pub(super) async fn method_gone() -> Scene {
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let params = format!(r#"{{"uri":"docs://a","_meta":{meta}}}"#);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"resources/subscribe","params":{params}}}"#);
    let call = post(&Key::new()).body(&body).field("mcp-protocol-version", "2026-07-28");
    let call = call.field("mcp-method", "resources/subscribe");
    let all = r#"resources = { allow = ["*"] }"#;
    asked_of(|setup| setup.route(all), call).await
}

pub(super) async fn discovery() -> Scene {
    asked(to("/register")).await
}

/// A call that goes upstream and gets these bytes there, and no more for as long as it waits.
async fn answered(more: &str, bytes: &'static str) -> Scene {
    let scene = said_to(|setup| setup.also(more), post(&Key::new()).bytes()).await;
    Scene { reply: Some(bytes), ..scene }
}

/// An endpoint that nobody listens at.
pub(super) async fn upstream_down() -> Scene {
    let upstream = Upstream::start().await;
    // Bound and never listened at, to the end of the process: nobody else gets the port meanwhile.
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    closed.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = closed.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(closed);
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"down\"\npaths = [\"/api/mcp\"]\n\
                 unknown_keys = \"forward\"\n";
    let down = format!("[upstreams.down]\nendpoints = [\"http://{address}\"]");
    let gateway = Setup::new(&upstream).routes(route).also(&down).start();
    Scene::new(upstream, gateway, post(&Key::new()).bytes()).await
}

pub(super) async fn upstream_slow() -> Scene {
    answered("[timeouts]\nupstream_first_byte = \"100ms\"", "").await
}

pub(super) async fn upstream_bad() -> Scene {
    answered("", "SSH-2.0-OpenSSH_9.2\r\n").await
}
