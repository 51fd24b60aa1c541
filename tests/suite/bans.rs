//! Wrong keys are counted by address, and one wrong key too many is a ban.

use std::net::Ipv4Addr;

use crate::harness::{Answer, Call, Client, Gateway, Key, Setup, Upstream, tool_call};

/// Two wrong keys a day; the third is a ban of a minute.
const TWO: &str = "[bans]\nwrong_keys = \"2/day\"";

const GUESSER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);

/// A site beside the route `mcp`, which refuses keys that it doesn't know.
const WITH_SITE: &str = r#"
    [[routes]]
    name = "mcp"
    paths = ["/api/mcp"]
    upstream = "postiz"
    [[routes]]
    name = "site"
    kind = "web"
    paths = ["/api/site"]
    upstream = "postiz"
"#;

fn call(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(7)).bearer(key)
}

async fn guesser(gateway: &Gateway) -> Client {
    gateway.client_of("http", GUESSER).await
}

/// Three wrong keys on one connection, where each is counted before the next is read.
async fn guess(gateway: &Gateway) -> Client {
    let mut client = guesser(gateway).await;
    for _ in 0..3 {
        client.ask(&call(&Key::new())).await.refused(401, "unauthorized");
    }
    client
}

/// The same, until the ban has begun: the last key is counted a moment after its answer was sent.
async fn ban(gateway: &Gateway) {
    drop(guess(gateway).await);
    gateway.metric_becomes("portcullis_bans_total", &[], 1.0).await;
}

/// Asks from the guesser's address on a connection of its own.
async fn asked(gateway: &Gateway, call: &Call) -> Answer {
    guesser(gateway).await.ask(call).await
}

#[tokio::test]
async fn after_too_many_wrong_keys_a_right_one_gets_the_same_answer() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).routes(WITH_SITE).also(TWO).consumer("right", &key, "");
    let gateway = setup.start();
    let mut client = guess(&gateway).await;
    let banned = client.ask(&call(&Key::new())).await;
    banned.refused(403, "banned");
    assert_eq!(banned.json()["error"]["code"], 4033);
    let wait: u64 = banned.field("retry-after").unwrap().parse().unwrap();
    let exact = banned.json()["error"]["data"]["retry_after_ms"].as_u64().unwrap();
    assert!((50..=60).contains(&wait) && exact.div_ceil(1000) == wait, "{banned:?}");
    assert!(banned.closes());
    client.is_closed().await;
    let right = asked(&gateway, &call(&key)).await;
    right.refused(403, "banned");
    let shape = |answer: &Answer| {
        let names: Vec<_> = answer.fields.iter().map(|(name, _)| name.clone()).collect();
        (names, answer.json()["error"]["code"].clone())
    };
    assert_eq!(shape(&right), shape(&banned));
    gateway.metric_becomes("portcullis_bans_total", &["cause=\"wrong_keys\""], 1.0).await;
    gateway.metric_becomes("portcullis_refusals_total", &["reason=\"banned\""], 2.0).await;
    upstream.saw_nothing(&gateway).await;
    gateway.pass(&mut upstream, &call(&key)).await;
}

#[tokio::test]
async fn a_ban_is_for_the_site_too() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).routes(WITH_SITE).also(TWO).start();
    ban(&gateway).await;
    asked(&gateway, &Call::new("GET", "/api/site")).await.refused(403, "banned");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn who_was_told_three_times_is_closed_before_anything_is_read() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).routes(WITH_SITE).also(TWO).start();
    ban(&gateway).await;
    for told in 1..=3 {
        asked(&gateway, &call(&Key::new())).await.refused(403, "banned");
        // It counts as told a moment after it was.
        let reason = ["reason=\"banned\""];
        gateway.metric_becomes("portcullis_refusals_total", &reason, f64::from(told)).await;
    }
    guesser(&gateway).await.is_closed().await;
    let outcome = ["listener=\"http\"", "outcome=\"banned\""];
    gateway.metric_becomes("portcullis_connections_total", &outcome, 1.0).await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_trusted_proxy_is_never_closed_for_those_behind_it() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).routes(WITH_SITE).also(TWO);
    let gateway = setup.also("[access]\ntrusted_proxies = [\"127.0.0.7\"]").start();
    let of = |client: &str| call(&Key::new()).field("x-forwarded-for", client);
    let mut proxy = guesser(&gateway).await;
    for _ in 0..3 {
        proxy.ask(&of("192.0.2.7")).await.refused(401, "unauthorized");
    }
    // One connection carries those who are banned and those who aren't.
    for other in 10..15 {
        proxy.ask(&of("192.0.2.7")).await.refused(403, "banned");
        proxy.ask(&of(&format!("192.0.2.{other}"))).await.refused(401, "unauthorized");
    }
    // Without the field it speaks for itself, of whom everyone behind it is a part: how keys begin is
    // limited then.
    for first in ["aaaaaaaa", "bbbbbbbb", "cccccccc"] {
        for _ in 0..2 {
            asked(&gateway, &bearer(&beginning(first))).await.refused(401, "unauthorized");
        }
        asked(&gateway, &bearer(&beginning(first))).await.refused(200, "rate");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn missing_and_expired_keys_are_no_guesses() {
    let mut upstream = Upstream::start().await;
    let old = Key::new();
    let setup = Setup::new(&upstream).routes(WITH_SITE).also(TWO);
    let gateway = setup.consumer("old", &old, "expires = 2020-01-31\n").start();
    let mut client = guesser(&gateway).await;
    for _ in 0..5 {
        client.ask(&Call::post("/api/mcp", &tool_call(7))).await.refused(401, "unauthorized");
        client.ask(&call(&old)).await.refused(401, "unauthorized");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_right_key_clears_what_was_counted() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).routes(WITH_SITE).also(TWO).consumer("right", &key, "");
    let gateway = setup.start();
    let mut client = guesser(&gateway).await;
    for _ in 0..3 {
        for _ in 0..2 {
            client.ask(&call(&Key::new())).await.refused(401, "unauthorized");
        }
        client.send(&call(&key)).await;
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200);
    }
    upstream.saw_nothing(&gateway).await;
}

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/html; charset=utf-8";

