//! What holds for any bytes from outside, one file per reader: each compares the reader with a
//! second, naive one, or with what must hold whatever was read. The fuzz targets and
//! `tests/corpora.rs` call the same functions, so that what a fuzzer once found stays found.
#![allow(dead_code, reason = "a fuzz target calls one function of these")]

mod arguments;
mod chunked_body;
mod config;
mod credential;
mod event_stream;
mod h1_head;
mod json_rpc;
mod marks;
mod path;
mod proxy_header;
mod redactor;
mod sieve;

pub(crate) use self::{
    arguments::arguments, chunked_body::chunked_body, config::config, credential::credential,
    event_stream::event_stream, h1_head::h1_head, json_rpc::json_rpc, marks::marks, path::path,
    proxy_header::proxy_header, redactor::redactor, sieve::sieve,
};

/// What a target does with any bytes: it panics where something doesn't hold.
pub(crate) type Target = fn(&[u8]);

/// Every target and its function.
pub(crate) const ALL: [(&str, Target); 12] = [
    ("h1_head", h1_head),
    ("chunked_body", chunked_body),
    ("path", path),
    ("credential", credential),
    ("event_stream", event_stream),
    ("redactor", redactor),
    ("config", config),
    ("json_rpc", json_rpc),
    ("sieve", sieve),
    ("proxy_header", proxy_header),
    ("arguments", arguments),
    ("marks", marks),
];

/// Ways in which the bytes may arrive: one by one, and in uneven pieces.
fn splits(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    [1, 3, 17].map(|size| bytes.chunks(size).collect())
}

/// The parts of a text between two-byte line ends, the last one included.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = rest.split_at(at);
        lines.push(line);
        rest = after.get(2..).unwrap_or_default();
    }
    lines.push(rest);
    lines
}
