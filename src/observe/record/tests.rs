use super::*;
use crate::types::{FingerprintKey, Path, Secret, Template};

pub(in crate::observe) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A record with every field.
pub(in crate::observe) fn full() -> Record {
    let digest = Secret::new("canary".to_owned()).digest();
    let path = Path::read("/api/mcp/canary/sse").unwrap();
    let template = Template::parse("/api/mcp/{key}").unwrap();
    Record {
        event: Event::Exchange,
        request_id: RequestId::next(),
        listener: name("https"),
        route: Some(name("mcp")),
        consumer: Some(name("claude-desktop")),
        key: Some(FingerprintKey::new(b"salt").fingerprint(&digest)),
        client: "2001:db8::1".parse().unwrap(),
        method: Method::Post,
        path: LoggablePath::mcp(&template, template.matches(&path).unwrap().rest),
        status: Some(200),
        outcome: Outcome::Answered,
        reason: Some("rate"),
        observed: Some("address"),
        duration: Duration::from_micros(12_345),
        first_byte: Some(Duration::from_millis(7)),
        bytes_in: 170,
        bytes_out: u64::MAX,
        mcp_method: Some("tools/call"),
        batch: Vec::new(),
        tool: Some(Untrusted::new("integrationList")),
        tool_label: ToolLabel::OTHER,
        upstream: Some(name("postiz")),
    }
}

/// A record with no more than every record has.
pub(in crate::observe) fn bare() -> Record {
    Record {
        event: Event::StreamOpened,
        route: None,
        consumer: None,
        key: None,
        path: LoggablePath::none(),
        status: None,
        outcome: Outcome::Cut,
        reason: None,
        observed: None,
        first_byte: None,
        mcp_method: None,
        tool: None,
        tool_label: ToolLabel::NONE,
        upstream: None,
        ..full()
    }
}

fn json(record: &Record) -> String {
    let mut out = Vec::new();
    record.write_json(&mut out, jiff::Timestamp::UNIX_EPOCH);
    String::from_utf8(out).unwrap()
}

/// The names of a line's fields, in its order.
fn fields(line: &str) -> Vec<String> {
    let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
    let mut names: Vec<String> = parsed.keys().cloned().collect();
    names.sort_by_key(|name| line.find(&format!("\"{name}\":")).unwrap());
    names
}

#[test]
fn a_line_has_the_contracts_fields_in_the_contracts_order() {
    let contract = "ts level event request_id route consumer key client method path status outcome \
                    reason observed duration_ms first_byte_ms bytes_in bytes_out mcp_method tool upstream";
    assert_eq!(fields(&json(&full())).join(" "), contract);
    assert_eq!(
        fields(&json(&bare())).join(" "),
        "ts level event request_id client method path outcome duration_ms bytes_in bytes_out",
        "what is absent is left out"
    );
}

#[test]
fn values_are_what_they_say() {
    let record = full();
    let parsed: serde_json::Value = serde_json::from_str(&json(&record)).unwrap();
    for (field, expected) in [
        ("ts", serde_json::json!("1970-01-01T00:00:00.000Z")),
        ("level", "info".into()),
        ("event", "exchange".into()),
        ("request_id", record.request_id.to_string().into()),
        ("client", "2001:db8::1".into()),
        ("path", "/api/mcp/{key}/sse".into()),
        ("status", 200.into()),
        ("duration_ms", 12.345.into()),
        ("bytes_out", u64::MAX.into()),
        ("tool", "integrationList".into()),
    ] {
        assert_eq!(parsed[field], expected, "{field}");
    }
    assert!(parsed["key"].as_str().unwrap().starts_with("fp:"));
}

#[test]
fn a_tools_name_cannot_forge_a_line() {
    let forged = "x\"}\r\n{\"ts\":\"now\",\"event\":\"exchange\"}\u{1b}[2J\u{2028}é";
    let record = Record { tool: Some(Untrusted::new(forged)), ..full() };
    let line = json(&record);
    assert!(line.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{line}");
    assert_eq!(fields(&line).len(), 21);

    let mut text = Vec::new();
    record.write_text(&mut text, jiff::Timestamp::UNIX_EPOCH);
    let text = String::from_utf8(text).unwrap();
    assert!(text.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{text}");
    assert!(text.contains(r#" tool="x\"}"#), "what needs quotes has them: {text}");
}

#[test]
fn text_reads_as_name_and_value() {
    let mut out = Vec::new();
    bare().write_text(&mut out, jiff::Timestamp::UNIX_EPOCH);
    let line = String::from_utf8(out).unwrap();
    let start = "1970-01-01T00:00:00.000Z info stream_open request_id=";
    assert!(line.starts_with(start), "{line}");
    let end = " client=2001:db8::1 method=POST path=- outcome=cut duration_ms=12.345 bytes_in=170 \
               bytes_out=18446744073709551615";
    assert!(line.ends_with(end), "{line}");
}
