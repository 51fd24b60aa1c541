//! An upstream that speaks TLS: only whom the named authority answers for ever sees a key.

use std::net::SocketAddr;

use crate::harness::{Authority, Call, Key, Setup, Upstream, tls_before, tool_call};

/// The upstream `secured` at this address, which has to be vouched for by this authority.
fn setup(upstream: &Upstream, authority: &Authority, endpoint: &str) -> Setup {
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"secured\"\nunknown_keys = \"forward\"\n\
                 paths = [\"/api/mcp/{key}\"]\n";
    let secured = format!(
        "[upstreams.secured]\nendpoints = [\"https://{endpoint}\"]\nstrip_prefix = \"/api\"\n\
         ca = \"ca.pem\"\n[timeouts]\nupstream_connect = \"500ms\""
    );
    Setup::new(upstream).file("ca.pem", &authority.pem()).routes(route).also(&secured)
}

fn target(key: &Key) -> String {
    format!("/api/mcp/{}", key.text())
}

#[tokio::test]
async fn calls_pass_to_whom_the_authority_answers_for_over_one_connection() {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let mut upstream = Upstream::start().await;
        let port = tls_before(upstream.address(), authority.server(name)).await;
        let endpoint = format!("{name}:{port}");
        let gateway = setup(&upstream, &authority, &endpoint).start();
        let key = Key::new();
        let mut client = gateway.client().await;
        for id in 1..4 {
            client.send(&Call::post(&target(&key), &tool_call(id))).await;
            let seen = upstream.answer("{}").await;
            assert_eq!(seen.target, format!("/mcp/{}", key.text()));
            assert_eq!((seen.text(), seen.connection), (tool_call(id).as_str(), 0));
            assert_eq!(seen.field("host"), Some(endpoint.as_str()));
            assert_eq!(client.answer().await.text(), "{}");
        }
    }
}

#[tokio::test]
async fn a_stream_passes_and_who_leaves_it_is_gone_upstream() {
    let (mut upstream, authority) = (Upstream::start().await, Authority::new());
    let port = tls_before(upstream.address(), authority.server("localhost")).await;
    let gateway = setup(&upstream, &authority, &format!("localhost:{port}")).start();
    let mut client = gateway.client().await;
    client.send(&Call::get(&target(&Key::new()))).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("message", "{}").await;
    assert_eq!(stream.next_event().await.unwrap().data, "{}");
    drop(stream);
    from_upstream.is_abandoned().await;
}

#[tokio::test]
async fn a_body_whose_end_tls_does_not_vouch_for_is_no_whole_body() {
    let (mut upstream, authority) = (Upstream::start().await, Authority::new());
    let port = tls_before(upstream.address(), authority.server("localhost")).await;
    let gateway = setup(&upstream, &authority, &format!("localhost:{port}")).start();
    for cut in [false, true] {
        let mut client = gateway.client().await;
        client.send(&Call::get(&target(&Key::new()))).await;
        let mut request = upstream.next().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        request.raw(format!("{head}data: 1\n\n")).await;
        let mut stream = client.stream().await;
        assert_eq!(stream.next_event().await.unwrap().data, "1");
        if cut {
            request.reset()
        } else {
            request.hang_up()
        }
        assert_eq!(stream.next_event().await, None);
        assert_eq!(stream.ended_whole(), !cut);
    }
}

#[tokio::test]
async fn whom_the_authority_does_not_answer_for_gets_nothing_and_no_sink_has_the_key() {
    let (mut upstream, authority) = (Upstream::start().await, Authority::new());
    let address = upstream.address();
    let speaking =
        async |config| SocketAddr::from(([127, 0, 0, 1], tls_before(address, config).await));
    let in_clear = Upstream::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (fault, at) in [
        ("another authority", speaking(Authority::new().server("localhost")).await),
        ("another name", speaking(authority.server("other.test")).await),
        ("another address", speaking(authority.server("127.0.0.2")).await),
        ("over", speaking(authority.expired("localhost")).await),
        ("no TLS", in_clear.address()),
        ("no word", silent.local_addr().unwrap()),
    ] {
        for host in ["localhost", "127.0.0.1"] {
            let gateway = setup(&upstream, &authority, &format!("{host}:{}", at.port())).start();
            let mut client = gateway.client().await;
            let answer = client.ask(&Call::post(&target(&Key::new()), &tool_call(7))).await;
            assert_eq!(answer.refused(502, "upstream_down").json()["id"], 7, "{fault}");
            assert!(!answer.closes(), "{fault}");
            let line = gateway.logged("the refusal", |line| line["status"] == 502).await;
            assert_eq!(
                (&line["reason"], &line["upstream"]),
                (&"upstream_down".into(), &"secured".into())
            );
            // Asks on the listener in clear; a call in TLS would have come before.
            upstream.saw_nothing(&gateway).await;
        }
    }
}
