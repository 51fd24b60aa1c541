//! Where a key stands upstream: `upstream_auth`.

use crate::harness::{
    Call, EventStream, Gateway, Key, Seen, Setup, Streaming, Upstream, tool_call,
};

const BEARER: &str = "upstream_auth = \"bearer\"";
const PATH: &str = "upstream_auth = \"path\"";

fn post(target: &str) -> Call {
    Call::post(target, &tool_call(1))
}

/// Holds a request to having the key in `Authorization`, and nowhere in its line.
fn is_bearer(seen: &Seen, key: &Key, target: &str) {
    assert_eq!(seen.target, target);
    assert_eq!(seen.field("authorization"), Some(format!("Bearer {}", key.text()).as_str()));
}

/// Opens a stream, and lets the upstream announce an endpoint.
async fn announce(
    (gateway, upstream): (&Gateway, &mut Upstream),
    call: &Call,
    announced: &str,
) -> (EventStream, Streaming, Option<String>) {
    let mut client = gateway.client().await;
    client.send(call).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.event("endpoint", announced).await;
    let endpoint = stream.next_event().await.map(|event| event.data);
    (stream, from_upstream, endpoint)
}

/// An endpoint without the gateway's own token.
fn bare(endpoint: Option<&String>) -> &str {
    let (before, _) = endpoint.unwrap().split_once("portcullis=").unwrap();
    before.trim_end_matches(['?', '&'])
}

#[tokio::test]
async fn with_bearer_no_request_line_holds_a_key_whichever_way_it_came() {
    let mut upstream = Upstream::start().await;
    let (key, real, own) = (Key::new(), Key::new(), Key::new());
    let gateway = Setup::new(&upstream).upstream(BEARER).injected("agent", &key, &real, "").start();
    for (client, upstreams) in [(&key, &real), (&own, &own)] {
        for (call, target) in [
            (post(&format!("/api/mcp/{}", client.text())), "/mcp"),
            (post(&format!("/api/mcp/{}/", client.encoded())), "/mcp/"),
            (post(&format!("/api/mcp/{}/x?a=1", client.text())), "/mcp/x?a=1"),
            (post(&format!("/api/mcp/{}", client.text())).bearer(client), "/mcp"),
            (post("/api/mcp").bearer(client), "/mcp"),
            (post("/api/mcp").field("authorization", client.text()), "/mcp"),
        ] {
            is_bearer(&gateway.pass(&mut upstream, &call).await, upstreams, target);
        }
    }
}

#[tokio::test]
async fn before_a_postiz_nothing_is_left_behind_a_path_without_its_key_that_could_be_read_as_one() {
    for dialect in ["auto", "session", "stateless"] {
        let mut upstream = Upstream::start().await;
        let lines = format!("{BEARER}\ndialect = \"{dialect}\"");
        let gateway = Setup::new(&upstream).upstream(&lines).start();
        if dialect == "auto" {
            upstream.next().await.respond(404, &[], "").await;
        }
        let (key, other) = (Key::new(), Key::new());
        let old_url = post(&format!("/api/mcp/{}/sse?a=1", key.text()));
        is_bearer(&gateway.pass(&mut upstream, &old_url).await, &key, "/mcp?a=1");
        for passes_for_a_key in [
            post(&format!("/api/mcp/{}/x", key.text())),
            post(&format!("/api/mcp/{}/sse/x", key.text())),
        ] {
            gateway.ask(&passes_for_a_key).await.refused(404, "no_route");
        }
        // A key is no plain segment, as some are.
        let two = post(&format!("/api/mcp/{}/{}", key.text(), other.text()));
        gateway.ask(&two).await.refused(400, "malformed");
    }
}

#[tokio::test]
async fn with_path_no_authorization_goes_upstream() {
    let mut upstream = Upstream::start().await;
    let (key, real, own) = (Key::new(), Key::new(), Key::new());
    let routes = r#"
        [[routes]]
        name = "mcp"
        paths = ["/api/mcp/{key}", "/api/mcp", "/api/a/{key}/sse", "/api/A/sse", "/api/b"]
        upstream = "postiz"
        unknown_keys = "forward"
    "#;
    let setup = Setup::new(&upstream).upstream(PATH).routes(routes);
    let gateway = setup.injected("agent", &key, &real, "").start();
    for (client, upstreams) in [(&key, real.text()), (&own, own.text())] {
        for (call, target) in [
            (post("/api/mcp").bearer(client), format!("/mcp/{upstreams}")),
            (post("/api/mcp").field("authorization", client.text()), format!("/mcp/{upstreams}")),
            (post(&format!("/api/mcp/{}", client.text())), format!("/mcp/{upstreams}")),
            // The template that has a place for it, ...
            (post("/api/a/sse/x").bearer(client), format!("/a/{upstreams}/sse/x")),
            // ... or behind the fixed parts of one that hasn't.
            (post("/api/b/x/?a=1").bearer(client), format!("/b/{upstreams}/x/?a=1")),
        ] {
            let seen = gateway.pass(&mut upstream, &call).await;
            assert_eq!((&*seen.target, seen.field("authorization")), (&*target, None));
        }
    }
}

