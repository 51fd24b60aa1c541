//! What holds for any bytes from outside, one function per reader. The fuzz targets and
//! `tests/corpora.rs` call the same functions, so that what a fuzzer once found stays found.
#![allow(dead_code, reason = "a fuzz target calls one function of these")]

use std::{collections::BTreeMap, path::Path as FilePath, time::SystemTime};

use bytes::BytesMut;
use portcullis::{
    config::{self, Surroundings},
    mcp::{self, EventScan, FirstEvent, Replaced, Step},
    observe::{Syntax, redact},
    types::{Method, Path, Template, write_key_segment},
    wire::{
        BodyDecoder, Decoded, Framing, HeadLimits, HeadScan, read_request_head, read_response_head,
    },
};
use serde_json::value::RawValue;

/// What a target does with any bytes: it panics where something doesn't hold.
pub(crate) type Target = fn(&[u8]);

/// Every target and its function.
pub(crate) const ALL: [(&str, Target); 7] = [
    ("h1_head", h1_head),
    ("chunked_body", chunked_body),
    ("path", path),
    ("event_stream", event_stream),
    ("redactor", redactor),
    ("config", config),
    ("json_rpc", json_rpc),
];

const LIMITS: HeadLimits = HeadLimits { target: 8192, head: 16384, fields: 64 };

/// The verdict on a head doesn't depend on how its bytes were split, and what is left behind it is
/// the same. Requests and responses.
pub(crate) fn h1_head(bytes: &[u8]) {
    assert_eq!(request(&[bytes]), request(&singly(bytes)), "requests");
    assert_eq!(response(&[bytes]), response(&singly(bytes)), "responses");
}

fn request(parts: &[&[u8]]) -> String {
    let (mut scan, mut buffer) = (HeadScan::default(), BytesMut::new());
    for (index, part) in parts.iter().enumerate() {
        buffer.extend_from_slice(part);
        match read_request_head(&mut scan, &mut buffer, LIMITS) {
            Ok(None) => {}
            Ok(Some(head)) => {
                let fields: Vec<_> = head.fields.iter().collect();
                let rest = rest(&buffer, parts, index);
                let read = (head.target(), head.host.to_string(), head.framing, head.persistent);
                return format!("{read:?} {:?} {fields:?} {rest:?}", head.method);
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
                let fields: Vec<_> = head.fields.iter().collect();
                let rest = rest(&buffer, parts, index);
                let read = (head.status, head.framing, head.persistent);
                return format!("{read:?} {fields:?} {rest:?}");
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

/// A body in chunks gives the same data, end and rest however its bytes were split.
pub(crate) fn chunked_body(bytes: &[u8]) {
    assert_eq!(body(&[bytes]), body(&singly(bytes)));
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
                Ok(Decoded::Done) => return (data, Ok(rest(&buffer, parts, index))),
                Err(_) => return (data, Err("malformed")),
            }
        }
    }
    assert!(buffer.is_empty(), "bytes were left lying");
    (data, Err("more"))
}

/// A path that is read has one reading: what is written of it is read as the same again, and its
/// key survives the way upstream.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(target) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = Path::read(target) else { return };
    for segment in read.segments() {
        let raw = segment.raw();
        assert!(!matches!(raw, "" | "." | "..") && !raw.contains(['/', '\\', ';', '\0']), "{raw}");
        let key = segment.decoded();
        let mut written = b"/mcp/".to_vec();
        write_key_segment(&mut written, &key);
        let Ok(written) = String::from_utf8(written) else { panic!("{key:?} left ASCII") };
        let Ok(again) = Path::read(&written) else { panic!("{written} isn't read") };
        let Some(template) = Template::parse("/mcp/{key}") else { panic!("the template") };
        let found = template.matches(&again).and_then(|matched| matched.key);
        assert_eq!(found.map(|segment| segment.decoded()), Some(key));
    }
}

/// Events are counted alike however the bytes were split; the first event is held and nothing
/// behind it, and writing an endpoint anew makes one event of it.
pub(crate) fn event_stream(bytes: &[u8]) {
    let (mut whole, mut split) = (EventScan::default(), EventScan::default());
    whole.feed(bytes);
    singly(bytes).iter().for_each(|byte| split.feed(byte));
    assert_eq!(whole, split);
    let mut first = FirstEvent::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (step, used) = first.feed(rest);
        rest = rest.get(used..).unwrap_or_default();
        let Step::First(event) = step else { continue };
        let mut scan = EventScan::default();
        scan.feed(&event);
        // An event that names itself another on its first line isn't held to its end.
        assert!(scan.events() <= 1, "{event:?}");
        if let Replaced::With(event) = mcp::replace_data(&event, |_| Some("/mcp".to_owned())) {
            let mut scan = EventScan::default();
            scan.feed(&event);
            assert!(scan.events() == 1 && scan.between_events(), "{event:?}");
        }
        return;
    }
}

/// Masking is bounded, leaves nothing for a second pass, and keeps UTF-8 and JSON what they are.
pub(crate) fn redactor(bytes: &[u8]) {
    let json = serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
    for syntax in [Syntax::Text, Syntax::Json] {
        let once = redact(bytes, syntax, |_| false).line;
        assert!(once.len() <= 3 * bytes.len(), "{} bytes of {}", once.len(), bytes.len());
        if std::str::from_utf8(bytes).is_ok() {
            assert!(std::str::from_utf8(&once).is_ok(), "torn characters");
        }
        if json && syntax == Syntax::Json {
            let kept = serde_json::from_slice::<serde_json::Value>(&once).is_ok();
            assert!(kept, "no JSON any more");
        }
        let twice = redact(&once, syntax, |_| false);
        assert_eq!((&twice.line, twice.masked), (&once, 0), "a second pass found more");
    }
}

/// Any text has a snapshot or at least one problem, and every problem can be shown.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let around = Surroundings {
        base_dir: FilePath::new("/nowhere"),
        environment: &|_| None,
        now: SystemTime::UNIX_EPOCH,
    };
    let loaded = config::compile_text(text, around);
    assert!(loaded.snapshot.is_some() || !loaded.problems.is_empty(), "refused without a word");
    let shown = config::render(&loaded.problems, &loaded.source, "a.toml", false);
    assert_eq!(shown.is_empty(), loaded.problems.is_empty());
}

/// What is taken for JSON-RPC is JSON, and an id that is echoed stays one JSON scalar. Compared
/// with the grammar alone: a number out of range and half a surrogate pair are JSON (RFC 8259).
pub(crate) fn json_rpc(bytes: &[u8]) {
    let Ok(body) = mcp::read(bytes) else { return };
    assert!(serde_json::from_slice::<&RawValue>(bytes).is_ok(), "taken, but no JSON");
    assert!((1..=64).contains(&body.messages().len()));
    for message in body.messages() {
        let answer = mcp::error_response(&message.id, 4290, "text", "{}");
        let Ok(answer) = serde_json::from_str::<BTreeMap<&str, &RawValue>>(&answer) else {
            panic!("{} breaks the answer", message.id.as_json());
        };
        let id = answer.get("id").map_or("", |id| id.get());
        assert!(id == "null" || !id.starts_with(['{', '[', 't', 'f', 'n']), "{id}");
        assert_eq!(answer.len(), 3, "an id that adds members");
    }
}

fn singly(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(1).collect()
}
