//! What the reader of requests accepts, Node's HTTP server reads identically: the same requests on
//! a connection, each with the same method, target, fields and body. Where the two disagree, a
//! policy here would judge something else than what a Node upstream might be told.
//!
//! `make test` compares a few cases, `make differential` a hundred thousand; a case is its seed.
//!
//! Node (20 or later) must be on the path; without it the test fails rather than passes unseen.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "differential/cases.rs"]
mod cases;

use std::{
    collections::{BTreeMap, HashSet},
    env,
    io::{BufRead, BufReader, Write},
    ops::Range,
    process::{Command, Stdio},
    thread,
};

use bytes::BytesMut;
use portcullis::{
    types::{Denial, Method},
    wire::{BodyDecoder, Decoded, HeadLimits, HeadScan, RequestHead, read_request_head},
};
use serde::Deserialize;

use crate::cases::Case;

const FEW: u64 = 1500;
const LIMITS: HeadLimits = HeadLimits { target: 8 * 1024, head: 16 * 1024, fields: 64 };

/// How many cases Node is given at once.
const BATCH: u64 = 5000;

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

impl OurRequest {
    fn is_old(&self) -> bool {
        format!("{:?}", self.head.version) == "Http10"
    }
}

/// Why the reader read no further.
#[derive(Debug)]
enum End {
    Refused(Denial),
    /// A method of no name.
    Method,
    /// The bytes ended inside a request, or where the next would begin.
    Bytes,
    /// The client wanted no more than that.
    Closing,
}

/// What Node may refuse of what is taken here: its error, what the connection has to hold, in lower
/// case, and the reason. Refusing more than we do is safe: nothing is read in two ways.
const REFUSED_BY_NODE: [(&str, &str, &str); 6] = [
    (
        "HPE_INVALID_CONTENT_LENGTH",
        "chunked",
        "a trailer about the body: here trailers are dropped",
    ),
    (
        "HPE_INVALID_CONTENT_LENGTH",
        "\t\r\n",
        "a TAB behind the number, which is white space as SP is",
    ),
    ("HPE_INVALID_TRANSFER_ENCODING", "chunked", "a trailer about the body, dropped here"),
    ("ECONNRESET", "upgrade:", "a trailer about the body, behind an offer to upgrade"),
    ("HPE_CLOSED_CONNECTION", "proxy-connection", "no field of HTTP/1.1: here it never goes on"),
    ("nothing", "upgrade:", SKIPPED),
];

/// A request that goes upstream never has another behind it before it is answered.
const SKIPPED: &str = "Node skips what stands behind an offer to upgrade";

#[test]
fn what_is_accepted_node_reads_the_same() {
    let (accepted, _) = compare_all(0..FEW);
    assert!(accepted > FEW / 4, "only {accepted} requests were accepted: nothing was compared");
}

#[test]
#[ignore = "takes minutes: `make differential`"]
#[expect(clippy::print_stdout, reason = "what was found is what it is run for")]
#[expect(clippy::disallowed_methods, reason = "the Makefile tells it so what to send")]
fn what_is_accepted_node_reads_the_same_in_many_more_cases() {
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("DIFFERENTIAL_SEED", FEW), number("DIFFERENTIAL_CASES", 100_000));
    let (accepted, found) = compare_all(first..first + count);
    println!("{count} connections from seed {first}; {accepted} requests read alike");
    for (what, count) in found {
        println!("{count:>8}  {what}");
    }
}

/// How many requests were read alike, and how often what else was found.
fn compare_all(seeds: Range<u64>) -> (u64, BTreeMap<String, u64>) {
    let (mut accepted, mut found, mut unexplained) = (0, BTreeMap::new(), Vec::new());
    let mut begin = seeds.start;
    while begin < seeds.end {
        let end = seeds.end.min(begin + BATCH);
        let cases: Vec<Case> = (begin..end).map(cases::case).collect();
        for (case, told) in cases.iter().zip(&ask_node(&cases)) {
            match judge(case, told) {
                Ok((alike, what)) => {
                    accepted += alike;
                    *found.entry(what).or_insert(0) += 1;
                }
                Err(what) => unexplained.push(format!("{what}\n    {}", case.shown())),
            }
        }
        begin = end;
    }
    let few = unexplained.len().min(20);
    assert!(
        unexplained.is_empty(),
        "{} disagreements, of them:\n{}",
        unexplained.len(),
        unexplained[..few].join("\n")
    );
    (accepted, found)
}

