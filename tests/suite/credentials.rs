//! Who is calling.

use crate::harness::{Answer, Call, Key, Setup, Upstream, tool_call};

fn refuse() -> &'static str {
    "unknown_keys = \"refuse\""
}

/// An answer without what names the exchange.
fn anonymous(answer: &Answer) -> (u16, Vec<(String, String)>, serde_json::Value) {
    let mut json = answer.json();
    json["error"]["data"]["request_id"] = "".into();
    (answer.status, answer.fields.clone(), json)
}

#[tokio::test]
async fn missing_wrong_and_expired_keys_look_alike_outside_and_differ_in_the_log() {
    let mut upstream = Upstream::start().await;
    let (old, elsewhere) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route(refuse());
    let setup = setup.consumer("old", &old, "expires = 2020-01-31\n");
    let gateway = setup.consumer("elsewhere", &elsewhere, "routes = [\"marker\"]\n").start();
    let call = || Call::post("/api/mcp", &tool_call(1));
    let missing = gateway.ask(&call()).await;
    missing.refused(401, "unauthorized");
    assert_eq!(missing.field("www-authenticate"), Some("Bearer realm=\"portcullis\""));
    for key in [&Key::new(), &old, &elsewhere] {
        let answer = gateway.ask(&call().bearer(key)).await;
        assert_eq!(anonymous(&answer), anonymous(&missing));
    }
    for reason in ["key_missing", "key_unknown", "key_expired"] {
        gateway.logged(reason, |line| line["reason"] == reason).await;
        assert!(gateway.metric("portcullis_refusals_total", &[reason]) >= 1.0, "{reason}");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn the_bytes_of_a_401_do_not_tell_a_key_that_was_from_one_that_never_was() {
    let mut upstream = Upstream::start().await;
    let (old, elsewhere) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route(refuse());
    let setup = setup.consumer("old", &old, "expires = 2020-01-31\n");
    let gateway = setup.consumer("elsewhere", &elsewhere, "routes = [\"marker\"]\n").start();
    let call = || Call::post("/api/mcp", &tool_call(1)).field("connection", "close");
    let in_path = |key: &Key| Call::post(&format!("/api/mcp/{}", key.encoded()), &tool_call(1));
    let mut answers = Vec::new();
    for call in [
        call(),
        call().bearer(&Key::new()),
        call().bearer(&old),
        call().bearer(&elsewhere),
        in_path(&Key::new()).field("connection", "close"),
        in_path(&old).field("connection", "close"),
    ] {
        let mut client = gateway.client().await;
        client.send(&call).await;
        let text = String::from_utf8(client.rest().await).unwrap();
        let (before, id) = text.split_once("\"request_id\":\"").unwrap();
        answers.push(format!("{before}{}", &id[16..]));
    }
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn every_form_of_a_consumers_key_is_one_name_and_one_fingerprint() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = Setup::new(&upstream).route(refuse()).consumer("laptop", &key, "").start();
    let in_path = |spelling: &str| Call::post(&format!("/api/mcp/{spelling}"), &tool_call(1));
    let in_head = |rest: &str, value: String| {
        Call::post(&format!("/api/mcp{rest}"), &tool_call(1)).field("authorization", &value)
    };
    let mut shown = Vec::new();
    for (path, call) in [
        ("/api/mcp/{key}", in_path(key.text())),
        ("/api/mcp/{key}/sse", in_path(&format!("{}/sse", key.encoded()))),
        ("/api/mcp", in_head("", format!("Bearer {}", key.text()))),
    ] {
        gateway.pass(&mut upstream, &call).await;
        let line = gateway.logged("the call", |line| line["path"] == path).await;
        assert_eq!(line["consumer"], "laptop");
        shown.push(line["key"].as_str().unwrap().to_owned());
    }
    gateway.pass(&mut upstream, &in_head("", format!("bEARER {}", key.text()))).await;
    gateway.pass(&mut upstream, &in_head("", key.text().to_owned())).await;
    let labels = ["route=\"mcp\"", "consumer=\"laptop\"", "method=\"POST\"", "status=\"200\""];
    gateway.metric_becomes("portcullis_requests_total", &labels, 5.0).await;
    let digits = shown[0].strip_prefix("fp:").unwrap();
    assert!(digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert!(shown.iter().all(|key| *key == shown[0]), "{shown:?}");
}

#[tokio::test]
async fn unknown_keys_are_refused_unless_the_route_forwards_them() {
    let mut upstream = Upstream::start().await;
    let routes = r#"
        [[routes]]
        name = "strict"
        paths = ["/api/strict/{key}"]
        upstream = "postiz"
        [[routes]]
        name = "open"
        paths = ["/api/open/{key}"]
        upstream = "postiz"
        unknown_keys = "forward"
    "#;
    let (old, elsewhere) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).routes(routes);
    let setup = setup.consumer("old", &old, "expires = 2020-01-31\n");
    let gateway = setup.consumer("elsewhere", &elsewhere, "routes = [\"strict\"]\n").start();
    let call = |route: &str, key: &Key| {
        Call::post(&format!("/api/{route}/{}", key.encoded()), &tool_call(1))
    };
    let unknown = Key::new();
    gateway.ask(&call("strict", &unknown)).await.refused(401, "unauthorized");
    gateway.pass(&mut upstream, &call("strict", &elsewhere)).await;
    gateway.pass(&mut upstream, &call("open", &unknown)).await;
    // A key that is known to be wrong here never goes on as a stranger's.
    gateway.ask(&call("open", &old)).await.refused(401, "unauthorized");
    gateway.ask(&call("open", &elsewhere)).await.refused(401, "unauthorized");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_key_in_the_query_is_refused_under_every_name() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    for query in ["key=", "API_KEY=", "sessionId=1&token=", "access_token=", "%6bey=", "a=1;auth="]
    {
        for target in ["/api/mcp".to_owned(), format!("/api/sse/{}", key.encoded())] {
            let call = Call::get(&format!("{target}?{query}{}", key.encoded())).bearer(&key);
            gateway.ask(&call).await.refused(400, "credential_ambiguous");
        }
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_error_that_cannot_be_read_is_not_passed_on_where_a_key_was_injected() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("agent", &key, &real, "").start();
    let mut client = gateway.client().await;
    client.send(&Call::post("/api/mcp", &tool_call(1)).bearer(&key)).await;
    // Compressed, the key would be in it and not be found.
    upstream.next().await.respond(404, &[("content-encoding", "gzip")], "\u{1f}\u{8}").await;
    client.answer().await.refused(502, "upstream_bad");
}

#[tokio::test]
async fn two_keys_that_differ_or_one_in_the_query_are_refused() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let (key, other) = (Key::new(), Key::new());
    let target = format!("/api/mcp/{}", key.encoded());
    let queried = format!("{target}?api_key={}", other.encoded());
    for call in [
        Call::post(&target, &tool_call(1)).bearer(&other),
        Call::post("/api/mcp", &tool_call(1)).bearer(&key).bearer(&key),
        Call::post(&queried, &tool_call(1)),
    ] {
        gateway.ask(&call).await.refused(400, "credential_ambiguous");
    }
    upstream.saw_nothing(&gateway).await;
    gateway.pass(&mut upstream, &Call::post(&target, &tool_call(1)).bearer(&key)).await;
}

#[tokio::test]
async fn a_consumers_upstream_key_goes_up_in_the_form_in_which_its_own_came() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let setup = Setup::new(&upstream).route(refuse()).injected("agent", &key, &real, "");
    let gateway = setup.start();
    let in_path = Call::post(&format!("/api/mcp/{}", key.encoded()), &tool_call(1));
    let seen = gateway.pass(&mut upstream, &in_path).await;
    assert_eq!(seen.target, format!("/mcp/{}", real.text()));
    assert_eq!(seen.field("authorization"), None);
    let both = gateway.pass(&mut upstream, &in_path.clone().bearer(&key)).await;
    assert_eq!(both.field("authorization"), None, "one place is enough");
    let bearer = Call::post("/api/mcp", &tool_call(1));
    let seen = gateway.pass(&mut upstream, &bearer.clone().bearer(&key)).await;
    assert_eq!(seen.field("authorization"), Some(format!("Bearer {}", real.text()).as_str()));
    let raw = bearer.field("authorization", key.text());
    let seen = gateway.pass(&mut upstream, &raw).await;
    assert_eq!(seen.field("authorization"), Some(real.text()));
    let line = gateway.logged("the consumer", |line| line["consumer"] == "agent").await;
    assert!(line["key"].as_str().unwrap().starts_with("fp:"));
    gateway.metric_becomes("portcullis_requests_total", &["agent"], 4.0).await;
}

#[tokio::test]
async fn an_injected_key_is_never_seen_in_an_error_that_quotes_it() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("agent", &key, &real, "").start();
    let mut client = gateway.client().await;
    client.send(&Call::post(&format!("/api/mcp/{}/x", key.encoded()), &tool_call(1))).await;
    let mut request = upstream.next().await;
    let (front, back) = real.text().split_at(5);
    let body = format!("Cannot POST /mcp/{}/x", real.text());
    let head = format!(
        "HTTP/1.1 404 Not Found\r\nx-asked: /mcp/{}\r\ncontent-length: {}\r\n\r\n",
        real.text(),
        body.len()
    );
    request.raw(format!("{head}Cannot POST /mcp/{front}")).await;
    request.raw(format!("{back}/x")).await;
    let answer = client.answer().await;
    let covered = body.replace(real.text(), &"*".repeat(real.text().len()));
    assert_eq!((answer.status, answer.text()), (404, &*covered));
    assert_eq!(answer.field("x-asked"), None);
}

