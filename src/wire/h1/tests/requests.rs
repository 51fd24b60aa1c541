//! The rows of `hardening.md` 4.6 that concern the head of a request, by their numbers.

use super::{LIMITS, accept, read};
use crate::{
    types::{Denial, Limit, Malformation as M, Method},
    wire::{Framing, HeadScan, Version, read_request_head},
};

const fn malformed(what: M) -> Denial {
    Denial::Malformed(what)
}

/// Row, the fields behind `POST /p HTTP/1.1` and `Host: a`, and the denial.
const FIELDS: &[(&str, &[u8], Denial)] = &[
    ("01", b"Content-Length: 5\r\nTransfer-Encoding: chunked", malformed(M::Framing)),
    ("02", b"Transfer-Encoding: chunked\r\nContent-Length: 5", malformed(M::Framing)),
    ("03", b"Content-Length: 5\r\nContent-Length: 6", malformed(M::Framing)),
    ("04", b"Content-Length: 5\r\nContent-Length: 5", malformed(M::Framing)),
    ("05", b"Content-Length: 1, 1", malformed(M::Framing)),
    ("07", b"Content-Length: 0x1", malformed(M::Framing)),
    ("07 sign", b"Content-Length: +1", malformed(M::Framing)),
    ("07 space", b"Content-Length: 1 1", malformed(M::Framing)),
    ("09", b"Content-Length:", malformed(M::Framing)),
    ("09 space", b"Content-Length: ", malformed(M::Framing)),
    ("10", b"Content-Length: 18446744073709551617", malformed(M::Framing)),
    ("11", b"Transfer-Encoding: xchunked", malformed(M::TransferCoding)),
    ("12", b"Transfer-Encoding: chunked, identity", malformed(M::Framing)),
    ("13", b"Transfer-Encoding: identity\r\nContent-Length: 1", malformed(M::Framing)),
    ("14", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", malformed(M::Framing)),
    ("14 list", b"Transfer-Encoding: chunked, chunked", malformed(M::Framing)),
    ("15", b"Transfer-Encoding: ,chunked\r\nContent-Length: 1", malformed(M::Framing)),
    ("15 alone", b"Transfer-Encoding: ,chunked", malformed(M::TransferCoding)),
    ("15 empty", b"Transfer-Encoding:", malformed(M::TransferCoding)),
    ("16", b"Transfer-Encoding: \x0bchunked", malformed(M::Field)),
    ("17", b"Transfer-Encoding : chunked", malformed(M::Field)),
    ("17 tab", b"Transfer-Encoding\t: chunked", malformed(M::Field)),
    ("20", b"Transfer-Encoding: \"chunked\"", malformed(M::TransferCoding)),
    ("22", b"Transfer-Encoding: gzip, chunked", malformed(M::TransferCoding)),
    ("22 parameter", b"Transfer-Encoding: chunked;q=1", malformed(M::TransferCoding)),
    ("23", b"X: 1\nY: 2", malformed(M::LineEnd)),
    ("24", b"X: a\rY: b", malformed(M::LineEnd)),
    ("24 double", b"X: a\r\r\nY: b", malformed(M::LineEnd)),
    ("25", b"X: a\0b", malformed(M::Field)),
    ("27", b"X: a\r\n b", malformed(M::Field)),
    ("28", b"Transfer-Encoding:\r\n chunked", malformed(M::Field)),
    ("28 tab", b"Transfer-Encoding:\r\n\tchunked", malformed(M::Field)),
    ("31", b": x", malformed(M::Field)),
    ("31 no colon", b"X", malformed(M::Field)),
    ("32", b"X(: 1", malformed(M::Field)),
    ("32 non-ASCII", b"X\xc3\xa9: 1", malformed(M::Field)),
    ("33", b"Content_Length: 5", malformed(M::FieldName)),
    ("33", b"transfer_encoding: chunked", malformed(M::FieldName)),
    ("33", b"X_Forwarded-For: 192.0.2.1", malformed(M::FieldName)),
    ("33", b"Mcp_Session_Id: 1", malformed(M::FieldName)),
    ("33", b"Proxy_Authorization: 1", malformed(M::FieldName)),
    ("36", b"Host: a", malformed(M::Host)),
    ("37", b"Host: b", malformed(M::Host)),
    ("96", b"Expect: x", Denial::Expectation),
    ("97", b"Expect: y 100-continue", Denial::Expectation),
    ("97 list", b"Expect: 100-continue, 100-continue", Denial::Expectation),
    ("97 twice", b"Expect: 100-continue\r\nExpect: 100-continue", Denial::Expectation),
    ("97 empty", b"Expect:", Denial::Expectation),
    ("104", b"Connection: X-Forwarded-For, Host", malformed(M::Connection)),
    ("104", b"Connection: close, Content-Length", malformed(M::Connection)),
    ("104", b"Connection: transfer-encoding", malformed(M::Connection)),
    ("104", b"Connection: AUTHORIZATION", malformed(M::Connection)),
    ("104", b"Connection: mcp-session-id", malformed(M::Connection)),
    ("104 no token", b"Connection: a b", malformed(M::Connection)),
    ("111", b"X: a\x0b", malformed(M::Field)),
    ("111 delete", b"X: a\x7f", malformed(M::Field)),
];

/// Row, the whole head, and the denial.
const HEADS: &[(&str, &[u8], Denial)] = &[
    (
        "21",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        malformed(M::Framing),
    ),
    ("23", b"GET / HTTP/1.1\nHost: a\n\n", malformed(M::LineEnd)),
    ("23 last", b"GET / HTTP/1.1\r\nHost: a\r\n\n", malformed(M::LineEnd)),
    ("35", b"GET / HTTP/1.1\r\n\r\n", malformed(M::Host)),
    ("38", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", malformed(M::Host)),
    ("39", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", malformed(M::Host)),
    ("40", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", malformed(M::Host)),
    ("41", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", malformed(M::Host)),
    ("42", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Host)),
    ("42 port", b"GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Host)),
    ("43", b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("43 scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("43 query", b"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("44", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("46", b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("46 NUL", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("49", b"GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::LineEnd)),
    ("60", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("60 no slash", b"GET p HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("60 authority", b"GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::Target)),
    ("65", b"GET /\r\n", malformed(M::RequestLine)),
    ("66", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("66 case", b"GET / http/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("66 digits", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("67", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", malformed(M::Version)),
    ("67 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", malformed(M::Version)),
    ("69", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("69 second", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("69 last", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("69 first", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("70", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("70 second", b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("71 two", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("71 LF", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::LineEnd)),
    ("71 LF second", b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::LineEnd)),
    ("71 CR", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed(M::RequestLine)),
    ("108", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", malformed(M::RequestLine)),
    ("space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", malformed(M::Field)),
];

#[test]
fn an_ambiguous_field_is_refused() {
    for (row, fields, denial) in FIELDS {
        for start in ["POST /p HTTP/1.1\r\nHost: a\r\n", "POST /p HTTP/1.1\r\nHost: a\r\nA: b\r\n"]
        {
            let raw = [start.as_bytes(), fields, b"\r\n\r\nabc"].concat();
            assert_eq!(read(&raw).err(), Some(*denial), "row {row}: {}", fields.escape_ascii());
        }
    }
}

#[test]
fn an_ambiguous_head_is_refused() {
    for (row, raw, denial) in HEADS {
        assert_eq!(read(raw).err(), Some(*denial), "row {row}: {}", raw.escape_ascii());
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_all_there() {
    let long = |len| "x".repeat(len);
    let fields = |count| "a: b\r\n".repeat(count);
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (row, raw, denial) in [
        ("88", format!("{start}{}\r\n", fields(200)), Denial::HeadTooLarge(Limit::Fields)),
        ("88 one more", format!("{start}{}", fields(64)), Denial::HeadTooLarge(Limit::Fields)),
        ("89", format!("{start}{}\r\n", fields(1100)), Denial::HeadTooLarge(Limit::Fields)),
        ("92", format!("{start}x: {}", long(100_000)), Denial::HeadTooLarge(Limit::Head)),
        ("92 name", format!("{start}{}", long(17_000)), Denial::HeadTooLarge(Limit::Head)),
        ("93", format!("GET /{} HTTP/1.1\r\n", long(9 * 1024)), Denial::TargetTooLong),
        ("94", format!("GET /{}", long(70_000)), Denial::TargetTooLong),
        ("94 one more", format!("GET /{} HTTP/1.1\r\n", long(8192)), Denial::TargetTooLong),
    ] {
        assert_eq!(read(raw.as_bytes()).err(), Some(denial), "row {row}");
    }
    let head = accept(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8191)).as_bytes());
    assert_eq!(head.target().len(), 8192);
    assert_eq!(accept(format!("{start}{}\r\n", fields(63)).as_bytes()).fields.len(), 63);
}

#[test]
fn what_every_reader_agrees_on_is_accepted() {
    let head = accept(
        b"POST /p?q=1 HTTP/1.1\r\nHOST: A.example:80\r\nX-A:\t 1 \t\r\nB: \xff\r\nE:\r\n\r\n",
    );
    assert_eq!(
        (head.method, head.target(), head.version),
        (Method::Post, "/p?q=1", Version::Http11)
    );
    assert_eq!((head.host.name(), head.host.port()), ("a.example", Some(80)));
    assert_eq!(head.framing, Framing::None, "row 106: no length is no body");
    assert!(head.persistent && !head.expect_continue);
    let fields: Vec<_> = head.fields.iter().collect();
    assert_eq!(fields, [(&b"x-a"[..], &b"1"[..]), (b"b", b"\xff"), (b"e", b"")], "rows 18 and 34");
}

#[test]
fn framing_is_what_the_one_field_says() {
    for (field, framing) in [
        ("Content-Length: 0", Framing::Length(0)),
        ("Content-Length:  18446744073709551615 ", Framing::Length(u64::MAX)),
        ("Transfer-Encoding:\tchunked", Framing::Chunked),
        ("TRANSFER-ENCODING: Chunked", Framing::Chunked),
        ("X: y", Framing::None),
    ] {
        let head = accept(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").as_bytes());
        assert_eq!(head.framing, framing, "{field}");
    }
}

#[test]
fn targets_come_in_origin_form() {
    for (line, target) in [
        ("GET /a/../%zz//b?c", "/a/../%zz//b?c"),
        ("GET http://A/x?y", "/x?y"),
        ("GET HTTPS://a", "/"),
        ("OPTIONS *", "*"),
        ("CONNECT a:443", "/"),
        ("CONNECT /x", "/"),
        ("TRACE /x", "/x"),
        ("get /x", "/x"),
    ] {
        let head = accept(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(head.target(), target, "{line}");
        if !line.starts_with("GET") && !line.starts_with("OPTIONS") {
            assert_eq!(head.method, Method::Other, "rows 61 to 63: {line}");
        }
    }
}

#[test]
fn hop_by_hop_fields_and_those_named_in_connection_end_here() {
    let head = accept(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, , X-Drop, keep-alive\r\nx-drop: 1\r\n\
          Upgrade: h2c\r\nHTTP2-Settings: x\r\nTE: trailers\r\nTrailer: x\r\nKeep-Alive: 5\r\n\
          Proxy-Connection: x\r\nProxy-Authorization: x\r\nX-Keep: 1\r\nX-DROP: 2\r\n\r\n",
    );
    let names: Vec<_> = head.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"x-keep"], "row 98");
    assert!(head.persistent);
}

#[test]
fn a_connection_goes_on_only_in_http_1_1_without_close() {
    for (version, connection, persistent) in [
        ("1.1", "keep-alive", true),
        ("1.1", "Close", false),
        ("1.1", "keep-alive, close", false),
        ("1.0", "keep-alive", false),
    ] {
        let raw = format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        assert_eq!(
            accept(raw.as_bytes()).persistent,
            persistent,
            "row 103: {version} {connection}"
        );
    }
}

#[test]
fn a_client_waits_for_100_only_with_a_body_in_http_1_1() {
    for (version, length, waits) in [("1.1", 1, true), ("1.1", 0, false), ("1.0", 1, false)] {
        let raw = format!(
            "POST / HTTP/{version}\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n\r\n"
        );
        let head = accept(raw.as_bytes());
        assert_eq!(head.expect_continue, waits, "row 95: {version} {length}");
        assert!(!head.fields.contains("expect"));
    }
}

#[test]
fn one_blank_line_before_a_request_is_passed_over_and_what_follows_is_left() {
    let mut buf = bytes::BytesMut::from(&b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2"[..]);
    let mut scan = HeadScan::default();
    let head = read_request_head(&mut scan, &mut buf, LIMITS).unwrap().unwrap();
    assert_eq!((head.target(), &buf[..]), ("/", &b"GET /2"[..]), "row 71");
    assert!(read_request_head(&mut scan, &mut buf, LIMITS).unwrap().is_none());
}

#[test]
fn debug_shows_no_target_and_no_value() {
    let head = accept(b"GET /canary HTTP/1.1\r\nHost: a\r\nAuthorization: canary\r\n\r\n");
    assert!(!format!("{head:?}").contains("canary"));
}
