//! The rows of `hardening.md` 4.6 that concern the body, by their numbers.

use bytes::BytesMut;

use crate::{
    types::Malformation,
    wire::{BodyDecoder, Decoded, Framing},
};

/// What a body is, and what follows it.
type Read = Result<(Vec<u8>, Vec<u8>), Malformation>;

/// Reads a body to its end; bytes that are missing are an error.
pub(super) fn read_all(framing: Framing, raw: &[u8]) -> Read {
    let mut buf = BytesMut::from(raw);
    let mut decoder = BodyDecoder::new(framing);
    let mut body = Vec::new();
    loop {
        match decoder.decode(&mut buf)? {
            Decoded::Data(data) => {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
            Decoded::NeedMore => {
                decoder.end_of_input()?;
            }
            Decoded::Done => return Ok((body, buf.to_vec())),
        }
    }
}

#[test]
fn a_chunk_with_two_readings_is_refused() {
    for (row, raw) in [
        ("72", &b"0x1\r\na\r\n0\r\n\r\n"[..]),
        ("73", b" 1\r\na\r\n0\r\n\r\n"),
        ("74", b"1 \r\na\r\n0\r\n\r\n"),
        ("74 extension", b"1 ;a\r\na\r\n0\r\n\r\n"),
        ("75", b"+1\r\na\r\n0\r\n\r\n"),
        ("75 minus", b"-1\r\na\r\n0\r\n\r\n"),
        ("76", b"00000000000000001\r\na\r\n0\r\n\r\n"),
        ("77", b"\r\na\r\n0\r\n\r\n"),
        ("77 extension", b";a\r\na\r\n0\r\n\r\n"),
        ("79", b"1;a\na\r\n0\r\n\r\n"),
        ("80", b"1;a\rb\r\na\r\n0\r\n\r\n"),
        ("80 NUL", b"1;a\0\r\na\r\n0\r\n\r\n"),
        ("80 no name", b"1;\r\na\r\n0\r\n\r\n"),
        ("80 no value", b"1;a=\r\na\r\n0\r\n\r\n"),
        ("80 quote", b"1;a=\"\r\n\"\r\na\r\n0\r\n\r\n"),
        ("81", b"1\na\r\n0\r\n\r\n"),
        ("82", b"1\r\nab\r\n0\r\n\r\n"),
        ("82 early", b"2\r\na\r\n0\r\n\r\n"),
        ("83", b"1\r\na\n0\r\n\r\n"),
        ("83 CR", b"1\r\na\r0\r\n\r\n"),
        ("84", b"0\n\r\n"),
        ("84 last", b"0\r\n\n"),
        ("85 no colon", b"0\r\nX\r\n\r\n"),
        ("85 space", b"0\r\nX : y\r\n\r\n"),
        ("85 fold", b"0\r\nX: y\r\n z\r\n\r\n"),
        ("85 no name", b"0\r\n: y\r\n\r\n"),
        ("85 LF", b"0\r\nX: y\n\r\n"),
        ("85 NUL", b"0\r\nX: \0\r\n\r\n"),
        ("cut in the size", b"1"),
        ("cut in the data", b"2\r\na"),
        ("cut in the end", b"1\r\na\r\n0\r\n"),
    ] {
        let read = read_all(Framing::Chunked, raw);
        assert_eq!(read, Err(Malformation::Chunk), "row {row}: {}", raw.escape_ascii());
    }
}

#[test]
fn after_a_fault_every_byte_is_one() {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let mut buf = BytesMut::from(&b"1\r\nab"[..]);
    assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Data("a".into())));
    assert_eq!(decoder.decode(&mut buf), Err(Malformation::Chunk));
    let mut next = BytesMut::from(&b"\r\n0\r\n\r\n"[..]);
    assert_eq!(decoder.decode(&mut next), Err(Malformation::Chunk));
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |len: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(len));
    let trailer = |len: usize| format!("0\r\nx:{}\r\n\r\n", "y".repeat(len));
    for (row, raw, fits) in [
        ("87 most", extension(254), true),
        ("87 more", extension(256), false),
        ("87", extension(65536), false),
        ("trailer most", trailer(16_000), true),
        ("trailer more", trailer(17_000), false),
        ("trailers more", format!("0\r\n{}\r\n", "x: y\r\n".repeat(3000)), false),
    ] {
        assert_eq!(read_all(Framing::Chunked, raw.as_bytes()).is_ok(), fits, "row {row}");
    }
}

#[test]
fn a_chunked_body_is_its_data_and_nothing_else() {
    for (raw, body) in [
        (&b"0\r\n\r\nnext"[..], &b""[..]),
        (b"1\r\na\r\n0\r\n\r\nnext", b"a"),
        (b"3\r\na\r\n\r\n0A\r\n0123456789\r\n000\r\n\r\nnext", b"a\r\n0123456789"),
        (b"1;a;b=c;d=\"e; \"\r\na\r\n0;x\r\n\r\nnext", b"a"),
        (b"1\r\na\r\n0\r\nContent-Length: 9\r\nX-Forwarded-For: x\r\nE:\r\n\r\nnext", b"a"),
    ] {
        let read = read_all(Framing::Chunked, raw);
        let expected = (body.to_vec(), b"next".to_vec());
        assert_eq!(read, Ok(expected), "rows 85 and 86: {}", raw.escape_ascii());
    }
}

#[test]
fn a_length_is_counted_to_the_byte() {
    let read = |framing| read_all(framing, b"abcd");
    assert_eq!(read(Framing::None), Ok((b"".to_vec(), b"abcd".to_vec())));
    assert_eq!(read(Framing::Length(0)), Ok((b"".to_vec(), b"abcd".to_vec())));
    assert_eq!(read(Framing::Length(3)), Ok((b"abc".to_vec(), b"d".to_vec())), "row 100");
    assert_eq!(read(Framing::Length(5)), Err(Malformation::Framing));
    assert_eq!(read(Framing::Length(u64::MAX)), Err(Malformation::Framing));
    assert_eq!(read(Framing::UntilClose), Ok((b"abcd".to_vec(), b"".to_vec())));
}