#[tokio::test]
async fn the_key_of_a_known_consumer_goes_on_where_none_is_injected() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route(refuse()).consumer("plain", &key, "");
    let gateway = setup.start();
    let seen =
        gateway.pass(&mut upstream, &Call::post("/api/mcp", &tool_call(1)).bearer(&key)).await;
    assert_eq!(seen.field("authorization"), Some(format!("Bearer {}", key.text()).as_str()));
}

#[tokio::test]
async fn an_injected_key_is_not_shown_by_an_endpoint_that_comes_late_or_in_disguise() {
    let disguises = [
        "retry: 3000\n\nevent: endpoint\ndata: /message/KEY?sessionId=1\n\n",
        "\u{feff}event: endpoint\ndata: /message/KEY?sessionId=1\n\n",
        "event: x\nevent: endpoint\ndata: /message/KEY?sessionId=1\n\n",
        "event: message\ndata: /message/KEY?sessionId=1\n\n",
    ];
    for disguise in disguises {
        let mut upstream = Upstream::start().await;
        let (key, real) = (Key::new(), Key::new());
        let gateway = Setup::new(&upstream).injected("agent", &key, &real, "").start();
        let mut client = gateway.client().await;
        client.send(&Call::get(&format!("/api/sse/{}", key.encoded()))).await;
        let mut stream = upstream.next().await.stream(&[]).await;
        stream.send(disguise.replace("KEY", real.text())).await;
        stream.hang_up();
        let said = String::from_utf8(client.rest().await).unwrap();
        assert!(!said.contains(real.text()), "{disguise:?}");
    }
}

