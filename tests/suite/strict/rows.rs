//! The rows that are refused, with the numbers of the vectors. `KEY` stands for the client's key, and
//! `/p` of the vectors for `/api/mcp/KEY`. Data alone: the table of `make strictness` includes this
//! file.

/// A request that is refused.
pub(super) struct Row {
    pub(super) number: &'static str,
    /// What is wrong with it, in a few words: TE is `Transfer-Encoding`, CL is `Content-Length`.
    pub(super) what: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

fn row(
    number: &'static str,
    what: &'static str,
    bytes: impl Into<Vec<u8>>,
    status: u16,
    reason: &'static str,
) -> Row {
    Row { number, what, bytes: bytes.into(), status, reason }
}

fn malformed(number: &'static str, what: &'static str, bytes: impl Into<Vec<u8>>) -> Row {
    row(number, what, bytes, 400, "malformed")
}

/// A POST with these fields, and what follows them.
pub(super) fn post(rest: &str) -> String {
    let head =
        "POST /api/mcp/KEY HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n";
    format!("{head}{rest}")
}

/// A POST in chunks.
pub(super) fn chunked(body: &str) -> String {
    post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"))
}

/// A GET with these fields.
pub(super) fn get(fields: &str) -> String {
    format!("GET /api/mcp/KEY HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n")
}

/// A GET of a target.
fn target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
}

/// A GET with these Host lines.
fn host(lines: &str) -> String {
    format!("GET /api/mcp/KEY HTTP/1.1\r\n{lines}\r\n")
}

/// A POST with an empty body in this coding.
fn coded(coding: &str) -> String {
    post(&format!("Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"))
}

