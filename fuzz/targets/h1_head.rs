use bytes::BytesMut;
use portcullis::{
    types::Method,
    wire::{Fields, Framing, HeadLimits, HeadScan, read_request_head, read_response_head},
};

const LIMITS: HeadLimits = HeadLimits { target: 8192, head: 16384, fields: 64 };

/// The end-to-end fields of a head, and the body that follows.
type Read = (Vec<(Vec<u8>, Vec<u8>)>, Framing);

/// The verdict on a head doesn't depend on how its bytes were split, what is left behind it is the
/// same, and a reader that only knows CR LF and colons sees the same host, fields and framing.
pub(crate) fn h1_head(bytes: &[u8]) {
    for split in super::splits(bytes) {
        assert_eq!(request(&[bytes]), request(&split), "requests");
        assert_eq!(response(&[bytes]), response(&split), "responses");
    }
}

fn request(parts: &[&[u8]]) -> String {
    let (mut scan, mut buffer) = (HeadScan::default(), BytesMut::new());
    for (index, part) in parts.iter().enumerate() {
        buffer.extend_from_slice(part);
        match read_request_head(&mut scan, &mut buffer, LIMITS) {
            Ok(None) => {}
            Ok(Some(head)) => {
                let rest = rest(&buffer, parts, index);
                let read = (owned(&head.fields), head.framing);
                let naive = naive(&before(parts, &rest), Framing::None);
                assert_eq!((Some(head.host.to_string()), read.clone()), naive, "two readings");
                let line = (head.method, head.target(), head.persistent, head.expect_continue);
                return format!("{line:?} {read:?} {rest:?}");
            }
            Err(denial) => return format!("{denial:?}"),
        }
    }
    "more".to_owned()
}

fn response(parts: &[&[u8]]) -> String {
    let (mut scan, mut buffer) = (HeadScan::default(), BytesMut::new());
    for (index, part) in parts.iter().enumerate() {
        buffer.extend_from_slice(part);
        match read_response_head(&mut scan, &mut buffer, LIMITS, Method::Get) {
            Ok(None) => {}
            Ok(Some(head)) => {
                let rest = rest(&buffer, parts, index);
                let read = (owned(&head.fields), head.framing);
                let bodiless = matches!(head.status.as_u16(), 100..200 | 204 | 304);
                let without = if bodiless { Framing::None } else { Framing::UntilClose };
                let (_, naive) = naive(&before(parts, &rest), without);
                assert_eq!(read.0, naive.0, "two readings");
                assert!(bodiless || read.1 == naive.1, "{:?} and {:?}", read.1, naive.1);
                return format!("{} {read:?} {} {rest:?}", head.status, head.persistent);
            }
            Err(fault) => return format!("{fault:?}"),
        }
    }
    "more".to_owned()
}

fn rest(buffer: &BytesMut, parts: &[&[u8]], index: usize) -> Vec<u8> {
    let unread = parts.get(index + 1..).unwrap_or_default().concat();
    [buffer.as_ref(), &unread].concat()
}

fn before(parts: &[&[u8]], rest: &[u8]) -> Vec<u8> {
    let mut head = parts.concat();
    head.truncate(head.len() - rest.len());
    head
}

fn owned(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// The host, and what a naive reader takes the head for. It panics where a stranger's reader could
/// see another line, name or length.
fn naive(head: &[u8], without: Framing) -> (Option<String>, Read) {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let Some(head) = head.strip_suffix(b"\r\n\r\n") else { panic!("a head without its end") };
    let lines = super::lines(head);
    let stray = |line: &&[u8]| line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    assert!(!lines.iter().any(stray), "a line end within a line");
    assert!(!lines.iter().any(|line| line.is_empty()), "an end before the end");
    let fields: Vec<_> = lines.iter().skip(1).map(|line| field(line)).collect();
    let framing =
        match (&*values(&fields, b"transfer-encoding"), &*values(&fields, b"content-length")) {
            ([], []) => without,
            ([], [length]) => Framing::Length(digits(length)),
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
            two => panic!("two framings: {two:?}"),
        };
    let hosts = values(&fields, b"host");
    let host = hosts.first().map(|host| host.to_ascii_lowercase());
    let host = host.and_then(|host| String::from_utf8(host).ok());
    let named: Vec<u8> = values(&fields, b"connection").join(&b',').to_ascii_lowercase();
    let named: Vec<&[u8]> = named.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    let passed = |(name, _): &(Vec<u8>, Vec<u8>)| !ends_here(name) && !named.contains(&&**name);
    (host, (fields.into_iter().filter(passed).collect(), framing))
}

fn field(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { panic!("no colon") };
    let (name, value) = line.split_at(colon);
    let word = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    assert!(!name.is_empty() && name.iter().all(word), "a name that is no token");
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = value.get(1..).unwrap_or_default();
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    (name.to_ascii_lowercase(), value.get(start..end).unwrap_or_default().to_vec())
}

fn values(fields: &[(Vec<u8>, Vec<u8>)], wanted: &[u8]) -> Vec<Vec<u8>> {
    fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()).collect()
}

fn digits(length: &[u8]) -> u64 {
    assert!(length.iter().all(u8::is_ascii_digit), "a length that isn't digits: {length:?}");
    let Some(length) = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()) else {
        panic!("a length that nobody can count: {length:?}");
    };
    length
}

/// RFC 9110 7.6.1, and what is said anew to the next hop.
fn ends_here(name: &[u8]) -> bool {
    let here: [&[u8]; 10] = [
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"expect",
        b"keep-alive",
        b"te",
        b"trailer",
        b"upgrade",
        b"http2-settings",
    ];
    here.contains(&name) || name.starts_with(b"proxy-")
}