#[tokio::test]
async fn a_key_that_would_lead_elsewhere_in_a_path_is_never_put_into_one() {
    let mut upstream = Upstream::start().await;
    let odd = Key::holding("/../x");
    let real = Key::new();
    let gateway = Setup::new(&upstream).route(PATH).injected("odd", &odd, &real, "").start();
    for key in ["..", ".", "../auth", "a%2fb", "a;b", "a\\b", "a?b", "a#b"] {
        let call = post("/api/mcp").field("authorization", &format!("Bearer {key}"));
        gateway.ask(&call).await.refused(400, "credential_ambiguous");
    }
    upstream.saw_nothing(&gateway).await;
    // One that isn't put there may hold whatever it likes.
    let seen = gateway.pass(&mut upstream, &post("/api/mcp").bearer(&odd)).await;
    assert_eq!(seen.target, format!("/mcp/{}", real.text()));
}

#[tokio::test]
async fn a_route_may_have_its_own_way() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).upstream(PATH).route("upstream_auth = \"as_received\"");
    let gateway = setup.start();
    let key = Key::new();
    let seen = gateway.pass(&mut upstream, &post("/api/mcp").bearer(&key)).await;
    is_bearer(&seen, &key, "/mcp");
    let seen = gateway.pass(&mut upstream, &post(&format!("/api/mcp/{}", key.text()))).await;
    assert_eq!(
        (&*seen.target, seen.field("authorization")),
        (&*format!("/mcp/{}", key.text()), None)
    );
}

#[tokio::test]
async fn an_endpoint_of_a_server_that_saw_no_key_gets_the_clients_back() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).route(BEARER).injected("agent", &key, &real, "").start();
    let (k, real) = (key.text(), real.text());
    for (announced, public, upstreams) in [
        ("/mcp/messages?a=1".to_owned(), format!("/api/mcp/{k}/messages?a=1"), "/mcp/messages?a=1"),
        ("http://10.0.0.1/api/mcp/m/".to_owned(), format!("/api/mcp/{k}/m/"), "/mcp/m/"),
        ("/message?a=1".to_owned(), format!("/api/message/{k}?a=1"), "/message?a=1"),
        (format!("/mcp/{real}/m"), format!("/api/mcp/{k}/m"), "/mcp/m"),
    ] {
        let call = Call::get(&format!("/api/mcp/{k}/sse"));
        let (_stream, from_upstream, endpoint) =
            announce((&gateway, &mut upstream), &call, &announced).await;
        assert_eq!(from_upstream.target, "/mcp/sse");
        assert_eq!(bare(endpoint.as_ref()), public, "{announced}");
        // It leads back.
        let seen = gateway.pass(&mut upstream, &post(&endpoint.unwrap())).await;
        assert_eq!(seen.target, upstreams);
        assert_eq!(seen.field("authorization"), Some(format!("Bearer {real}").as_str()));
        from_upstream.finish().await;
    }
}

#[tokio::test]
async fn an_endpoint_for_a_client_that_keeps_its_key_out_of_paths_has_none() {
    let mut upstream = Upstream::start().await;
    let (key, real, own) = (Key::new(), Key::new(), Key::new());
    let routes = r#"
        [[routes]]
        name = "mcp"
        paths = ["/api/mcp/{key}/sse", "/api/mcp/sse", "/api/mcp/{key}/messages", "/api/mcp/messages"]
        upstream = "postiz"
        unknown_keys = "forward"
    "#;
    let setup = Setup::new(&upstream).upstream(PATH).routes(routes);
    let gateway = setup.injected("agent", &key, &real, "").start();
    for (client, upstreams) in [(&key, real.text()), (&own, own.text())] {
        let call = Call::get("/api/mcp/sse").bearer(client);
        for prefix in ["", "/api", "https://postiz.example.com/api"] {
            let announced = format!("{prefix}/mcp/{upstreams}/messages?a=1");
            let (_stream, from_upstream, endpoint) =
                announce((&gateway, &mut upstream), &call, &announced).await;
            assert_eq!(from_upstream.target, format!("/mcp/{upstreams}/sse"));
            assert_eq!(bare(endpoint.as_ref()), "/api/mcp/messages?a=1");
            let back = post(&endpoint.unwrap()).bearer(client);
            let seen = gateway.pass(&mut upstream, &back).await;
            assert_eq!(seen.target, format!("/mcp/{upstreams}/messages?a=1"));
            from_upstream.finish().await;
        }
        // In a query it would be a key all the same.
        let announced = format!("/mcp/messages?apiKey={upstreams}");
        let (_stream, mut from_upstream, endpoint) =
            announce((&gateway, &mut upstream), &call, &announced).await;
        assert_eq!(endpoint, None);
        from_upstream.is_abandoned().await;
    }
}

#[tokio::test]
async fn where_only_the_head_has_a_key_no_path_passes_for_one_before_a_postiz() {
    let mut upstream = Upstream::start().await;
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\npaths = [\"/api/mcp\"]\n\
                 unknown_keys = \"forward\"\n";
    let gateway = Setup::new(&upstream).upstream("dialect = \"session\"").routes(route).start();
    let key = Key::new();
    let call = |target: &str| post(target).bearer(&key);
    for target in ["/api/mcp/another", "/api/mcp/sse"] {
        gateway.ask(&call(target)).await.refused(404, "no_route");
    }
    gateway.pass(&mut upstream, &call("/api/mcp")).await;
}