#[tokio::test]
async fn a_key_with_a_blank_in_it_is_refused_as_some_servers_read_another_key_there() {
    let mut upstream = Upstream::start().await;
    let old = Key::new();
    let gateway = Setup::new(&upstream).consumer("old", &old, "expires = 2020-01-31\n").start();
    let (front, back) = old.text().split_at(20);
    for value in [
        // Postiz takes the first `Bearer ` away wherever it stands, and reads the expired key.
        format!("{front}Bearer {back}"),
        // Others take the second word.
        format!("Bearer {} x", old.text()),
        format!("Token {}", old.text()),
        format!("Bearer Bearer {}", old.text()),
    ] {
        let call = Call::post("/api/mcp", &tool_call(1)).field("authorization", &value);
        gateway.ask(&call).await.refused(400, "credential_ambiguous");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_injected_key_is_covered_in_an_answer_that_passes() {
    let mut upstream = Upstream::start().await;
    let (key, real) = (Key::new(), Key::new());
    let gateway = Setup::new(&upstream).injected("alice", &key, &real, "").start();
    let call = Call::post(&format!("/api/mcp/{}", key.text()), &tool_call(1));
    for spelling in [real.text(), &real.encoded()] {
        let body = format!("{{\"error\":\"no tool at /mcp/{spelling}/x\"}}");
        let mut client = gateway.client().await;
        client.send(&call).await;
        upstream.next().await.respond(200, &[("content-type", "application/json")], &body).await;
        let answer = client.answer().await;
        let covered = body.replace(spelling, &"*".repeat(spelling.len()));
        assert_eq!((answer.status, answer.text()), (200, covered.as_str()));
    }
    let mut client = gateway.client().await;
    client.send(&call).await;
    let request = upstream.next().await;
    request.respond(200, &[("content-encoding", "gzip")], "\x1f").await;
    client.answer().await.refused(502, "upstream_bad");
}

/// The lines of a consumer whose older key has this end.
fn replaces(old: &Key, expires: &str) -> String {
    format!("previous = {{ key_sha256 = \"{}\", expires = {expires} }}\n", old.sha256())
}

#[tokio::test]
async fn a_key_and_the_one_that_it_replaces_are_one_consumer() {
    let mut upstream = Upstream::start().await;
    let (old, new, real) = (Key::new(), Key::new(), Key::new());
    let setup = Setup::new(&upstream).route(refuse());
    let gateway = setup.injected("agent", &new, &real, &replaces(&old, "2999-12-31")).start();
    for key in [&old, &new] {
        let seen =
            gateway.pass(&mut upstream, &Call::post("/api/mcp", &tool_call(1)).bearer(key)).await;
        assert_eq!(seen.field("authorization"), Some(format!("Bearer {}", real.text()).as_str()));
    }
    let labels = ["route=\"mcp\"", "consumer=\"agent\"", "status=\"200\""];
    gateway.metric_becomes("portcullis_requests_total", &labels, 2.0).await;
}

#[tokio::test]
async fn the_older_key_ends_by_itself_and_with_its_consumer() {
    let mut upstream = Upstream::start().await;
    let keys: Vec<Key> = (0..4).map(|_| Key::new()).collect();
    let setup = Setup::new(&upstream).consumer("a", &keys[0], &replaces(&keys[1], "2020-01-31"));
    let lines = format!("{}expires = 2020-01-31\n", replaces(&keys[3], "2999-12-31"));
    let gateway = setup.consumer("b", &keys[2], &lines).start();
    let call = |key: &Key| Call::post("/api/mcp", &tool_call(1)).bearer(key);
    // The route forwards what it doesn't know: a key that is over isn't unknown.
    for over in [&keys[1], &keys[2], &keys[3]] {
        gateway.ask(&call(over)).await.refused(401, "unauthorized");
    }
    gateway.metric_becomes("portcullis_refusals_total", &["key_expired"], 3.0).await;
    gateway.pass(&mut upstream, &call(&keys[0])).await;
    upstream.saw_nothing(&gateway).await;
}
