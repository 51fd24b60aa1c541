//! HTTP/2 towards clients, frame by frame: what is no request, or could be read as two, reaches
//! nobody; what costs the gateway more than the client ends; and what is a call or a stream passes as
//! it does in HTTP/1.1.

mod exchanges;
mod floods;
pub(crate) mod frames;
mod friendly;
mod limits;
mod rows;
mod streams;
mod vectors;
mod web;

use frames::{Field, block, data, head};

use crate::harness::{Gateway, Key, Setup, Upstream};

/// RFC 9113 7.
const NO_ERROR: u32 = 0x0;
const PROTOCOL_ERROR: u32 = 0x1;
const REFUSED_STREAM: u32 = 0x7;
const CANCEL: u32 = 0x8;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// A gateway with a TLS listener, and a key that it forwards.
async fn boot(lines: &str) -> (Upstream, Gateway, Key) {
    let upstream = Upstream::start().await;
    let limits = "[limits]\nunproven_per_address = \"10000/s\"\n";
    let gateway = Setup::new(&upstream).tls().also(&format!("{limits}{lines}")).start();
    (upstream, gateway, Key::new())
}

/// The frames of a request with a body, or without one.
fn request(stream: u32, fields: &[Field], body: Option<&str>, key: &Key) -> Vec<u8> {
    let mut bytes = head(stream, body.is_none(), &block(&rows::with_key(fields, key.text())));
    if let Some(body) = body {
        bytes.extend(data(stream, true, body.as_bytes()));
    }
    bytes
}

/// The frames of a call.
pub(crate) fn call(stream: u32, key: &Key) -> Vec<u8> {
    request(stream, &rows::post(&[]), Some(rows::PING), key)
}

/// The frames of a request for a stream.
fn listen(stream: u32, key: &Key) -> Vec<u8> {
    request(stream, &rows::get(&[("accept", "text/event-stream")]), None, key)
}