/// Where a body would begin and end.
pub(super) fn framing() -> Vec<Row> {
    let te = "Transfer-Encoding: chunked\r\n";
    let end = "0\r\n\r\n";
    let sized = |coding: &str| coded(&format!("{coding}\r\nContent-Length: 5"));
    let unknown = |number, what, coding: &str| row(number, what, coded(coding), 501, "malformed");
    vec![
        malformed("01", "CL and TE", post(&format!("Content-Length: 5\r\n{te}\r\n{end}"))),
        malformed("02", "TE and CL", sized("chunked")),
        malformed(
            "03",
            "two CL, different",
            post("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
        ),
        malformed("04", "two CL, equal", post("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}")),
        malformed("05", "CL 1, 1", post("Content-Length: 1, 1\r\n\r\n1")),
        malformed("07", "CL 0x1", post("Content-Length: 0x1\r\n\r\n1")),
        malformed("09", "CL empty", post("Content-Length:\r\n\r\n")),
        malformed("10", "CL above 2^64", post("Content-Length: 18446744073709551617\r\n\r\n1")),
        unknown("11", "TE xchunked", "xchunked"),
        malformed("12", "TE chunked, identity", coded("chunked, identity")),
        malformed(
            "13",
            "TE identity and CL",
            post("Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"),
        ),
        malformed("14", "TE twice", post(&format!("{te}{te}\r\n{end}"))),
        malformed("15", "TE ,chunked and CL", sized(",chunked")),
        malformed("16", "TE VT chunked", coded("\x0bchunked")),
        malformed("17", "SP before colon", coded("chunked").replace("g: c", "g : c")),
        unknown("20", "TE quoted", "\"chunked\""),
        malformed("21", "chunked on HTTP/1.0", chunked(end).replace("HTTP/1.1", "HTTP/1.0")),
        unknown("22", "TE gzip, chunked", "gzip, chunked"),
    ]
}

/// The lines of a head.
pub(super) fn lines() -> Vec<Row> {
    let long = "a".repeat(100 * 1024);
    let many = |count: usize| get(&(0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>());
    vec![
        malformed("23", "bare LF in head", get("").replace("\r\n", "\n")),
        malformed("24", "bare CR in value", get("X: a\rY: b\r\n")),
        malformed("25", "NUL in value", get("X: a\0b\r\n")),
        malformed("27", "obs-fold", get("X: a\r\n b\r\n")),
        malformed("28", "obs-fold on TE", post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n")),
        malformed("31", "empty name", get(": a\r\n")),
        malformed("32", "( in name", get("X(: a\r\n")),
        malformed("33", "_ in name", get("X_Forwarded_For: 192.0.2.1\r\n")),
        row("88", "200 fields", many(200), 431, "head_too_large"),
        row("89", "1100 fields", many(1100), 431, "head_too_large"),
        row("92", "100 KiB field", get(&format!("X: {long}\r\n")), 431, "head_too_large"),
        row(
            "96",
            "Expect: x",
            post("Expect: x\r\nContent-Length: 2\r\n\r\n{}"),
            417,
            "expectation",
        ),
        row(
            "97",
            "Expect: y 100-continue",
            post("Expect: y 100-continue\r\nContent-Length: 2\r\n\r\n{}"),
            417,
            "expectation",
        ),
        malformed("104", "Connection names Host", get("Connection: X-Forwarded-For, Host\r\n")),
        malformed("111", "VT at end of value", get("X: a\x0b\r\n")),
    ]
}

/// The authority.
pub(super) fn hosts() -> Vec<Row> {
    let absolute = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    vec![
        malformed("35", "no Host", host("")),
        malformed("36", "two Host, equal", host("Host: gateway.test\r\nHost: gateway.test\r\n")),
        malformed("37", "two Host, different", host("Host: gateway.test\r\nHost: other.test\r\n")),
        malformed("38", "Host a,b", host("Host: gateway.test,other.test\r\n")),
        malformed("39", "Host a@b", host("Host: a@gateway.test\r\n")),
        malformed("40", "Host a/b", host("Host: gateway.test/b\r\n")),
        malformed("41", "Host empty", host("Host:\r\n")),
        malformed("42", "absolute, Host differs", absolute("http://other.test/api/mcp/KEY")),
        malformed("43", "absolute with userinfo", absolute("http://a@gateway.test/api/mcp/KEY")),
    ]
}

/// The request line and its target.
pub(super) fn targets() -> Vec<Row> {
    let mut high = target("/api/mcp/KEY?X").into_bytes();
    let at = high.iter().position(|byte| *byte == b'X').unwrap();
    high[at] = 0x80;
    let long = |kib: usize| target(&format!("/api/mcp/KEY/{}", "a".repeat(kib * 1024)));
    vec![
        malformed("44", "# in target", target("/api/mcp/KEY#x")),
        malformed("46", "0x80 in target", high),
        malformed("48", "%00 in path", target("/api/mcp/KEY/%00")),
        malformed("49", "CR in target", target("/api/mcp/KEY\rx")),
        malformed("50", "/a/../p", target("/api/a/../mcp/KEY")),
        malformed("51", "/a/..%2fp", target("/api/a/..%2fmcp/KEY")),
        malformed("52", "/a/%2e%2e/p", target("/api/a/%2e%2e/mcp/KEY")),
        malformed("53", "/a%252fp", target("/api/mcp/KEY/a%252fp")),
        malformed("54", "//p", target("//api/mcp/KEY")),
        malformed("55", "/a;x=/../p", target("/api/a;x=/../mcp/KEY")),
        malformed("56", "/a\\..\\p", target("/api/a\\..\\mcp/KEY")),
        malformed("57", "/%zz", target("/api/mcp/KEY/%zz")),
        malformed("58", "/../p", target("/../api/mcp/KEY")),
        malformed("60", "GET *", target("*")),
        malformed("65", "HTTP/0.9", "GET /api/mcp/KEY\r\n"),
        malformed("66", "HTTP/1.2", get("").replace("HTTP/1.1", "HTTP/1.2")),
        row("67", "HTTP/2.0 as text", get("").replace("HTTP/1.1", "HTTP/2.0"), 505, "malformed"),
        malformed("69", "two SP in request line", get("").replace("GET ", "GET  ")),
        malformed("70", "TAB in request line", get("").replace("GET ", "GET\t")),
        malformed("71, twice", "two CRLF before request", format!("\r\n\r\n{}", get(""))),
        row("93", "9 KiB target", long(9), 414, "target_too_long"),
        row("94", "70 KiB target", long(70), 414, "target_too_long"),
        malformed(
            "108",
            "TLS hello in clear",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
    ]
}

/// The chunks of a body.
pub(super) fn chunks() -> Vec<Row> {
    let extension = "a".repeat(64 * 1024);
    vec![
        malformed("72", "chunk size 0x1", chunked("0x1\r\n1\r\n0\r\n\r\n")),
        malformed("73", "SP before chunk size", chunked(" 1\r\n1\r\n0\r\n\r\n")),
        malformed("74", "SP behind chunk size", chunked("1 \r\n1\r\n0\r\n\r\n")),
        malformed("75", "chunk size +1", chunked("+1\r\n1\r\n0\r\n\r\n")),
        malformed("76", "chunk size above 2^64", chunked("10000000000000001\r\n1\r\n0\r\n\r\n")),
        malformed("77", "empty chunk size", chunked("\r\n1\r\n0\r\n\r\n")),
        malformed("79", "LF ends chunk extension", chunked("1;a\n1\r\n0\r\n\r\n")),
        malformed("80", "CR in chunk extension", chunked("1;a\rb\r\n1\r\n0\r\n\r\n")),
        malformed("81", "LF ends chunk size", chunked("1\n1\r\n0\r\n\r\n")),
        malformed("82", "chunk data too long", chunked("1\r\n1xx0\r\n\r\n")),
        malformed("83", "LF ends chunk data", chunked("1\r\n1\n0\r\n\r\n")),
        malformed("84", "0 and LF", chunked("1\r\n1\r\n0\n\r\n")),
        malformed(
            "87",
            "64 KiB chunk extension",
            chunked(&format!("1;{extension}\r\n1\r\n0\r\n\r\n")),
        ),
    ]
}
