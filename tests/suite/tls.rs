//! TLS, the redirect beside it, and bytes of one where the other is spoken.

use std::net::Ipv4Addr;

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

#[tokio::test]
async fn a_key_in_clear_is_refused_as_burnt_and_another_path_is_redirected() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().redirect().start();
    let port = gateway.address("https").port();
    let mut client = gateway.client_of("redirect", Ipv4Addr::LOCALHOST).await;
    let answer = client.ask(&Call::get(&format!("/api/mcp/{}/sse", Key::new().encoded()))).await;
    let text = answer.refused(403, "insecure").json()["error"]["message"].to_string();
    assert!(text.contains("Use https") && text.contains("rotate this key"), "{text}");
    gateway.metric_becomes("portcullis_refusals_total", &["insecure"], 1.0).await;
    let answer = client.ask(&Call::get("/calendar?week=1")).await;
    assert_eq!(answer.status, 308);
    let location = answer.field("location").unwrap().to_owned();
    assert!(
        location == format!("https://gateway.test:{port}/calendar?week=1")
            || location == "https://gateway.test:0/calendar?week=1"
            || location == "https://gateway.test/calendar?week=1",
        "{location}"
    );
}

#[tokio::test]
async fn http_over_tls_carries_hsts_without_subdomains_and_clear_http_none() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().start();
    let call = Call::post(&format!("/api/mcp/{}", Key::new().encoded()), &tool_call(1));
    let mut client = gateway.tls_client().await;
    client.send(&call).await;
    upstream.answer("{}").await;
    let answer = client.answer().await;
    assert_eq!(answer.field("strict-transport-security"), Some("max-age=63072000"));
    assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
    let clear = gateway.ask(&Call::get("/nothing")).await;
    assert_eq!(clear.field("strict-transport-security"), None);
}

#[tokio::test]
async fn what_speaks_the_other_protocol_is_closed() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().start();
    let mut clear = gateway.client_of("https", Ipv4Addr::LOCALHOST).await;
    clear.raw("GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n").await;
    let said = clear.rest().await;
    assert!(!said.starts_with(b"HTTP/"), "only a TLS alert is said");
    let outcome = ["https", "failed"];
    gateway.metric_becomes("portcullis_tls_handshakes_total", &outcome, 1.0).await;
    let mut hello = gateway.client().await;
    hello.raw([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, b'\r', b'\n', b'\r', b'\n']).await;
    hello.answer().await.refused(400, "malformed");
    hello.is_closed().await;
}

#[tokio::test]
async fn one_address_may_have_all_handshakes_until_another_wants_one() {
    let mut upstream = Upstream::start().await;
    let limits = "[limits]\nhandshakes = 8\n[timeouts]\nhandshake = \"1h\"";
    let gateway = Setup::new(&upstream).tls().also(limits).start();
    let hello = async || {
        let mut client = gateway.client_of("https", Ipv4Addr::new(127, 0, 0, 2)).await;
        client.raw(gateway.client_hello()).await;
        client
    };
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut client = hello().await;
        client.is_answered().await;
        stalled.push(client);
    }
    hello().await.is_closed().await;
    let busy = ["https", "busy"];
    gateway.metric_becomes("portcullis_tls_handshakes_total", &busy, 1.0).await;
    let mut client = gateway.tls_client().await;
    client.send(&Call::post(&format!("/api/mcp/{}", Key::new().text()), &tool_call(1))).await;
    upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    gateway.metric_becomes("portcullis_tls_handshakes_total", &busy, 2.0).await;
}
