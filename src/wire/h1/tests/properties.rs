use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, sample::select};

use super::{LIMITS, bodies::read_all, read};
use crate::{
    types::{Denial, Malformation, Method},
    wire::{
        BodyDecoder, Decoded, Framing, HeadScan, RequestHead, ResponseFault, end_head,
        read_request_head, read_response_head, write_field, write_request_line,
    },
};

/// Parts of heads, good and bad: what is put together from them gets deep into the reader.
const LINES: &[&str] = &[
    "\r\n",
    "\n",
    "Host: a\r\n",
    "Host: A.b:8080\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close, x-a\r\n",
    "X-A: b\r\n",
    "x-a:\t\r\n",
    "Accept: */*, text/event-stream\r\n",
    "Expect: 100-continue\r\n",
    "A_B: \u{e9}\r\n",
    " folded\r\n",
];

const FIRST_LINES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /api/mcp/key?x=%20 HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.0\r\n",
    "GET http://a/b HTTP/1.1\r\n",
    "GET /\r\n",
    "\r\nDELETE /p HTTP/1.1\r\n",
];

/// A head that may be good, with bytes changed here and there, and the places to split it at.
fn head_and_splits() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let lines = vec(select(LINES), 0..8);
    let changes =
        vec((any::<prop::sample::Index>(), select(&b"\r\n \t:\0\x7f\xffa_,/;"[..])), 0..3);
    (select(FIRST_LINES), lines, changes, any::<bool>()).prop_flat_map(
        |(first, lines, changes, whole)| {
            let mut raw = [first, "Host: a\r\n", &lines.concat(), "\r\nrest"].concat().into_bytes();
            if !whole {
                for (at, byte) in changes {
                    let at = at.index(raw.len());
                    raw[at] = byte;
                }
            }
            let len = raw.len();
            (Just(raw), vec(0..=len, 0..8))
        },
    )
}

fn pieces<'r>(raw: &'r [u8], splits: &[usize]) -> Vec<&'r [u8]> {
    let mut places: Vec<_> = splits.iter().map(|at| *at.min(&raw.len())).collect();
    places.extend([0, raw.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &raw[pair[0]..pair[1]]).collect()
}

/// Everything that a head says, and what was left behind it.
type Outcome = Result<Option<(String, Vec<u8>)>, Denial>;

fn tell(head: &RequestHead) -> String {
    let fields: Vec<_> = head.fields.iter().collect();
    format!("{head:?} {} {fields:?}", head.target())
}

fn read_split<'r>(pieces: impl IntoIterator<Item = &'r [u8]>) -> Outcome {
    let mut scan = HeadScan::default();
    let mut buf = BytesMut::new();
    let mut found = None;
    for piece in pieces {
        buf.extend_from_slice(piece);
        if found.is_none() {
            found = read_request_head(&mut scan, &mut buf, LIMITS)?.map(|head| tell(&head));
        }
    }
    Ok(found.map(|found| (found, buf.to_vec())))
}

fn read_response_split<'r>(
    pieces: impl IntoIterator<Item = &'r [u8]>,
) -> Result<Option<String>, ResponseFault> {
    let mut scan = HeadScan::default();
    let mut buf = BytesMut::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        if let Some(head) = read_response_head(&mut scan, &mut buf, LIMITS, Method::Get)? {
            return Ok(Some(format!("{head:?} {:?}", head.fields.iter().collect::<Vec<_>>())));
        }
    }
    Ok(None)
}

/// The data of a chunked body up to its end or the first fault, however its bytes come.
fn decode_split<'r>(
    pieces: impl IntoIterator<Item = &'r [u8]>,
) -> (Vec<u8>, Result<bool, Malformation>) {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let mut buf = BytesMut::new();
    let mut body = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buf) {
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::NeedMore) => break,
                Ok(Decoded::Done) => return (body, Ok(true)),
                Err(what) => return (body, Err(what)),
            }
        }
    }
    (body, Ok(false))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_head_is_read_alike_however_its_bytes_come((raw, splits) in head_and_splits()) {
        let whole = read_split([&raw[..]]);
        prop_assert_eq!(&read_split(pieces(&raw, &splits)), &whole);
        prop_assert_eq!(&read_split(raw.chunks(1)), &whole);
    }

    #[test]
    fn a_response_head_is_read_alike_however_its_bytes_come((raw, splits) in head_and_splits()) {
        let first = raw.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let raw = [b"HTTP/1.1 200 OK\r\n", &raw[first..]].concat();
        let whole = read_response_split([&raw[..]]);
        prop_assert_eq!(&read_response_split(pieces(&raw, &splits)), &whole);
        prop_assert_eq!(&read_response_split(raw.chunks(1)), &whole);
    }

    #[test]
    fn a_head_written_anew_is_read_alike((raw, _) in head_and_splits()) {
        let Ok(Some(head)) = read(&raw) else { return Ok(()) };
        if head.method == Method::Other {
            return Ok(());
        }
        let mut anew = Vec::new();
        write_request_line(&mut anew, head.method, head.target().as_bytes());
        write_field(&mut anew, "host", head.host.to_string().as_bytes());
        for (name, value) in head.fields.iter() {
            write_field(&mut anew, name, value);
        }
        end_head(&mut anew);
        let again = read(&anew).unwrap().unwrap();
        prop_assert_eq!((head.method, head.target(), &head.host), (again.method, again.target(), &again.host));
        prop_assert!(head.fields.iter().eq(again.fields.iter()));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(raw in vec(any::<u8>(), 0..200)) {
        let _ = read(&raw);
        let _ = read(&[b"GET / HTTP/1.1\r\nHost: a\r\n", &raw[..], b"\r\n\r\n"].concat());
        let _ = read_response_split([&raw[..]]);
        let _ = read_all(Framing::Chunked, &raw);
    }

    #[test]
    fn a_chunked_body_is_read_alike_however_its_bytes_come(
        chunks in vec(vec(any::<u8>(), 1..40), 0..5),
        change in proptest::option::of((any::<prop::sample::Index>(), select(&b"\r\n 0;a"[..]))),
        splits in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut raw = Vec::new();
        for chunk in &chunks {
            crate::wire::write_chunk(&mut raw, chunk);
        }
        raw.extend_from_slice(b"0\r\nx: y\r\n\r\n");
        if let Some((at, byte)) = change {
            let at = at.index(raw.len());
            raw[at] = byte;
        }
        let places: Vec<_> = splits.iter().map(|at| at.index(raw.len())).collect();
        let whole = decode_split([&raw[..]]);
        prop_assert_eq!(&decode_split(pieces(&raw, &places)), &whole);
        prop_assert_eq!(&decode_split(raw.chunks(1)), &whole);
        if change.is_none() {
            prop_assert_eq!(whole, (chunks.concat(), Ok(true)));
        }
    }
}
