//! What the reader of requests accepts, Node's HTTP server reads identically: the same requests on
//! a connection, each with the same method, target, fields and body. Where the two disagree, a
//! policy here would judge something else than what a Node upstream might be told.
//!
//! Node (20 or later) must be on the path; without it the test fails rather than passes unseen.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    thread,
};

use bytes::BytesMut;
use portcullis::{
    types::Method,
    wire::{BodyDecoder, Decoded, HeadLimits, HeadScan, RequestHead, read_request_head},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde::Deserialize;

const CASES: usize = 1500;
const LIMITS: HeadLimits = HeadLimits { target: 8 * 1024, head: 16 * 1024, fields: 64 };

#[derive(Deserialize)]
struct Told {
    requests: Vec<NodeRequest>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct NodeRequest {
    method: String,
    url: String,
    version: String,
    fields: Vec<(String, String)>,
    body: String,
    complete: bool,
}

struct OurRequest {
    head: RequestHead,
    body: Vec<u8>,
}

#[test]
fn what_is_accepted_node_reads_the_same() {
    let cases = generate();
    let told = ask_node(&cases);
    let mut accepted = 0;
    for (raw, told) in cases.iter().zip(&told) {
        let ours = read_connection(raw);
        accepted += ours.len();
        for (at, our) in ours.iter().enumerate() {
            let shown = raw.escape_ascii();
            let Some(node) = told.requests.get(at) else {
                // Refusing more than we do is safe: Node is never sent these bytes.
                let stopped = told.error.is_some() || ours[..at].iter().any(offers_upgrade(raw));
                assert!(stopped, "Node read {at} requests and ended: {shown}");
                break;
            };
            compare(our, node, &format!("{shown} (request {at})"));
            if !node.complete {
                // It refuses some trailers that are dropped here unread.
                assert!(told.error.is_some(), "Node waits for more: {shown}");
                break;
            }
        }
    }
    assert!(accepted > CASES / 4, "only {accepted} requests were accepted: nothing was compared");
}

/// After an offer to upgrade Node reads no second request, whether it upgrades or not.
fn offers_upgrade(raw: &[u8]) -> impl Fn(&OurRequest) -> bool {
    let offered = raw.to_ascii_lowercase().windows(8).any(|part| part == b"upgrade:");
    move |_| offered
}

fn compare(our: &OurRequest, node: &NodeRequest, shown: &str) {
    let head = &our.head;
    assert_eq!(head.method.as_str(), node.method, "{shown}");
    let version = if node.version == "1.1" { "Http11" } else { "Http10" };
    assert_eq!(format!("{:?}", head.version), version, "{shown}");

    let url = String::from_utf8(hex::decode(&node.url).unwrap()).unwrap();
    let same = match url.split_once("://") {
        Some((_, rest)) if !url.starts_with('/') => match rest.find('/') {
            Some(at) => &rest[at..] == head.target(),
            None => head.target() == "/",
        },
        _ => url == head.target(),
    };
    assert!(same, "{url} is not {}: {shown}", head.target());

    let node_fields: Vec<(String, Vec<u8>)> = node
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), hex::decode(value).unwrap()))
        .collect();
    let hosts: Vec<_> = node_fields.iter().filter(|(name, _)| name == "host").collect();
    assert_eq!(hosts.len(), 1, "{shown}");
    assert_eq!(head.host.to_string().as_bytes(), hosts[0].1.to_ascii_lowercase(), "{shown}");

    let dropped = dropped_names(&node_fields);
    let kept = node_fields
        .iter()
        .filter(|(name, _)| !dropped.contains(name.as_str()) && !name.starts_with("proxy-"));
    let kept: Vec<_> = kept.map(|(name, value)| (name.as_bytes(), &value[..])).collect();
    assert_eq!(head.fields.iter().collect::<Vec<_>>(), kept, "{shown}");
    if node.complete {
        assert_eq!(hex::encode(&our.body), node.body, "{shown}");
    }
}

/// RFC 9110 7.6.1, and the fields that are about the message itself.
fn dropped_names(fields: &[(String, Vec<u8>)]) -> HashSet<String> {
    let fixed = [
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "expect",
        "transfer-encoding",
        "content-length",
    ];
    let named = fields.iter().filter(|(name, _)| name == "connection").flat_map(|(_, value)| {
        let value = String::from_utf8(value.to_ascii_lowercase()).unwrap();
        value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
    });
    fixed.iter().map(|name| (*name).to_owned()).chain(named).collect()
}