/// Sends a stranger's key and has the upstream answer it.
async fn answered(
    (client, upstream): (&mut Client, &mut Upstream),
    key: &Key,
    (status, kind, body): (u16, &str, &str),
) {
    client.send(&call(key)).await;
    upstream.next().await.respond(status, &[("content-type", kind)], body).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (status, body), "it passes as it came");
}

#[tokio::test]
async fn where_keys_are_forwarded_it_is_the_upstreams_refusal_that_counts() {
    for refusal in [
        (401, TEXT, "Invalid API Key or session expired"),
        (403, TEXT, ""),
        (400, TEXT, "Invalid API Key"),
        (400, JSON, r#"{"statusCode":400,"message":"Invalid url"}"#),
    ] {
        let mut upstream = Upstream::start().await;
        let gateway = Setup::new(&upstream).also(TWO).start();
        let mut client = guesser(&gateway).await;
        for _ in 0..3 {
            answered((&mut client, &mut upstream), &Key::new(), refusal).await;
        }
        client.ask(&call(&Key::new())).await.refused(403, "banned");
        let line = gateway.logged("a wrong key", |line| line["reason"] == "key_unknown").await;
        assert_eq!((&line["status"], &line["outcome"]), (&refusal.0.into(), &"answered".into()));
        gateway.metric_becomes("portcullis_refusals_total", &["key_unknown"], 3.0).await;
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn an_error_that_is_not_about_the_key_counts_against_nobody() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also(TWO).start();
    let mut client = guesser(&gateway).await;
    let error = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Bad Request"},"id":null}"#;
    let session = r#"{"error":{"code":-32000,"message":"No valid session ID"},"id":null}"#;
    for answer in [
        (400, JSON, error),
        (400, JSON, session),
        (400, TEXT, "Bad Request"),
        (400, TEXT, ""),
        (404, TEXT, "Invalid API Key"),
        (500, TEXT, "Invalid API Key"),
    ] {
        for _ in 0..3 {
            answered((&mut client, &mut upstream), &Key::new(), answer).await;
        }
    }
    assert_eq!(gateway.metric("portcullis_refusals_total", &["key_unknown"]), 0.0);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_key_that_was_good_once_is_no_guess() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also(TWO).start();
    let (mut client, key) = (guesser(&gateway).await, Key::new());
    answered((&mut client, &mut upstream), &key, (200, JSON, "{}")).await;
    for _ in 0..5 {
        answered((&mut client, &mut upstream), &key, (401, TEXT, "")).await;
    }
    for _ in 0..2 {
        answered((&mut client, &mut upstream), &Key::new(), (401, TEXT, "")).await;
    }
    answered((&mut client, &mut upstream), &Key::new(), (200, JSON, "{}")).await;
    for _ in 0..2 {
        answered((&mut client, &mut upstream), &Key::new(), (401, TEXT, "")).await;
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_body_of_a_400_that_never_comes_holds_nobody() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also(TWO).start();
    let mut client = guesser(&gateway).await;
    client.send(&call(&Key::new())).await;
    let mut request = upstream.next().await;
    request.raw("HTTP/1.1 400 Bad Request\r\ncontent-length: 15\r\n\r\nInvalid").await;
    client.is_answered().await;
    request.raw(" API Key").await;
    assert_eq!(client.answer().await.text(), "Invalid API Key");
    assert_eq!(gateway.metric("portcullis_refusals_total", &["key_unknown"]), 0.0);
}

#[tokio::test]
async fn where_bans_are_observed_it_is_counted_who_would_be_refused() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).routes(WITH_SITE).consumer("right", &key, "");
    let gateway = setup.also(&format!("{TWO}\nmode = \"observe\"")).start();
    let mut client = guess(&gateway).await;
    client.send(&call(&key)).await;
    upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    let line = gateway.logged("it would be", |line| line["observed"] == "banned").await;
    assert_eq!((&line["status"], line.get("reason")), (&200.into(), None));
    let labels = ["route=\"mcp\"", "reason=\"banned\""];
    gateway.metric_becomes("portcullis_observed_refusals_total", &labels, 1.0).await;
    gateway.metric_becomes("portcullis_bans_total", &[], 1.0).await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn where_bans_are_off_nothing_is_counted() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).routes(WITH_SITE);
    let gateway = setup.also(&format!("{TWO}\nmode = \"off\"")).start();
    let mut client = guess(&gateway).await;
    client.ask(&call(&Key::new())).await.refused(401, "unauthorized");
    assert_eq!(gateway.metric("portcullis_bans_total", &[]), 0.0);
    upstream.saw_nothing(&gateway).await;
}

