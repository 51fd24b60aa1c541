//! The rows that are refused, with the numbers of the vectors. `KEY` stands for the client's key, and
//! `/p` of the vectors for `/api/mcp/KEY`.

/// A request that is refused.
pub(super) struct Row {
    pub(super) number: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

fn row(number: &'static str, bytes: impl Into<Vec<u8>>, status: u16, reason: &'static str) -> Row {
    Row { number, bytes: bytes.into(), status, reason }
}

fn malformed(number: &'static str, bytes: impl Into<Vec<u8>>) -> Row {
    row(number, bytes, 400, "malformed")
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

/// Where a body would begin and end.
pub(super) fn framing() -> Vec<Row> {
    let te = "Transfer-Encoding: chunked\r\n";
    let end = "0\r\n\r\n";
    vec![
        malformed("01", post(&format!("Content-Length: 5\r\n{te}\r\n{end}"))),
        malformed("02", post(&format!("{te}Content-Length: 5\r\n\r\n{end}"))),
        malformed("03", post("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")),
        malformed("04", post("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}")),
        malformed("05", post("Content-Length: 1, 1\r\n\r\n1")),
        malformed("07", post("Content-Length: 0x1\r\n\r\n1")),
        malformed("09", post("Content-Length:\r\n\r\n")),
        malformed("10", post("Content-Length: 18446744073709551617\r\n\r\n1")),
        row("11", post(&format!("Transfer-Encoding: xchunked\r\n\r\n{end}")), 501, "malformed"),
        malformed("12", post(&format!("Transfer-Encoding: chunked, identity\r\n\r\n{end}"))),
        malformed("13", post("Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}")),
        malformed("14", post(&format!("{te}{te}\r\n{end}"))),
        malformed(
            "15",
            post(&format!("Transfer-Encoding: ,chunked\r\nContent-Length: 5\r\n\r\n{end}")),
        ),
        malformed("16", post(&format!("Transfer-Encoding: \x0bchunked\r\n\r\n{end}"))),
        malformed("17", post(&format!("Transfer-Encoding : chunked\r\n\r\n{end}"))),
        row("20", post(&format!("Transfer-Encoding: \"chunked\"\r\n\r\n{end}")), 501, "malformed"),
        malformed("21", chunked(end).replace("HTTP/1.1", "HTTP/1.0")),
        row(
            "22",
            post(&format!("Transfer-Encoding: gzip, chunked\r\n\r\n{end}")),
            501,
            "malformed",
        ),
    ]
}

/// The lines of a head.
pub(super) fn lines() -> Vec<Row> {
    let long = "a".repeat(100 * 1024);
    let many = |count: usize| get(&(0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>());
    vec![
        malformed("23", get("").replace("\r\n", "\n")),
        malformed("24", get("X: a\rY: b\r\n")),
        malformed("25", get("X: a\0b\r\n")),
        malformed("27", get("X: a\r\n b\r\n")),
        malformed("28", post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n")),
        malformed("31", get(": a\r\n")),
        malformed("32", get("X(: a\r\n")),
        malformed("33", get("X_Forwarded_For: 192.0.2.1\r\n")),
        row("88", many(200), 431, "head_too_large"),
        row("89", many(1100), 431, "head_too_large"),
        row("92", get(&format!("X: {long}\r\n")), 431, "head_too_large"),
        row("96", post("Expect: x\r\nContent-Length: 2\r\n\r\n{}"), 417, "expectation"),
        row(
            "97",
            post("Expect: y 100-continue\r\nContent-Length: 2\r\n\r\n{}"),
            417,
            "expectation",
        ),
        malformed("104", get("Connection: X-Forwarded-For, Host\r\n")),
        malformed("111", get("X: a\x0b\r\n")),
    ]
}

/// The authority.
pub(super) fn hosts() -> Vec<Row> {
    let absolute = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    vec![
        malformed("35", host("")),
        malformed("36", host("Host: gateway.test\r\nHost: gateway.test\r\n")),
        malformed("37", host("Host: gateway.test\r\nHost: other.test\r\n")),
        malformed("38", host("Host: gateway.test,other.test\r\n")),
        malformed("39", host("Host: a@gateway.test\r\n")),
        malformed("40", host("Host: gateway.test/b\r\n")),
        malformed("41", host("Host:\r\n")),
        malformed("42", absolute("http://other.test/api/mcp/KEY")),
        malformed("43", absolute("http://a@gateway.test/api/mcp/KEY")),
    ]
}

/// The request line and its target.
pub(super) fn targets() -> Vec<Row> {
    let mut high = target("/api/mcp/KEY?X").into_bytes();
    let at = high.iter().position(|byte| *byte == b'X').unwrap();
    high[at] = 0x80;
    let long = |kib: usize| target(&format!("/api/mcp/KEY/{}", "a".repeat(kib * 1024)));
    vec![
        malformed("44", target("/api/mcp/KEY#x")),
        malformed("46", high),
        malformed("48", target("/api/mcp/KEY/%00")),
        malformed("49", target("/api/mcp/KEY\rx")),
        malformed("50", target("/api/a/../mcp/KEY")),
        malformed("51", target("/api/a/..%2fmcp/KEY")),
        malformed("52", target("/api/a/%2e%2e/mcp/KEY")),
        malformed("53", target("/api/mcp/KEY/a%252fp")),
        malformed("54", target("//api/mcp/KEY")),
        malformed("55", target("/api/a;x=/../mcp/KEY")),
        malformed("56", target("/api/a\\..\\mcp/KEY")),
        malformed("57", target("/api/mcp/KEY/%zz")),
        malformed("58", target("/../api/mcp/KEY")),
        malformed("60", target("*")),
        malformed("65", "GET /api/mcp/KEY\r\n"),
        malformed("66", get("").replace("HTTP/1.1", "HTTP/1.2")),
        row("67", get("").replace("HTTP/1.1", "HTTP/2.0"), 505, "malformed"),
        malformed("69", get("").replace("GET ", "GET  ")),
        malformed("70", get("").replace("GET ", "GET\t")),
        malformed("71, twice", format!("\r\n\r\n{}", get(""))),
        row("93", long(9), 414, "target_too_long"),
        row("94", long(70), 414, "target_too_long"),
        malformed("108", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
    ]
}

/// The chunks of a body.
pub(super) fn chunks() -> Vec<Row> {
    let extension = "a".repeat(64 * 1024);
    vec![
        malformed("72", chunked("0x1\r\n1\r\n0\r\n\r\n")),
        malformed("73", chunked(" 1\r\n1\r\n0\r\n\r\n")),
        malformed("74", chunked("1 \r\n1\r\n0\r\n\r\n")),
        malformed("75", chunked("+1\r\n1\r\n0\r\n\r\n")),
        malformed("76", chunked("00000000000000001\r\n1\r\n0\r\n\r\n")),
        malformed("77", chunked("\r\n1\r\n0\r\n\r\n")),
        malformed("79", chunked("1;a\n1\r\n0\r\n\r\n")),
        malformed("80", chunked("1;a\rb\r\n1\r\n0\r\n\r\n")),
        malformed("81", chunked("1\n1\r\n0\r\n\r\n")),
        malformed("82", chunked("1\r\n1xx0\r\n\r\n")),
        malformed("83", chunked("1\r\n1\n0\r\n\r\n")),
        malformed("84", chunked("1\r\n1\r\n0\n\r\n")),
        malformed("87", chunked(&format!("1;{extension}\r\n1\r\n0\r\n\r\n"))),
    ]
}
