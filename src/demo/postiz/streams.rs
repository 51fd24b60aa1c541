use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use serde_json::Value;

use super::EventSender;

/// Every open event stream. There is one key, so its legacy streams are one bus: each of them gets
/// every answer, as in v2.7.0, where the POST says nothing of the stream that it belongs to.
#[derive(Default)]
pub(super) struct Streams(Mutex<Open>);

#[derive(Default)]
struct Open {
    closed: bool,
    bus: Vec<Subscriber>,
    idle: Vec<EventSender>,
}

struct Subscriber {
    sender: EventSender,
    /// The number of the last event: the framework counts per stream.
    last_id: u64,
}

impl Subscriber {
    /// Whether the stream is still read.
    fn send(&mut self, event: &str, data: &str) -> bool {
        self.last_id += 1;
        // The framework begins a stream with an empty line.
        let start = if self.last_id == 1 { "\n" } else { "" };
        let text = format!("{start}event: {event}\nid: {}\ndata: {data}\n\n", self.last_id);
        self.sender.try_send(Ok(Bytes::from(text))).is_ok()
    }
}

impl Streams {
    /// Adds a legacy stream and sends its `endpoint` event.
    pub(super) fn join(&self, sender: EventSender, endpoint: &str) {
        let mut subscriber = Subscriber { sender, last_id: 0 };
        let alive = subscriber.send("endpoint", endpoint);
        let mut open = self.open();
        if alive && !open.closed {
            open.bus.push(subscriber);
        }
    }

    /// Keeps a stream open that never says anything.
    pub(super) fn hold(&self, sender: EventSender) {
        let mut open = self.open();
        open.idle.retain(|held| !held.is_closed());
        if !open.closed {
            open.idle.push(sender);
        }
    }

    /// Sends a message to every legacy stream. Streams that nobody reads any more are dropped.
    pub(super) fn publish(&self, message: &Value) {
        let data = message.to_string();
        self.open().bus.retain_mut(|subscriber| subscriber.send("message", &data));
    }

    /// One of the legacy streams has closed: the others stay open, and hear nothing any more. So does
    /// v2.7.0, which takes every listener off the key's bus where it should take one.
    pub(super) fn silence(&self) {
        let mut open = self.open();
        let deaf = std::mem::take(&mut open.bus).into_iter().map(|subscriber| subscriber.sender);
        open.idle.extend(deaf.filter(|sender| !sender.is_closed()));
    }

    /// Ends every stream, and those that come later at once.
    pub(super) fn close(&self) {
        *self.open() = Open { closed: true, ..Open::default() };
    }

    /// Whether [`close`](Self::close) was called.
    pub(super) fn is_closed(&self) -> bool {
        self.open().closed
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
