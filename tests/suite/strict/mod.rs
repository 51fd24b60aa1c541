//! The strict reading, row by row: the vectors of HTTP/1 that proxies disagree on, through the whole
//! gateway. What is refused reaches nobody; what passes is one well-formed request.

mod passing;
mod rows;

use rows::{Row, get, post};

use crate::harness::{Call, Client, Gateway, Key, Seen, Setup, Upstream, call_with_id};

/// The fields that a forwarded request may have on these routes.
const FORWARDED: [&str; 8] = [
    "host",
    "accept",
    "content-type",
    "x",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "content-length",
];

async fn boot() -> (Upstream, Gateway, Key) {
    let upstream = Upstream::start().await;
    let limits = "[limits]\nunproven_per_address = \"1000/s\"\n[timeouts]\nbody = \"150ms\"";
    let gateway = Setup::new(&upstream).also(limits).start();
    (upstream, gateway, Key::new())
}

/// The bytes with the key in its place.
fn with_key(bytes: &[u8], key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, b"KEY") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(key.text().as_bytes());
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    out
}

fn ping(key: &Key) -> Call {
    Call::post(&format!("/api/mcp/{}", key.text()), &call_with_id(1, "ping"))
}

/// Sends each row with a whole request behind it: the row is refused as it says, the connection
/// closes, and neither of the two reaches the upstream. Every row that fails is named.
async fn all_refused(rows: Vec<Row>) {
    let (mut upstream, gateway, key) = boot().await;
    let mut failures = Vec::new();
    for row in rows {
        let (number, what) = (row.number, row.what);
        let client = gateway.client().await;
        let mut bytes = with_key(&row.bytes, &key);
        bytes.extend_from_slice(&ping(&key).bytes());
        // A task of its own, so that a failure is that of one row.
        if let Err(failure) = tokio::spawn(refused(client, row, bytes)).await {
            let panic = failure.into_panic();
            let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            failures.push(format!("row {number} ({what}): {said}"));
        }
        upstream.saw_nothing(&gateway).await;
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

async fn refused(mut client: Client, row: Row, bytes: Vec<u8>) {
    client.raw(bytes).await;
    let answer = client.answer().await;
    answer.refused(row.status, row.reason);
    assert!(answer.closes(), "it doesn't say that it closes: {answer:?}");
    client.is_closed().await;
}

/// Holds a request that went upstream to the shape that every one has.
fn is_well_formed(seen: &Seen, body: &str) {
    assert_eq!(seen.text(), body, "{seen:?}");
    for (name, _) in &seen.fields {
        assert!(FORWARDED.contains(&name.as_str()), "{name} was forwarded: {seen:?}");
        assert!(seen.field(name).is_some(), "{name} stands once");
    }
    let length = (seen.method == "POST").then(|| body.len().to_string());
    assert_eq!(seen.field("content-length"), length.as_deref(), "{seen:?}");
}

/// Sends bytes that are one request, and says what of them reached the upstream.
async fn passes(bytes: impl AsRef<[u8]>, body: &str) -> Seen {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    client.raw(with_key(bytes.as_ref(), &key)).await;
    let seen = upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    is_well_formed(&seen, body);
    assert_eq!(seen.target, format!("/mcp/{}", key.text()));
    upstream.saw_nothing(&gateway).await;
    seen
}

#[tokio::test]
async fn a_body_whose_length_is_in_doubt_is_refused() {
    all_refused(rows::framing()).await;
}

#[tokio::test]
async fn a_head_whose_lines_are_in_doubt_is_refused() {
    all_refused(rows::lines()).await;
}

#[tokio::test]
async fn a_host_that_is_in_doubt_is_refused() {
    all_refused(rows::hosts()).await;
}

#[tokio::test]
async fn a_target_that_is_in_doubt_is_refused() {
    all_refused(rows::targets()).await;
}

#[tokio::test]
async fn a_chunk_that_is_in_doubt_is_refused() {
    all_refused(rows::chunks()).await;
}

#[tokio::test]
async fn row_18_a_coding_behind_a_tab_is_read_and_written_as_a_length() {
    passes(passing::bytes_of("18"), passing::PING).await;
}

#[tokio::test]
async fn row_34_a_byte_above_ascii_in_a_value_passes_as_it_is() {
    let seen = passes(passing::bytes_of("34"), "").await;
    assert_eq!(seen.field("x"), Some("a\u{ff}b"));
}

#[tokio::test]
async fn rows_59_to_63_a_method_that_isnt_spoken_is_answered_here_and_the_connection_lives() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    let put = get("").replace("GET", "PUT").into_bytes();
    let methods = passing::methods().into_iter().map(|row| (row.what, row.bytes));
    for (what, bytes) in methods.chain([("PUT", put)]) {
        client.raw(with_key(&bytes, &key)).await;
        let answer = client.answer().await;
        assert_eq!(
            answer.refused(405, "method").field("allow"),
            Some("GET, POST, DELETE, OPTIONS")
        );
        assert!(!answer.closes(), "{what}");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn row_71_one_blank_line_before_a_request_is_passed_over() {
    passes(passing::bytes_of("71"), "").await;
}

#[tokio::test]
async fn rows_85_and_86_trailers_end_here() {
    for number in ["85", "86"] {
        let seen = passes(passing::bytes_of(number), passing::PING).await;
        assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"), "{number}");
    }
}

#[tokio::test]
async fn row_95_an_expectation_of_100_is_met_here_and_not_passed_on() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    let body = call_with_id(1, "ping");
    let head = post(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.raw(with_key(head.as_bytes(), &key)).await;
    client.is_told_to_continue().await;
    client.raw(&body).await;
    is_well_formed(&upstream.answer("{}").await, &body);
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn row_98_an_offer_of_h2c_is_not_taken() {
    passes(passing::bytes_of("98"), "").await;
}

#[tokio::test]
async fn row_99_bytes_behind_an_upgrade_are_a_request_of_their_own() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    client.raw(with_key(&passing::bytes_of("99"), &key)).await;
    for x in [None, Some("second")] {
        let seen = upstream.answer("{}").await;
        is_well_formed(&seen, "");
        assert_eq!(seen.field("x"), x);
        assert_eq!(client.answer().await.status, 200);
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn row_100_the_body_of_a_get_ends_here_and_the_next_request_begins_behind_it() {
    for method in ["GET", "DELETE"] {
        let (mut upstream, gateway, _) = boot().await;
        let mut client = gateway.client().await;
        let inner = get("X: smuggled\r\n");
        let outer = get(&format!("Content-Length: {}\r\n", inner.len())).replace("GET", method);
        let all = [outer, inner, get("X: second\r\n")].concat();
        // The key is longer than its placeholder, which the length has to know.
        let all = all.replace("KEY", "abc");
        client.raw(&all).await;
        for (method, x) in [(method, None), ("GET", Some("second"))] {
            let seen = upstream.answer("{}").await;
            is_well_formed(&seen, "");
            assert_eq!((seen.method.as_str(), seen.field("x")), (method, x));
            assert_eq!(client.answer().await.status, 200);
        }
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn row_101_a_head_with_a_body_is_refused_and_its_body_is_no_request() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    let inner = with_key(get("").as_bytes(), &key);
    let head = get(&format!("Content-Length: {}\r\n", inner.len())).replace("GET", "HEAD");
    client.raw([with_key(head.as_bytes(), &key), inner].concat()).await;
    assert_eq!(client.answer_to_head().await.status, 405);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn row_103_nothing_behind_a_connection_close_is_read() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    client.raw(with_key(&passing::bytes_of("103"), &key)).await;
    is_well_formed(&upstream.answer("{}").await, "");
    let answer = client.answer().await;
    assert!(answer.status == 200 && answer.closes());
    client.is_closed().await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn row_105_forwarding_fields_of_a_stranger_are_not_believed() {
    let seen = passes(passing::bytes_of("105"), "").await;
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("gateway.test"));
}

#[tokio::test]
async fn row_106_a_post_without_a_body_is_empty_and_thus_no_message() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    client.raw(with_key(&passing::bytes_of("106"), &key)).await;
    assert!(!client.answer().await.refused(400, "not_json").closes());
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn row_107_a_body_that_never_comes_is_given_up_and_nothing_goes_upstream() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    client.raw(with_key(&passing::bytes_of("107"), &key)).await;
    assert!(client.answer().await.refused(408, "timeout").closes());
    client.is_closed().await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_connection_stays_in_step_over_refusals_that_dont_close_it() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    let nowhere = Call::post("/nowhere", &call_with_id(7, "ping"));
    let wrong_type = Call::new("POST", &format!("/api/mcp/{}", key.text())).body("<xml/>");
    let not_json = Call::post(&format!("/api/mcp/{}", key.text()), "nope");
    for (call, status, reason) in
        [(nowhere, 404, "no_route"), (wrong_type, 415, "media_type"), (not_json, 400, "not_json")]
    {
        assert!(!client.ask(&call).await.refused(status, reason).closes());
        client.send(&ping(&key)).await;
        is_well_formed(&upstream.answer("{}").await, &call_with_id(1, "ping"));
        assert_eq!(client.answer().await.status, 200);
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_refused_body_that_isnt_there_yet_never_becomes_a_request() {
    let (mut upstream, gateway, key) = boot().await;
    let mut client = gateway.client().await;
    let inner = ping(&key).bytes();
    let head = format!(
        "POST /nowhere HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {}\r\n\r\n",
        inner.len()
    );
    client.raw(head).await;
    assert!(client.answer().await.refused(404, "no_route").closes());
    client.raw(inner).await;
    client.is_closed().await;
    upstream.saw_nothing(&gateway).await;
}
