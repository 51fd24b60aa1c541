use std::sync::{Mutex, mpsc};

use serde_json::{Value, json};

use super::*;
use crate::{
    observe::record::tests::{bare, full, name},
    types::{ArgumentsKey, Found, Untrusted},
};

fn no(_: &str) -> bool {
    false
}

fn call(arguments: &[(&str, Found<'_>)]) -> AuditedCall {
    let noted = arguments
        .iter()
        .filter_map(|(pointer, found)| Some(((*pointer).into(), Noted::of(found, no)?)));
    AuditedCall {
        method: "tools/call",
        named: Named::Tool(Untrusted::new("schedule")),
        rpc_id: Some(Untrusted::new("7")),
        digest: None,
        arguments: noted.collect(),
        is_partial: false,
    }
}

fn text(text: &str) -> Found<'_> {
    Found::Text(text.into())
}

/// The one line of a call.
fn line(record: &Record, call: AuditedCall) -> Value {
    let sink = AuditSink::memory();
    sink.record(record, &[call]);
    serde_json::from_str(&sink.contents()).unwrap()
}

#[test]
fn a_record_says_who_called_what_and_what_became_of_it() {
    let key = ArgumentsKey::new(b"salt");
    let digest = Some(key.digest(b"{}"));
    let record = full();
    let mut line = line(&record, AuditedCall { digest, is_partial: true, ..call(&[]) });
    let ts = line.as_object_mut().unwrap().remove("ts").unwrap();
    assert!(ts.as_str().unwrap().ends_with('Z'));
    let digits = String::from_utf8(key.digest(b"{}").digits().to_vec()).unwrap();
    assert_eq!(
        line,
        json!({
            "level": "info", "event": "call", "request_id": record.request_id.to_string(),
            "route": "mcp", "consumer": "claude-desktop", "key": record.key.unwrap().to_string(),
            "client": record.client.to_string(), "tool": "schedule", "mcp_method": "tools/call",
            "rpc_id": "7", "outcome": record.outcome.as_str(), "reason": record.reason.unwrap(),
            "status": record.status.unwrap(), "duration_ms": line["duration_ms"],
            "partial": true, "digest": digits, "upstream": "postiz",
        })
    );
}

#[test]
fn values_are_as_they_were_and_what_is_large_is_its_kind_and_size() {
    let long = "ä".repeat(200);
    let line = line(
        &bare(),
        call(&[
            ("/a/*/type", text("draft")),
            ("/a/*/type", Found::Number("1.50")),
            ("/a/*/type", Found::Word("null")),
            ("/a", Found::Array(3)),
            ("/b", Found::Object),
            ("/c", Found::Missing),
            ("/d", Found::Elsewhere),
            ("/e", text(&long)),
            ("/f", text("a\nb\u{85}\u{2028}\u{202e}c\"")),
        ]),
    );
    assert_eq!(
        line["arguments"],
        json!({
            "/a/*/type": ["draft", 1.50, null],
            "/a": {"kind": "array", "items": 3},
            "/b": {"kind": "object"},
            "/e": {"kind": "text", "bytes": 400, "begins": "ä".repeat(128)},
            "/f": "a\nb???c\"",
        })
    );
}

#[test]
fn a_key_is_masked_and_counted_once_for_each_call() {
    let sink = AuditSink::memory();
    let secret = |text: &str| text.contains("hunter");
    let key = format!("{}hunter2", "x".repeat(300));
    let mut call =
        call(&[("/note", text("Authorization: Bearer abc")), ("/message/*/text", text("a"))]);
    call.arguments.push(("/key".into(), Noted::of(&text(&key), secret).unwrap()));
    let begun = sink.begin(&full(), std::slice::from_ref(&call));
    assert!(begun.unwrap().try_recv().is_ok(), "memory has it at once");
    sink.record(&full(), &[call]);
    let lines = sink.contents();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, event) in lines.iter().zip(["begun", "call"]) {
        assert_eq!(line["event"], event);
        assert_eq!(line["arguments"]["/note"], "Authorization: [redacted]");
        assert_eq!(line["arguments"]["/key"], "[redacted]");
        // What the configuration writes out is no key.
        assert_eq!(line["arguments"]["/message/*/text"], json!(["a"]));
    }
    assert_eq!(sink.counts().redactions.get(), 2);
}

