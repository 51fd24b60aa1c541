use bytes::BytesMut;
use portcullis::wire::{BodyDecoder, Decoded, Framing};

/// The most that a chunk's extensions may take, with the CR behind them, and that trailers may.
const MAX_EXTENSION_BYTES: usize = 256;
const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// A body in chunks gives the same data, end and rest however its bytes were split; and it ends
/// exactly where a decoder that has all of it before it, and looks for CR LF, says that it ends.
pub(crate) fn chunked_body(bytes: &[u8]) {
    let read = body(&[bytes]);
    for split in super::splits(bytes) {
        assert_eq!(read, body(&split));
    }
    let whole = match read {
        (data, Ok(rest)) => Some((data, rest)),
        (_, Err(_)) => None,
    };
    assert_eq!(whole, naive(bytes), "two decoders");
}

/// The data; then the rest behind a body that ended, or how it stands.
fn body(parts: &[&[u8]]) -> (Vec<u8>, Result<Vec<u8>, &'static str>) {
    let (mut decoder, mut buffer) = (BodyDecoder::new(Framing::Chunked), BytesMut::new());
    let mut data = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Decoded::Data(part)) => data.extend_from_slice(&part),
                Ok(Decoded::NeedMore) => break,
                Ok(Decoded::Done) => {
                    let unread = parts.get(index + 1..).unwrap_or_default().concat();
                    return (data, Ok([buffer.as_ref(), &unread].concat()));
                }
                Err(_) => return (data, Err("malformed")),
            }
        }
    }
    assert!(buffer.is_empty(), "bytes were left lying");
    (data, Err("more"))
}

/// The data and the rest of a body that is whole and well-formed (RFC 9112 7.1).
fn naive(mut rest: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut data = Vec::new();
    loop {
        let line = line(&mut rest)?;
        let border = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
        let (digits, extensions) = line.split_at(border);
        let short = matches!(digits.len(), 1..=16) && extensions.len() < MAX_EXTENSION_BYTES;
        if !short || !digits.iter().all(u8::is_ascii_hexdigit) || !are_extensions(extensions) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            return trailers(rest).map(|rest| (data, rest.to_vec()));
        }
        let (chunk, after) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        data.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
    }
}

fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let at = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, after) = rest.split_at(at);
    *rest = after.get(2..)?;
    Some(line)
}

/// `*( ";" token [ "=" ( token / quoted-string without quoted pairs ) ] )`
fn are_extensions(text: &[u8]) -> bool {
    let Some(text) = text.strip_prefix(b";") else { return text.is_empty() };
    let (name, rest) = word(text);
    let rest = match rest.strip_prefix(b"=") {
        None => Some(rest),
        Some(value) => match value.strip_prefix(b"\"") {
            Some(quoted) => quoted.iter().position(|byte| *byte == b'"').and_then(|end| {
                let (inner, rest) = quoted.split_at(end);
                let fine = inner.iter().all(|b| matches!(b, b'\t' | b' '..=b'~') && *b != b'\\');
                rest.get(1..).filter(|_| fine)
            }),
            None => Some(word(value)).filter(|(value, _)| !value.is_empty()).map(|(_, rest)| rest),
        },
    };
    !name.is_empty() && rest.is_some_and(are_extensions)
}

fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let is_word = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    text.split_at(text.iter().position(|byte| !is_word(byte)).unwrap_or(text.len()))
}

fn trailers(mut rest: &[u8]) -> Option<&[u8]> {
    let mut spent = 0;
    loop {
        let line = line(&mut rest)?;
        if line.is_empty() {
            return Some(rest);
        }
        spent += line.len() + 2;
        let (name, value) = word(line);
        let value = value.strip_prefix(b":")?;
        let fine = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        if name.is_empty() || !fine || spent > MAX_TRAILER_BYTES {
            return None;
        }
    }
}
