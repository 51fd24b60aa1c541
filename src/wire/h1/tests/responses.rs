use bytes::BytesMut;

use super::LIMITS;
use crate::{
    types::{Malformation as M, Method},
    wire::{Framing, HeadScan, ResponseFault, ResponseHead, read_response_head},
};

fn read(raw: &[u8], method: Method) -> Result<Option<ResponseHead>, ResponseFault> {
    read_response_head(&mut HeadScan::default(), &mut BytesMut::from(raw), LIMITS, method)
}

#[test]
fn framing_follows_the_request_the_status_and_the_one_field() {
    use Framing::{Chunked, Length, UntilClose};
    use Method::{Get, Head};
    for (status, field, method, framing) in [
        ("200 OK", "Content-Length: 3", Get, Length(3)),
        ("200 OK", "Transfer-Encoding: chunked", Get, Chunked),
        ("200", "X: y", Get, UntilClose),
        ("200 ", "Content-Length: 3", Head, Framing::None),
        ("200 é", "Transfer-Encoding: chunked", Head, Framing::None),
        ("304 Not Modified", "Content-Length: 3", Get, Framing::None),
        ("204 No Content", "X: y", Get, Framing::None),
        ("204 No Content", "Content-Length: 0", Get, Framing::None),
        ("100 Continue", "X: y", Get, Framing::None),
        ("599 Own", "Content-Length: 0", Get, Length(0)),
    ] {
        let raw = format!("HTTP/1.1 {status}\r\n{field}\r\n\r\n");
        let head = read(raw.as_bytes(), method).unwrap().unwrap();
        assert_eq!(head.framing, framing, "{status} {field}");
        assert_eq!(head.persistent, framing != UntilClose, "{status} {field}");
        assert!(!head.fields.contains("content-length"));
    }
}

#[test]
fn an_answer_with_two_readings_is_a_fault() {
    for (fields, fault) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", M::Framing),
        ("Content-Length: 1\r\nContent-Length: 1", M::Framing),
        ("Content-Length: 1, 1", M::Framing),
        ("Content-Length: -1", M::Framing),
        ("Transfer-Encoding: gzip", M::TransferCoding),
        ("Transfer-Encoding: chunked, chunked", M::Framing),
        ("X: a\r\n b", M::Field),
        ("X : a", M::Field),
        ("X: a\nY: b", M::LineEnd),
        ("Connection: content-type", M::Connection),
    ] {
        for method in [Method::Get, Method::Head] {
            let raw = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            let read = read(raw.as_bytes(), method);
            assert_eq!(read.err(), Some(ResponseFault::Malformed(fault)), "{fields}");
        }
    }
    for raw in [
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n",
    ] {
        let fault = read(raw.as_bytes(), Method::Get).err();
        assert_eq!(fault, Some(ResponseFault::Malformed(M::Framing)), "{raw}");
    }
}

#[test]
fn a_status_line_has_one_form() {
    for line in [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000",
        "HTTP/1.1 099 x",
        "HTTP/1.1 600 x",
        "HTTP/2.0 200 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 O\0K",
        "ICY 200 OK",
        "",
    ] {
        let raw = format!("{line}\r\nX: y\r\n\r\n");
        let read = read(raw.as_bytes(), Method::Get);
        assert_eq!(read.err(), Some(ResponseFault::StatusLine), "{line:?}");
    }
}

#[test]
fn an_endless_answer_is_too_large() {
    for raw in [
        "HTTP/1.1 200 ".to_owned() + &"x".repeat(17_000),
        "HTTP/1.1 200 OK\r\n".to_owned() + &"a: b\r\n".repeat(65),
    ] {
        assert_eq!(read(raw.as_bytes(), Method::Get).err(), Some(ResponseFault::TooLarge));
    }
}

#[test]
fn hop_by_hop_fields_end_here() {
    let raw =
        b"HTTP/1.1 200 OK\r\nConnection: close, x-drop\r\nKeep-Alive: timeout=5\r\nX-Drop: 1\r\n\
        Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = read(raw, Method::Get).unwrap().unwrap();
    let names: Vec<_> = head.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"content-type"]);
    assert!(!head.persistent);
}
