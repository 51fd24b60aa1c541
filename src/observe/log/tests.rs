use std::sync::mpsc;

use super::{super::QUEUE_BYTES, *};
use crate::{
    observe::record::tests::{bare, full, name},
    types::Untrusted,
};

/// A writer that hands over what it is given, and waits in `write` for as long as the test wants.
struct Channel {
    written: mpsc::Sender<Vec<u8>>,
    /// A message lets one write pass; a dropped sender all.
    gate: mpsc::Receiver<()>,
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.gate.recv();
        self.written.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn channel() -> (Channel, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
    let (written, seen) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    (Channel { written, gate }, seen, open)
}

#[test]
fn lines_come_out_whole_and_in_order_and_in_few_writes() {
    let (writer, seen, open) = channel();
    drop(open);
    let sink = LogSink::to(writer, LogFormat::Text).unwrap();
    for number in 0..100 {
        sink.push(format!("line {number}").as_bytes(), |_| false);
    }
    sink.flush();
    let batches: Vec<Vec<u8>> = seen.try_iter().collect();
    let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
    assert_eq!(String::from_utf8(batches.concat()).unwrap(), expected);
    assert!(batches.len() < 50, "{} writes", batches.len());
}

#[test]
fn the_last_clones_drop_writes_what_waits() {
    let (writer, seen, open) = channel();
    drop(open);
    let sink = LogSink::to(writer, LogFormat::Text).unwrap();
    let clone = sink.clone();
    drop(sink);
    clone.push(b"the end", |_| false);
    drop(clone);
    assert_eq!(seen.iter().collect::<Vec<_>>().concat(), b"the end\n");
}

#[test]
fn a_reader_that_does_not_read_costs_lines_and_no_time() {
    let (writer, seen, open) = channel();
    let sink = LogSink::to(writer, LogFormat::Text).unwrap();
    let line = vec![b'.'; 1023];
    // One batch is in the writer's hands, one queue is full, and the rest is lost.
    for _ in 0..3 * QUEUE_BYTES / 1024 {
        sink.push(&line, |_| false);
    }
    let dropped = sink.dropped();
    assert!(dropped > 0 && sink.contents().len() <= QUEUE_BYTES);
    drop(open);
    drop(sink);
    let written = seen.iter().map(|batch| batch.len()).sum::<usize>() / 1024;
    assert_eq!(written + usize::try_from(dropped).unwrap(), 3 * QUEUE_BYTES / 1024);
}

#[test]
fn a_closed_reader_loses_lines_and_counts_them() {
    let (writer, seen, open) = channel();
    drop((seen, open));
    let sink = LogSink::to(writer, LogFormat::Text).unwrap();
    sink.push(b"one", |_| false);
    sink.push(b"two", |_| false);
    sink.flush();
    sink.push(b"three", |_| false);
    sink.flush();
    assert_eq!(sink.dropped(), 3);
}

#[test]
fn a_full_memory_drops_and_counts() {
    let sink = LogSink::memory();
    let line = vec![b' '; QUEUE_BYTES - 2];
    sink.push(&line, |_| false);
    sink.push(b"x", |_| false);
    assert_eq!((sink.dropped(), sink.contents().len()), (1, QUEUE_BYTES - 1));
}

#[test]
fn the_second_net_reads_every_record_but_spares_configured_names() {
    let sink = LogSink::memory();
    sink.record(&full());
    sink.record(&bare());
    assert_eq!(sink.counts().redactions.get(), 0, "{}", sink.contents());

    let mut record = full();
    record.route = Some(name("pos_backend-0123456789abcdef0123456789abcdef"));
    record.tool = Some(Untrusted::new("pos_canary0123456789"));
    sink.record(&record);
    assert!(sink.contents().contains("\"route\":\"pos_backend-0123456789abcdef0123456789abcdef\""));
    assert!(sink.contents().contains("\"tool\":\"[redacted]\""));
    assert_eq!(sink.counts().redactions.get(), 1);
}