/// A sink whose every write the test allows, by what it says of it.
struct Gated {
    sink: AuditSink,
    answers: mpsc::Sender<Result<(), usize>>,
    seen: mpsc::Receiver<String>,
}

fn gated() -> Gated {
    let (answers, asked) = mpsc::channel();
    let (written, seen) = mpsc::channel();
    let asked = Mutex::new(asked);
    let sink = AuditSink::to(move |lines, _| {
        let _ = written.send(String::from_utf8(lines.to_vec()).unwrap());
        let answer = asked.lock().unwrap().recv().unwrap_or(Ok(()));
        answer.map_err(|written| Unwritten { written, why: io::ErrorKind::StorageFull.into() })
    });
    Gated { sink: sink.unwrap(), answers, seen }
}

#[tokio::test]
async fn who_waits_is_told_once_its_record_is_written() {
    let Gated { sink, answers, seen } = gated();
    let mut begun = sink.begin(&full(), &[call(&[]), call(&[])]).unwrap();
    assert_eq!(seen.recv().unwrap().matches("\"event\":\"begun\"").count(), 2);
    assert!(begun.try_recv().is_err(), "it is being written");
    answers.send(Ok(())).unwrap();
    assert!(begun.await.is_ok());
    assert_eq!(sink.counts().records.get(), 2);
}

#[tokio::test]
async fn a_full_disk_is_told_to_who_waits_and_what_was_not_written_is_tried_again() {
    let Gated { sink, answers, seen } = gated();
    let begun = sink.begin(&full(), &[call(&[]), call(&[])]).unwrap();
    let first = seen.recv().unwrap();
    let line_end = first.find('\n').unwrap() + 1;
    answers.send(Err(line_end)).unwrap();
    assert!(begun.await.is_err(), "it can't be written");
    assert_eq!(sink.counts().failing.get(), 1);
    // Nobody waits for what is known to fail, and who doesn't need to is recorded all the same.
    assert!(sink.begin(&full(), &[call(&[])]).is_none());
    sink.record(&full(), &[call(&[])]);
    assert_eq!(seen.recv().unwrap(), first[line_end..], "what was written isn't written twice");
    answers.send(Ok(())).unwrap();
    assert!(seen.recv().unwrap().contains("\"event\":\"call\""));
    assert_eq!(sink.counts().failing.get(), 0);
    answers.send(Ok(())).unwrap();
    sink.flush();
    assert_eq!((sink.counts().records.get(), sink.dropped()), (3, 0));
}

#[test]
fn a_disk_that_takes_nothing_costs_records_and_no_time() {
    let Gated { sink, answers, seen } = gated();
    sink.record(&full(), &[call(&[])]);
    let first = seen.recv().unwrap();
    // The writer holds the first; then one queue is filled, and the rest is lost.
    let more = 2 * super::super::QUEUE_BYTES / first.len();
    for _ in 0..more {
        sink.record(&full(), &[call(&[])]);
    }
    let lost = sink.dropped();
    assert!(lost > 0 && sink.contents().len() <= super::super::QUEUE_BYTES);
    assert!(sink.begin(&full(), &[call(&[])]).is_none(), "there is no room for its record");
    let counts = sink.counts();
    drop((answers, sink));
    assert_eq!(counts.records.get() + lost, u64::try_from(more).unwrap() + 1);
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_is_full() {
    let Gated { sink, answers, seen } = gated();
    sink.record(&full(), &[call(&[])]);
    seen.recv().unwrap();
    answers.send(Err(0)).unwrap();
    let counts = sink.counts();
    drop(sink);
    assert_eq!((counts.records.get(), counts.dropped.get()), (0, 1));
}

#[test]
fn configured_names_are_spared() {
    let mut record = full();
    record.route = Some(name("pos_backend-0123456789abcdef0123456789abcdef"));
    let line = line(&record, call(&[("/pos_backend-0123456789abcdef0123456789", text("a"))]));
    assert_eq!(line["route"], "pos_backend-0123456789abcdef0123456789abcdef");
    assert_eq!(line["arguments"]["/pos_backend-0123456789abcdef0123456789"], "a");
}