/// A key that begins like this.
fn beginning(prefix: &str) -> String {
    format!("{prefix}{}", Key::new().text())
}

fn bearer(key: &str) -> Call {
    Call::post("/api/mcp", &tool_call(7)).field("authorization", &format!("Bearer {key}"))
}

#[tokio::test]
async fn from_an_exempt_address_wrong_keys_are_limited_by_how_they_begin() {
    let mut upstream = Upstream::start().await;
    let (right, alike) = (Key::new(), beginning("12345678"));
    let setup = Setup::new(&upstream).routes(WITH_SITE).consumer("right", &right, "");
    let digest = portcullis::types::Secret::new(alike.clone()).digest();
    let sha256 = hex::encode(digest.as_bytes());
    let also = format!("{TWO}\nexempt = [\"127.0.0.0/29\"]");
    let setup = setup.also(&also);
    let consumer = format!("[[consumers]]\nname = \"alike\"\nkey_sha256 = \"{sha256}\"\n");
    let gateway = setup.also(&consumer).start();
    let mut client = guesser(&gateway).await;
    for _ in 0..2 {
        client.ask(&bearer(&beginning("12345678"))).await.refused(401, "unauthorized");
    }
    for key in [&beginning("12345678"), &alike] {
        let limited = client.ask(&bearer(key)).await;
        limited.refused(200, "rate");
    }
    client.ask(&bearer(&beginning("1234567x"))).await.refused(401, "unauthorized");
    client.send(&call(&right)).await;
    upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(gateway.metric("portcullis_bans_total", &[]), 0.0);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn where_keys_are_forwarded_from_an_exempt_address_those_that_begin_alike_share_a_bucket() {
    let mut upstream = Upstream::start().await;
    let limits = "[limits]\nunproven_per_address = \"1/day\"";
    let setup = Setup::new(&upstream).also(TWO).also("exempt = [\"127.0.0.7\"]").also(limits);
    let gateway = setup.start();
    let mut client = guesser(&gateway).await;
    for first in ["aaaaaaaa", "bbbbbbbb", "cccccccc"] {
        for _ in 0..2 {
            client.send(&bearer(&beginning(first))).await;
            upstream.next().await.respond(401, &[], "").await;
            assert_eq!(client.answer().await.status, 401);
        }
        client.ask(&bearer(&beginning(first))).await.refused(200, "rate");
    }
    let good = beginning("dddddddd");
    for _ in 0..5 {
        client.send(&bearer(&good)).await;
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_ban_outlives_a_restart() {
    let upstream = Upstream::start().await;
    let kept = tempfile::TempDir::new().unwrap();
    let state = format!("[state]\ndir = {:?}", kept.path());
    let setup = || Setup::new(&upstream).routes(WITH_SITE).also(TWO).also(&state);
    let mut gateway = setup().start();
    ban(&gateway).await;
    gateway.begin_to_stop().ended();
    let line = std::fs::read_to_string(kept.path().join("bans")).unwrap();
    assert!(line.starts_with("127.0.0.7/32 ") && line.ends_with(" 1 wrong_keys\n"), "{line}");
    let gateway = setup().start();
    asked(&gateway, &call(&Key::new())).await.refused(403, "banned");
    gateway.metric_becomes("portcullis_banned_addresses", &[], 1.0).await;
}

/// Its server may be out of order, and refuse everybody.
#[tokio::test]
async fn a_friend_whose_key_the_upstream_refuses_for_a_while_is_not_banned_for_trying() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).also(TWO).start();
    let (mut client, key) = (guesser(&gateway).await, Key::new());
    for _ in 0..5 {
        client.send(&call(&key)).await;
        upstream.next().await.respond(401, &[], "").await;
        assert_eq!(client.answer().await.status, 401);
    }
    client.send(&call(&key)).await;
    upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_redirect_asks_who_comes_too() {
    let upstream = Upstream::start().await;
    let access = "[access]\ndeny = [\"203.0.113.66\"]\ntrusted_proxies = [\"127.0.0.7\"]";
    let gateway = Setup::new(&upstream).routes(WITH_SITE).tls().redirect().also(access).start();
    let mut client = gateway.client_of("redirect", GUESSER).await;
    client.ask(&Call::get("/x")).await;
    let denied = Call::get("/x").field("x-forwarded-for", "203.0.113.66");
    client.ask(&denied).await.refused(403, "address");
}
