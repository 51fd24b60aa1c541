//! Every place where a key must not be, and the search in them.

use std::sync::{Mutex, PoisonError};

use super::key::CORE;

/// What clients received.
#[derive(Default)]
pub(super) struct Received {
    /// Every byte, whoever it was from.
    all: Mutex<Vec<u8>>,
    /// Answers that the gateway gave itself, heads included.
    refusals: Mutex<Vec<Vec<u8>>>,
}

impl Received {
    pub(super) fn note(&self, bytes: &[u8]) {
        lock(&self.all).extend_from_slice(bytes);
    }

    pub(super) fn note_refusal(&self, answer: Vec<u8>) {
        lock(&self.refusals).push(answer);
    }

    /// Faults: a key in a refusal, or an upstream's key in anything.
    pub(super) fn faults(&self, upstream_keys: &[String]) -> Vec<String> {
        let mut faults = Vec::new();
        for refusal in lock(&self.refusals).iter() {
            faults.extend(canary("an answer of the gateway", refusal));
        }
        let all = lock(&self.all);
        for key in upstream_keys {
            faults.extend(found("what clients received", &all, key));
        }
        faults
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fault where any key, or half of one, is in the sink in any spelling.
pub(super) fn canary(sink: &str, bytes: &[u8]) -> Option<String> {
    found(sink, bytes, CORE)
}

/// A fault where the text is in the sink: as it stands, in another case, or percent-encoded.
pub(super) fn found(sink: &str, bytes: &[u8], text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let holds = |bytes: &[u8]| {
        let at = memchr::memmem::find(&bytes.to_ascii_lowercase(), text.as_bytes())?;
        let from = at.saturating_sub(200);
        Some(bytes[from..bytes.len().min(at + 200)].escape_ascii().to_string())
    };
    let around = holds(bytes).or_else(|| holds(&percent_decoded(bytes)))?;
    Some(format!("a key is in {sink}: ...{around}..."))
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        let triplet =
            tail.get(..2).filter(|_| *byte == b'%').and_then(|pair| hex::decode(pair).ok());
        decoded.push(triplet.as_ref().map_or(*byte, |pair| pair[0]));
        rest = &tail[if triplet.is_some() { 2 } else { 0 }..];
    }
    decoded
}
