use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::h1::{LAST_CHUNK, end_head, field_value, write_chunk, write_field, write_status_line};

/// How the body of an answer goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Its length is known.
    Length(u64),
    /// In parts whose end is told: chunks, or the frames of HTTP/2.
    Parts,
    /// Until the connection closes: HTTP/1.0.
    UntilClose,
    /// There is none; what its length would be, where that is known (HEAD, 304).
    Absent(Option<u64>),
}

/// A part of a body from this size on isn't copied behind what waits, in bytes.
const LARGE_BYTES: usize = 8 * 1024;

/// What goes to the client next, in the framing of its protocol: the head of an answer, parts of
/// its body, its end. What was sent is gone from it, so an idle stream holds no buffer.
pub struct Outgoing(pub(super) Framed);

pub(super) enum Framed {
    /// `large` comes behind `bytes`, without having been copied.
    Http1 {
        bytes: Vec<u8>,
        large: Bytes,
        coding: Coding,
    },
    Http2 {
        head: Option<Box<Response<()>>>,
        data: BytesMut,
        ended: bool,
    },
}

impl Outgoing {
    /// The beginning of an HTTP/1.1 head.
    pub(super) fn http1(status: StatusCode) -> Self {
        let mut bytes = Vec::with_capacity(512);
        write_status_line(&mut bytes, status);
        Self(Framed::Http1 { bytes, large: Bytes::new(), coding: Coding::Absent(None) })
    }

    /// The beginning of an HTTP/2 head.
    pub(super) fn http2(status: StatusCode) -> Self {
        let mut head = Box::new(Response::new(()));
        *head.status_mut() = status;
        Self(Framed::Http2 { head: Some(head), data: BytesMut::new(), ended: false })
    }

    /// Writes a field of the head. The name is a token in lower case, and none that is about
    /// framing.
    pub fn field(&mut self, name: impl AsRef<[u8]>, value: &[u8]) {
        match &mut self.0 {
            Framed::Http1 { bytes, .. } => write_field(bytes, name, value),
            Framed::Http2 { head: Some(head), .. } => {
                let name = HeaderName::from_bytes(name.as_ref());
                let value = HeaderValue::from_bytes(&field_value(value));
                // Both were read strictly or are our own; a field that this library refuses is
                // one that a client would refuse too.
                if let (Ok(name), Ok(value)) = (name, value) {
                    head.headers_mut().append(name, value);
                }
            }
            Framed::Http2 { head: None, .. } => {}
        }
    }

    /// Ends the head: says how the body comes, and whether the connection carries another answer.
    /// HTTP/2 says neither in the head.
    pub fn end_head(&mut self, body: Coding, keeps: bool) {
        if let Coding::Length(length) | Coding::Absent(Some(length)) = body {
            self.field("content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        if let Framed::Http1 { bytes, coding, .. } = &mut self.0 {
            *coding = body;
            if body == Coding::Parts {
                write_field(bytes, "transfer-encoding", b"chunked");
            }
            if !keeps {
                write_field(bytes, "connection", b"close");
            }
            end_head(bytes);
        }
    }

    /// Ends the head of a switch to another protocol (RFC 9110 7.8): HTTP/1.1 alone has one.
    pub fn end_switch(&mut self, protocol: &str) {
        if let Framed::Http1 { bytes, .. } = &mut self.0 {
            write_field(bytes, "connection", b"upgrade");
            write_field(bytes, "upgrade", protocol.as_bytes());
            end_head(bytes);
        }
    }

    /// Puts a part of the body behind what waits already. A large one isn't copied where it can go
    /// as it is.
    pub fn put_whole(&mut self, part: Bytes) {
        match &mut self.0 {
            Framed::Http1 { large, coding: Coding::Length(_) | Coding::UntilClose, .. }
                if large.is_empty() && part.len() >= LARGE_BYTES =>
            {
                *large = part;
            }
            _ => self.put(&part),
        }
    }

    /// Puts a part of the body behind what waits already.
    pub fn put(&mut self, part: &[u8]) {
        match &mut self.0 {
            Framed::Http1 { bytes, large, .. } if !large.is_empty() => {
                // Rare: there was more than one part to take.
                bytes.extend_from_slice(&std::mem::take(large));
                bytes.extend_from_slice(part);
            }
            Framed::Http1 { bytes, coding: Coding::Parts, .. } => write_chunk(bytes, part),
            Framed::Http1 { bytes, .. } => bytes.extend_from_slice(part),
            Framed::Http2 { data, .. } => data.extend_from_slice(part),
        }
    }

    /// Puts the end of the body behind what waits already.
    pub fn end(&mut self) {
        match &mut self.0 {
            Framed::Http1 { bytes, coding: Coding::Parts, .. } => {
                bytes.extend_from_slice(LAST_CHUNK)
            }
            Framed::Http1 { .. } => {}
            Framed::Http2 { ended, .. } => *ended = true,
        }
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Framed::Http1 { bytes, large, .. } => bytes.is_empty() && large.is_empty(),
            Framed::Http2 { head, data, ended } => head.is_none() && data.is_empty() && !ended,
        }
    }

