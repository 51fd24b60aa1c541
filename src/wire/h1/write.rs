//! Heads and chunks, written anew. Each function appends to a growing buffer (`Vec<u8>`,
//! `BytesMut`).

use std::{borrow::Cow, io::Write};

use bytes::BufMut;
use http::StatusCode;

use crate::types::Method;

/// Ends a chunked body that has no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes `METHOD SP TARGET SP HTTP/1.1 CR LF`. The target holds visible ASCII alone, as every
/// target that was read does.
pub fn write_request_line(out: &mut impl BufMut, method: Method, path_and_query: &[u8]) {
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(path_and_query);
    out.put_slice(b" HTTP/1.1\r\n");
}

/// Writes `HTTP/1.1 SP STATUS SP REASON CR LF`, with the reason of the registry.
pub(in crate::wire) fn write_status_line(out: &mut impl BufMut, status: StatusCode) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

/// Writes one field line. A CR, LF or NUL in the value is written as a space (RFC 9110 5.5): no
/// value, wherever it came from, can begin a line of its own.
pub fn write_field(out: &mut impl BufMut, name: impl AsRef<[u8]>, value: &[u8]) {
    out.put_slice(name.as_ref());
    out.put_slice(b": ");
    let mut rest = value;
    while let Some((clean, dirty)) =
        memchr::memchr3(b'\r', b'\n', 0, rest).and_then(|at| rest.split_at_checked(at))
    {
        out.put_slice(clean);
        out.put_u8(b' ');
        rest = dirty.get(1..).unwrap_or_default();
    }
    out.put_slice(rest);
    out.put_slice(b"\r\n");
}

/// The value as [`write_field`] writes it.
pub(in crate::wire) fn field_value(value: &[u8]) -> Cow<'_, [u8]> {
    let clean = |byte: &u8| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { *byte };
    match memchr::memchr3(b'\r', b'\n', 0, value) {
        None => Cow::Borrowed(value),
        Some(_) => Cow::Owned(value.iter().map(clean).collect()),
    }
}

/// Writes the one `Content-Length` of a head.
pub fn write_content_length(out: &mut impl BufMut, length: impl itoa::Integer) {
    write_field(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
}

/// Writes the blank line that ends a head.
pub fn end_head(out: &mut impl BufMut) {
    out.put_slice(b"\r\n");
}

/// Writes one chunk. No data writes nothing: an empty chunk would end the body.
pub fn write_chunk(out: &mut impl BufMut, data: &[u8]) {
    if !data.is_empty() {
        write_chunk_head(out, data.len());
        out.put_slice(data);
        out.put_slice(b"\r\n");
    }
}

/// Writes the size line of a chunk of `len` bytes, for a caller that writes the data, and the
/// CR LF behind it, without a copy.
pub fn write_chunk_head(out: &mut impl BufMut, len: usize) {
    // A growing buffer takes all that is written to it.
    let _ = write!(out.writer(), "{len:x}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_line_by_line() {
        let mut out = Vec::new();
        write_request_line(&mut out, Method::Post, b"/api/mcp?x=1");
        write_field(&mut out, "host", b"a");
        end_head(&mut out);
        write_status_line(&mut out, StatusCode::NOT_FOUND);
        assert_eq!(out, b"POST /api/mcp?x=1 HTTP/1.1\r\nhost: a\r\n\r\nHTTP/1.1 404 Not Found\r\n");
    }

    #[test]
    fn no_value_can_begin_a_line_of_its_own() {
        let mut out = Vec::new();
        write_field(&mut out, "location", b"/a\r\nset-cookie: x\0");
        assert_eq!(out, b"location: /a  set-cookie: x \r\n");
    }

    #[test]
    fn a_chunk_has_its_size_in_hex_and_no_data_writes_nothing() {
        for (len, size) in [(1, "1"), (15, "f"), (16, "10"), (0x1234, "1234")] {
            let mut out = Vec::new();
            write_chunk(&mut out, &vec![b'x'; len]);
            assert_eq!(out, format!("{size}\r\n{}\r\n", "x".repeat(len)).as_bytes());
        }
        let mut out = Vec::new();
        write_chunk(&mut out, b"");
        assert!(out.is_empty());
    }
}