/// How many requests of a connection were read alike, and what became of the one behind them. An
/// error is what no rule explains.
fn judge(case: &Case, told: &Told) -> Result<(u64, String), String> {
    let (ours, end) = read_connection(case);
    let mut alike = 0;
    for (at, our) in ours.iter().enumerate() {
        let Some(node) = told.requests.get(at) else {
            return refused_by_node(case, told).map(|what| (alike, what));
        };
        if let Err(what) = compare(our, node) {
            // It may skip a part of what is written, and read on in the middle of a request.
            let skipped = at > 0 && case.holds("upgrade:");
            let what = format!("request {at}: {what}");
            return if skipped { Ok((alike, SKIPPED.to_owned())) } else { Err(what) };
        }
        if !node.complete {
            return refused_by_node(case, told).map(|what| (alike, what));
        }
        alike += 1;
    }
    let stricter = told.requests.len() > ours.len();
    Ok((
        alike,
        match end {
            End::Refused(denial) if stricter => format!("refused here alone: {denial:?}"),
            End::Method if stricter => "refused here alone: a method of no name".to_owned(),
            End::Closing if stricter && ours.last().is_some_and(OurRequest::is_old) => {
                "closed here alone, behind a request of HTTP/1.0".to_owned()
            }
            // A request that isn't whole is judged by nobody.
            End::Bytes if stricter && !told.requests[ours.len()].complete => "not whole".to_owned(),
            End::Bytes | End::Closing if stricter => {
                let NodeRequest { method, url, .. } = &told.requests[ours.len()];
                return Err(format!("Node reads one more, {method} {url}"));
            }
            End::Refused(_) | End::Method => "refused by both".to_owned(),
            End::Bytes | End::Closing => "read alike to the end".to_owned(),
        },
    ))
}

fn refused_by_node(case: &Case, told: &Told) -> Result<String, String> {
    let error = told.error.as_deref().unwrap_or("nothing");
    let why = REFUSED_BY_NODE.iter().find(|(name, text, _)| *name == error && case.holds(text));
    let (error, _, why) = why.ok_or_else(|| format!("refused by Node alone: {error}"))?;
    Ok(format!("refused by Node alone, {error}: {why}"))
}

fn compare(our: &OurRequest, node: &NodeRequest) -> Result<(), String> {
    let head = &our.head;
    let same = |what: &str, same: bool| if same { Ok(()) } else { Err(what.to_owned()) };
    same("another method", head.method.as_str() == node.method)?;
    same("another version", our.is_old() == (node.version == "1.0"))?;

    let url = String::from_utf8(hex::decode(&node.url).unwrap()).unwrap();
    let target = match url.split_once("://") {
        Some((_, rest)) if !url.starts_with('/') => match rest.find('/') {
            Some(at) => &rest[at..],
            None => "/",
        },
        _ => &url,
    };
    same("another target", target == head.target())?;

    let node_fields: Vec<(String, Vec<u8>)> = node
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), hex::decode(value).unwrap()))
        .collect();
    let hosts: Vec<_> = node_fields.iter().filter(|(name, _)| name == "host").collect();
    same("not one host", hosts.len() == 1)?;
    let host = hosts[0].1.to_ascii_lowercase();
    same("another host", head.host.to_string().as_bytes() == host)?;

    let dropped = dropped_names(&node_fields);
    let kept = node_fields
        .iter()
        .filter(|(name, _)| !dropped.contains(name.as_str()) && !name.starts_with("proxy-"));
    let kept: Vec<_> = kept.map(|(name, value)| (name.as_bytes(), &value[..])).collect();
    same("other fields", head.fields.iter().collect::<Vec<_>>() == kept)?;
    same("another body", !node.complete || hex::encode(&our.body) == node.body)
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
fn read_connection(case: &Case) -> (Vec<OurRequest>, End) {
    let (mut parts, mut buf) = (case.parts.iter(), BytesMut::new());
    let mut more = |buf: &mut BytesMut| parts.next().map(|part| buf.extend_from_slice(part));
    let mut found = Vec::new();
    loop {
        let mut scan = HeadScan::default();
        let head = loop {
            match read_request_head(&mut scan, &mut buf, LIMITS) {
                Ok(Some(head)) => break head,
                Ok(None) if more(&mut buf).is_some() => {}
                Ok(None) => return (found, End::Bytes),
                Err(denial) => return (found, End::Refused(denial)),
            }
        };
        let (mut decoder, mut body) = (BodyDecoder::new(head.framing), Vec::new());
        loop {
            match decoder.decode(&mut buf) {
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::Done) => break,
                Ok(Decoded::NeedMore) if more(&mut buf).is_some() => {}
                Ok(Decoded::NeedMore) => return (found, End::Bytes),
                Err(denial) => return (found, End::Refused(Denial::Malformed(denial))),
            }
        }
        // Refused whatever else it says.
        if head.method == Method::Other {
            return (found, End::Method);
        }
        let persistent = head.persistent;
        found.push(OurRequest { head, body });
        if !persistent {
            return (found, End::Closing);
        }
    }
}

fn ask_node(cases: &[Case]) -> Vec<Told> {
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/oracle.js");
    let spawned =
        Command::new("node").arg(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut node = spawned.expect("this test needs Node.js (`node`) on the path");
    let mut input = node.stdin.take().unwrap();
    let mut framed = Vec::new();
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    for case in cases {
        framed.extend_from_slice(&length(case.parts.len()));
        for part in &case.parts {
            framed.extend_from_slice(&length(part.len()));
            framed.extend_from_slice(part);
        }
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
