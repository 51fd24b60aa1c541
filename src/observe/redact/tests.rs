use proptest::prelude::*;

use super::*;

const KEY: &str = "k3yk3y";
const LONG: &str = "Zx81Qm04Lr77Tb29Wp55Hn63Vc10Kd48Sg92";

fn text(line: &str) -> (String, u64) {
    let redacted = redact(line.as_bytes(), Syntax::Text, |_| false);
    (String::from_utf8(redacted.line.into_owned()).unwrap(), redacted.masked)
}

fn json(value: &serde_json::Value) -> (serde_json::Value, u64) {
    let line = value.to_string();
    let redacted = redact(line.as_bytes(), Syntax::Json, |_| false);
    (serde_json::from_slice(&redacted.line).unwrap(), redacted.masked)
}

#[test]
fn what_looks_like_a_credential_is_masked_and_counted() {
    for (line, expected) in [
        ("GET /api/mcp/k3yk3y HTTP/1.1", "GET /api/mcp/[redacted] HTTP/1.1"),
        ("/API/MCP/k3;y=(,)/sse?x=1", "/API/MCP/[redacted]?x=1"),
        ("/api/sse/k3yk3y, then", "/api/sse/[redacted] then"),
        ("/api/message/k3yk3y?sessionId=abc", "/api/message/[redacted]?sessionId=[redacted]"),
        ("/api/mcp/{key}/sse/k3yk3y", "/api/mcp/{key}/sse/[redacted]"),
        ("Bearer k3yk3y", "Bearer [redacted]"),
        ("authorization: k3yk3y", "authorization: [redacted]"),
        ("Authorization: Basic k3 yk3y", "Authorization: [redacted]"),
        ("Cookie: auth=k3yk3y; b=1", "Cookie: [redacted]"),
        (
            r#"{\"authorization\": \"k3yk3y\", \"a\": 1}"#,
            r#"{\"authorization\": \"[redacted]\", \"a\": 1}"#,
        ),
        (r#"(\"authorization\", \"k3yk3y\")"#, r#"(\"authorization\", \"[redacted]\")"#),
        (r#"token: \"k3yk3y\""#, r#"token: \"[redacted]\""#),
        ("?api_key=k3yk3y&a=b", "?api_key=[redacted]&a=b"),
        ("code=k3yk3y", "code=[redacted]"),
        ("token=Bearer k3yk3y", "token=[redacted] [redacted]"),
        ("x pos_0123456789abcdef y", "x [redacted] y"),
        ("ptc_abcdefghijkl-Z", "[redacted]"),
        ("eyJhbGciOiJI.eyJzdWIiOi.c2ln= z", "[redacted] z"),
        ("0123456789abcdef0123456789abcdef", "[redacted]"),
        ("abcdefabcdefabcdefabcdefabcdefab", "[redacted]"),
        ("11111111222222223333333344444444", "[redacted]"),
        ("550e8400-e29b-41d4-a716-446655440000", "[redacted]"),
        ("a=Zx81Qm04Lr77Tb29Wp55Hn63Vc10Kd48Sg92=", "a=[redacted]="),
    ] {
        let (shown, masked) = text(line);
        assert_eq!(shown, expected, "{line}");
        let marks = expected.matches(MASK).count();
        assert_eq!(masked, u64::try_from(marks).unwrap(), "{line}");
    }
}

#[test]
fn what_an_operator_needs_is_left_alone() {
    for line in [
        "exchange request_id=0123456789abcdef key=fp:01234567 path=/api/mcp/{key}/sse/*",
        "2026-11-23T09:05:00.123Z info listening on [2001:db8:1111:2222:3333:4444:5555:6666]:443",
        "portcullis::proxy::admit::route_of_the_longest_kind",
        "config_last_reload_success_timestamp_seconds",
        "Os { code: 98, kind: AddrInUse, message: in use }",
        "unknown key \\\"rout\\\"; authorization header missing",
        "the path /api/mcp/{key}, and the path /api/mcp.",
        "status_code=200 tokens=5 exit code 1",
        "ip-10-0-0-1.eu-west-1.compute.internal:3000",
    ] {
        assert_eq!(text(line), (line.to_owned(), 0));
    }
}

#[test]
fn a_member_that_holds_a_credential_is_masked_whole() {
    let (shown, masked) = json(&serde_json::json!({
        "authorization": "a \"b\" c", "token": 5, "next": "plain", "key": "fp:01234567",
        "api_key": "x", "list": ["key", "plain"],
    }));
    assert_eq!(masked, 2);
    assert_eq!(shown["authorization"], MASK);
    assert_eq!(shown["api_key"], MASK);
    assert_eq!(
        (&shown["token"], &shown["next"], &shown["key"]),
        (&5.into(), &"plain".into(), &"fp:01234567".into())
    );
}

#[test]
fn configured_text_is_let_through_word_by_word() {
    let line = format!("route=pos_backend-0123456789 x={LONG} /mcp/tenant/{KEY}");
    let configured = |text: &[u8]| text == b"pos_backend-0123456789" || text == b"tenant";
    let redacted = redact(line.as_bytes(), Syntax::Text, configured);
    assert_eq!(
        String::from_utf8(redacted.line.into_owned()).unwrap(),
        "route=pos_backend-0123456789 x=[redacted] /mcp/tenant/[redacted]"
    );
}

/// 32 and more token characters, letters and digits among them.
fn canary() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{15,40}[a-z][0-9][A-Za-z0-9_-]{15,40}"
}

/// What a key may look like where its position gives it away.
fn odd_key() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!$'()*+,=:@;%_~.-]{0,8}Q7Q7[A-Za-z0-9!$'()*+,=:@;%_~.-]{0,8}"
}