    /// Takes what waits, of an HTTP/1.1 answer.
    pub(super) fn take_http1(&mut self) -> (Vec<u8>, Bytes) {
        match &mut self.0 {
            Framed::Http1 { bytes, large, .. } => (std::mem::take(bytes), std::mem::take(large)),
            Framed::Http2 { .. } => (Vec::new(), Bytes::new()),
        }
    }

    /// Takes what waits, of an HTTP/2 answer.
    pub(super) fn take_http2(&mut self) -> (Option<Box<Response<()>>>, Bytes, bool) {
        match &mut self.0 {
            Framed::Http1 { .. } => (None, Bytes::new(), false),
            Framed::Http2 { head, data, ended } => {
                (head.take(), std::mem::take(data).freeze(), std::mem::take(ended))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http1(coding: Coding, keeps: bool) -> String {
        let mut out = Outgoing::http1(StatusCode::OK);
        out.field("x", b"1");
        out.end_head(coding, keeps);
        out.put(b"body");
        out.end();
        String::from_utf8(out.take_http1().0).unwrap()
    }

    #[test]
    fn an_http_1_answer_is_framed_as_its_coding_says() {
        let head = "HTTP/1.1 200 OK\r\nx: 1\r\n";
        let written = http1(Coding::Length(4), true);
        assert_eq!(written, format!("{head}content-length: 4\r\n\r\nbody"));
        let written = http1(Coding::Parts, false);
        let fields = "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        assert_eq!(written, format!("{head}{fields}4\r\nbody\r\n0\r\n\r\n"));
        let written = http1(Coding::UntilClose, false);
        assert_eq!(written, format!("{head}connection: close\r\n\r\nbody"));
    }

    #[test]
    fn a_large_part_goes_as_it_is_and_nothing_overtakes_it() {
        let large = Bytes::from(vec![b'x'; LARGE_BYTES]);
        let mut out = Outgoing::http1(StatusCode::OK);
        out.end_head(Coding::Length(20_000), true);
        let head = out.take_http1().0.len();
        assert!(head > 0 && out.is_empty());
        out.put_whole(large.clone());
        let (bytes, sent) = out.take_http1();
        assert!(bytes.is_empty() && sent.as_ptr() == large.as_ptr(), "not copied");
        for part in [large.clone(), large.clone(), Bytes::from_static(b"end")] {
            out.put_whole(part);
        }
        let (bytes, sent) = out.take_http1();
        assert_eq!([&bytes[..], &sent].concat(), [&large[..], &large, b"end"].concat());
        let mut chunked = Outgoing::http1(StatusCode::OK);
        chunked.end_head(Coding::Parts, true);
        chunked.put_whole(large);
        assert!(chunked.take_http1().1.is_empty(), "a chunk has bytes around it");
    }

    #[test]
    fn an_http_2_answer_says_nothing_of_its_framing_or_connection() {
        let mut out = Outgoing::http2(StatusCode::OK);
        out.field("x", b"a\r\nb");
        out.end_head(Coding::Parts, false);
        out.put(b"body");
        assert!(!out.is_empty());
        let (head, data, ended) = out.take_http2();
        let head = head.unwrap();
        assert_eq!(head.headers().len(), 1);
        assert_eq!(
            (head.headers()["x"].as_bytes(), &*data, ended),
            (&b"a  b"[..], &b"body"[..], false)
        );
        assert!(out.is_empty());
        out.end();
        assert!(out.take_http2().2);
    }
}
