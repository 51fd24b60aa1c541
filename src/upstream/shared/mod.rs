//! One stream of a server for all clients of one key.
//!
//! A Postiz up to v2.7.0 has one bus for a key: every open stream gets every answer, and when one of them
//! closes, all others stay open and never get anything again. So the gateway opens one, and gives each
//! client a seat at it: what a client asks goes there under an id that is nobody else's, and what comes
//! back under that id goes to that seat, under the client's own.

mod calls;
mod hub;
mod ids;
mod listener;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use calls::{Awaited, NotAwaited};
use hub::Hub;
use listener::Listener;
use stream::Stream;
use tokio::sync::watch;

use super::{Reached, Server};
use crate::{
    observe::SharedStreamsMeter,
    snapshot::Endpoint,
    types::{Draining, KeyDigest, Secret},
    wire::{Fields, Framing, PipeReader, ResponseHead},
};

/// From how many shared streams on none is kept open for a client that may come.
const CROWDED: usize = 1024;

/// The shared streams of a server, by what they are of. There are as many as are open, or are being
/// opened.
pub struct SharedStreams {
    table: Mutex<HashMap<KeyDigest, Slot>>,
    openings: AtomicU64,
    /// The server has told two streams apart.
    apart: AtomicBool,
    meter: Option<SharedStreamsMeter>,
}

enum Slot {
    /// Somebody opens it, and ends the watch in the end.
    Opening {
        number: u64,
        done: watch::Receiver<()>,
    },
    Live(Arc<Hub>),
}

/// What there is for a client that wants a stream.
pub enum Entrance {
    /// A seat at a stream that is open.
    Seat(Seated, PipeReader),
    /// Another client opens one. When that is over, one way or the other, it is to be asked again.
    Wait(watch::Receiver<()>),
    /// Nothing: the client opens one, and others wait for it.
    Open(Opener),
    /// The server tells its streams apart by itself: there is nothing to share.
    Apart,
}

/// The right and the duty to open a stream for all. Dropped, it leaves them to the next.
pub struct Opener {
    streams: Arc<SharedStreams>,
    whose: KeyDigest,
    number: u64,
    /// Its end wakes those who wait.
    #[expect(dead_code, reason = "held")]
    done: watch::Sender<()>,
}

/// What is known of a stream once its first event is there.
pub struct Opened {
    /// What it comes on, and from where; nothing was taken of its body.
    pub reached: Reached,
    /// How its body ends.
    pub framing: Framing,
    /// The fields of its head that a client may see.
    pub fields: Fields,
    /// Its first event, as it came.
    pub endpoint: Vec<u8>,
    /// How to ask there.
    pub asks: Asks,
}

/// The gateway's own requests, whole but for what is said below. They hold the key.
pub struct Asks {
    /// Opens the stream anew.
    pub opening: Secret,
    /// Posts a message: the head without its end and the length of the body.
    pub posting: Secret,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until a connection is there, until it answers, and until a ping is answered.
    pub reach: Duration,
    /// How long a silent stream is believed.
    pub silence: Duration,
}

/// A client's place at a shared stream.
#[derive(Clone)]
pub struct Seat {
    hub: Arc<Hub>,
    number: u64,
}

/// A seat that is taken; returned by drop.
pub struct Seated(Seat);

impl SharedStreams {
    pub(super) fn new(meter: Option<SharedStreamsMeter>) -> Self {
        Self {
            table: Mutex::default(),
            openings: AtomicU64::new(0),
            apart: AtomicBool::new(false),
            meter,
        }
    }

    /// What there is for a client that wants the stream of `whose`.
    pub fn enter(self: &Arc<Self>, whose: KeyDigest) -> Entrance {
        if self.tells_apart() {
            return Entrance::Apart;
        }
        let mut table = self.table();
        match table.get(&whose) {
            Some(Slot::Opening { done, .. }) => return Entrance::Wait(done.clone()),
            Some(Slot::Live(hub)) => {
                if let Some((seated, pipe)) = Seated::take(hub) {
                    return Entrance::Seat(seated, pipe);
                }
            }
            None => {}
        }
        let number = self.openings.fetch_add(1, Ordering::Relaxed);
        let (sender, done) = watch::channel(());
        table.insert(whose, Slot::Opening { number, done });
        Entrance::Open(Opener { streams: Arc::clone(self), whose, number, done: sender })
    }

    /// A stream has named a session of its own: answers find their way by that.
    pub fn are_apart(&self) {
        self.apart.store(true, Ordering::Relaxed);
    }

    /// Whether the server tells its streams apart by itself.
    pub fn tells_apart(&self) -> bool {
        self.apart.load(Ordering::Relaxed)
    }

    fn is_crowded(&self) -> bool {
        self.table().len() > CROWDED
    }

    fn forget(&self, whose: &KeyDigest, ended: &Arc<Hub>) {
        let mut table = self.table();
        if matches!(table.get(whose), Some(Slot::Live(hub)) if Arc::ptr_eq(hub, ended)) {
            table.remove(whose);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<KeyDigest, Slot>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opener {
    /// Gives the stream to all, and the first seat to who opened it. On the runtime that reads the
    /// connection. `None` where the system gives no random bytes.
    pub fn open(
        self,
        server: &Arc<Server>,
        opened: Opened,
        (patience, draining): (Patience, Draining),
    ) -> Option<(Seated, PipeReader)> {
        let Opened { reached: Reached { endpoint: at, connection }, framing, fields, .. } = opened;
        let (event, asks) = (opened.endpoint.into(), opened.asks);
        let hub = Arc::new(Hub::new(at, fields, event, self.streams.meter.clone())?);
        let first = Seated::take(&hub)?;
        self.streams.table().insert(self.whose, Slot::Live(Arc::clone(&hub)));
        let listener = Listener {
            hub,
            streams: Arc::clone(&self.streams),
            whose: self.whose,
            server: Arc::clone(server),
            asks,
            patience,
            draining,
            failures: 0,
        };
        tokio::spawn(listener.run(Stream::new(connection, framing)));
        Some(first)
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let mut table = self.streams.table();
        let own =
            |slot: &Slot| matches!(slot, Slot::Opening { number, .. } if *number == self.number);
        if table.get(&self.whose).is_some_and(own) {
            table.remove(&self.whose);
        }
    }
}

impl Seated {
    fn take(hub: &Arc<Hub>) -> Option<(Self, PipeReader)> {
        let (number, pipe) = hub.take_seat()?;
        Some((Self(Seat { hub: Arc::clone(hub), number }), pipe))
    }

    /// The seat, for whoever asks from there.
    pub const fn seat(&self) -> &Seat {
        &self.0
    }

    /// The endpoint that the stream comes from.
    pub fn at(&self) -> &Arc<Endpoint> {
        self.0.hub.at()
    }

    /// The head of the answer that a client at this seat gets. What comes from the pipe is its body.
    pub fn head(&self) -> ResponseHead {
        ResponseHead {
            status: http::StatusCode::OK,
            version: crate::wire::Version::Http11,
            fields: self.0.hub.fields().clone(),
            framing: Framing::UntilClose,
            length: None,
            upgrade: None,
            persistent: false,
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.0.hub.leave(self.0.number);
    }
}