fn escaped(raw: &str) -> String {
    let quoted = serde_json::to_string(raw).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

proptest! {
    #[test]
    fn a_canary_survives_in_no_position(before in "(?s).{0,40}", key in canary(), after in "(?s).{0,40}") {
        let raw = format!("{before}{key}{after}");
        prop_assert!(!text(&escaped(&raw)).0.contains(&key));
        let value = serde_json::json!({ "event": raw, (raw.clone()): [raw, 1.5, null] });
        prop_assert!(!json(&value).0.to_string().contains(&key));
    }

    #[test]
    fn a_key_of_any_shape_is_known_by_its_position(
        before in "[a-z :/\"\\\\]{0,10}",
        announced in prop::sample::select(vec![
            "mcp/", "/api/mcp/sse/", "/sse/", "/message/", "Bearer ", "bearer  ", "token=",
            "?key=", "Authorization: ", "\"authorization\": \"", "\"x-api-key\": \"", "cookie: ",
        ]),
        key in odd_key(),
    ) {
        let raw = format!("{before}{announced}{key}");
        prop_assert!(!text(&escaped(&raw)).0.contains("Q7Q7"), "{}", text(&escaped(&raw)).0);
        let value = serde_json::json!({ "event": raw });
        prop_assert!(!json(&value).0.to_string().contains("Q7Q7"));
    }

    #[test]
    fn any_line_stays_utf8_and_bounded_and_a_second_pass_changes_nothing(
        words in prop::collection::vec(fragment(), 0..12)
    ) {
        let line = escaped(&words.concat());
        let (once, _) = text(&line);
        prop_assert!(once.len() <= 3 * line.len());
        let (twice, masked) = text(&once);
        prop_assert_eq!((&twice, masked), (&once, 0));

        let joined = words.concat();
        let (once, _) = json(&serde_json::json!({ "key": words, (joined.clone()): joined }));
        let (twice, masked) = json(&once);
        prop_assert_eq!((&twice, masked), (&once, 0));
    }

    #[test]
    fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        for syntax in [Syntax::Json, Syntax::Text] {
            let _ = redact(&line, syntax, |_| false);
        }
    }
}

/// Pieces that the rules look for, and others.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "mcp",
            "/",
            "sse/",
            "Bearer",
            " ",
            "key",
            "=",
            ":",
            "\"",
            "\\",
            "authorization",
            ",",
            "{key}",
            "[redacted]",
            "*",
            "pos_",
            "eyJ",
            ".",
            "cookie",
            "session-id",
            "token",
            "&",
            "?",
            "#",
            "\n",
            "\u{1b}",
            "a",
            "fp:01234567",
            LONG,
        ])
        .prop_map(str::to_owned),
        "(?s).{0,6}",
        canary(),
    ]
}