/// The requests that the gateway would take from a connection that carries these bytes.
fn read_connection(raw: &[u8]) -> Vec<OurRequest> {
    let mut buf = BytesMut::from(raw);
    let mut found = Vec::new();
    while let Ok(Some(head)) = read_request_head(&mut HeadScan::default(), &mut buf, LIMITS) {
        let mut decoder = BodyDecoder::new(head.framing);
        let mut body = Vec::new();
        let whole = loop {
            match decoder.decode(&mut buf) {
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::Done) => break true,
                Ok(Decoded::NeedMore) | Err(_) => break false,
            }
        };
        // A method of no name is refused whatever else it says.
        if !whole || head.method == Method::Other {
            break;
        }
        let persistent = head.persistent;
        found.push(OurRequest { head, body });
        if !persistent {
            break;
        }
    }
    found
}

fn ask_node(cases: &[Vec<u8>]) -> Vec<Told> {
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/oracle.js");
    let spawned =
        Command::new("node").arg(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut node = spawned.expect("this test needs Node.js (`node`) on the path");
    let mut input = node.stdin.take().unwrap();
    let mut framed = Vec::new();
    for raw in cases {
        framed.extend_from_slice(&u32::try_from(raw.len()).unwrap().to_be_bytes());
        framed.extend_from_slice(raw);
    }
    let feeder = thread::spawn(move || input.write_all(&framed).unwrap());
    let output = BufReader::new(node.stdout.take().unwrap());
    let told = output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    let told: Vec<Told> = told.collect();
    feeder.join().unwrap();
    assert!(node.wait().unwrap().success());
    assert_eq!(told.len(), cases.len());
    told
}

/// Connections that carry one or two requests, most of them changed in a few places.
fn generate() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let case = (request(), prop_oneof![Just(Vec::new()), request()], changes());
    let case = case.prop_map(|(first, second, changes)| change([first, second].concat(), changes));
    (0..CASES).map(|_| case.new_tree(&mut runner).unwrap().current()).collect()
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(&["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"][..]);
    let target = prop_oneof![
        "/[a-z/.%0-9?&=;:@~-]{0,12}",
        Just("/api/mcp/key/sse".to_owned()),
        Just("http://a.b/x?y".to_owned()),
        Just("*".to_owned()),
    ];
    let version = select(&["1.1", "1.1", "1.1", "1.0"][..]);
    let fields = vec(prop_oneof![field(), "[A-Za-z_-]{1,8}:[ \t]{0,2}[ -~\t]{0,12}"], 0..5);
    (method, target, version, fields, body()).prop_map(|(method, target, version, fields, body)| {
        let mut raw = format!("{method} {target} HTTP/{version}\r\nHost: a.b\r\n").into_bytes();
        for line in fields {
            raw.extend_from_slice(line.as_bytes());
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend(body);
        raw
    })
}

fn field() -> impl Strategy<Value = String> {
    let lines = &[
        "Connection: keep-alive",
        "Connection: close",
        "Connection: x-a, keep-alive",
        "Connection: Upgrade",
        "Upgrade: foo",
        "X-A: 1",
        "x-a:\t2 ",
        "Expect: 100-continue",
        "TE: trailers",
        "Content-Type: application/json",
        "Authorization: Bearer k",
        "Accept: application/json, text/event-stream",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Content-Length: 3",
        "Host: other",
    ][..];
    select(lines).prop_map(str::to_owned)
}

/// What ends the head and follows it.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let data = vec(any::<u8>(), 0..20);
    let chunk = (vec(any::<u8>(), 1..12), select(&["", ";a", ";a=b", ";a=\"b c\""][..]));
    let trailer = select(&["", "X-T: 1\r\n", "Content-Length: 7\r\n"][..]);
    prop_oneof![
        Just(b"\r\n".to_vec()),
        data.prop_map(|data| {
            [format!("Content-Length: {}\r\n\r\n", data.len()).as_bytes(), &data].concat()
        }),
        (vec(chunk, 0..4), trailer).prop_map(|(chunks, trailer)| {
            let mut raw = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
            for (data, extension) in chunks {
                raw.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
                raw.extend_from_slice(&data);
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
            raw
        }),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let byte = || select(&b"\r\n \t:;,\0\x7f\x80\xff_-aA019+x/#?\x0b\"*."[..]);
    let change = prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        any::<Index>().prop_map(Change::Remove),
    ];
    vec(change, 0..3)
}

fn change(mut raw: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        let len = raw.len();
        match change {
            Change::Set(at, byte) => raw[at.index(len)] = byte,
            Change::Insert(at, byte) => raw.insert(at.index(len), byte),
            Change::Remove(at) => {
                raw.remove(at.index(len));
            }
        }
    }
    raw
}
