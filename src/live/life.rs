use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use super::ending::Ending;
use crate::types::{
    ClientCertificate, Denial, KeyDigest, Name, Nanos, RequestId, SessionMark, Untrusted,
};

/// An exchange that was admitted. Its own task writes down how far it is, and others read that: each
/// number by itself is right, and no two have to be of the same moment.
pub struct Life {
    /// Its request.
    pub id: RequestId,
    /// When that came.
    pub since: Nanos,
    /// Whose it is.
    pub whose: Whose,
    /// The MCP method, from a closed list; of a batch, `batch`.
    pub mcp_method: Option<&'static str>,
    /// What it asks for by name; each name at most 256 characters.
    pub asked: Box<[Asked]>,
    kind: AtomicU8,
    session: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    /// When the last event was, in nanoseconds; 0 before the first.
    last: AtomicU64,
    ending: Ending,
}

/// Whose an exchange is, and where it goes: what it was admitted by.
pub struct Whose {
    /// The client's address as policy saw it.
    pub client: IpAddr,
    /// The route.
    pub route: Name,
    /// Whether that is a `web` route.
    pub is_web: bool,
    /// The key; on a `web` route there is none.
    pub key: Option<KeyDigest>,
    /// The client certificate that its connection began with.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The consumer, if the key is one's.
    pub consumer: Option<Name>,
    /// Whose connection it came by: the peer's, and the one's who told of that peer.
    pub brought_by: [IpAddr; 2],
}

/// What a message asks for by name.
pub enum Asked {
    /// A tool is called.
    Tool(Untrusted),
    /// A prompt is used.
    Prompt(Untrusted),
}

/// What an exchange is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It waits for its answer, or is given it.
    Request,
    /// Its answer is an event stream.
    Stream,
    /// Both sides have switched to another protocol.
    Tunnel,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// What it is.
    pub kind: Kind,
    /// Its session.
    pub session: Option<SessionMark>,
    /// Events that went to the client.
    pub events: u64,
    /// Bytes of the answer that went to the client, or were to.
    pub bytes: u64,
    /// How long ago the last event was.
    pub last_event: Option<Duration>,
    /// How long ago it began.
    pub age: Duration,
}

impl Kind {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Stream => "stream",
            Self::Tunnel => "tunnel",
        }
    }
}

impl Life {
    /// One that has just been admitted.
    pub fn new(
        (id, since): (RequestId, Nanos),
        whose: Whose,
        (mcp_method, asked): (Option<&'static str>, Box<[Asked]>),
        session: Option<SessionMark>,
    ) -> Self {
        Self {
            id,
            since,
            whose,
            mcp_method,
            asked,
            kind: AtomicU8::new(0),
            session: AtomicU64::new(session.map_or(0, SessionMark::number)),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last: AtomicU64::new(0),
            ending: Ending::default(),
        }
    }

    /// It has turned into something else.
    pub fn becomes(&self, kind: Kind) {
        let number = match kind {
            Kind::Request => 0,
            Kind::Stream => 1,
            Kind::Tunnel => 2,
        };
        self.kind.store(number, Relaxed);
    }

    /// It has been given a session.
    pub fn has_session(&self, session: SessionMark) {
        self.session.store(session.number(), Relaxed);
    }

    /// So much went to the client. Its own task alone says so, so nothing is lost between the two
    /// halves of this, which cost less than one that others may break into.
    pub fn sent(&self, bytes: usize, events: u64) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.store(self.bytes.load(Relaxed).saturating_add(bytes), Relaxed);
        if events > 0 {
            self.events.store(self.events.load(Relaxed).saturating_add(events), Relaxed);
            self.last.store(Nanos::now().0.max(1), Relaxed);
        }
    }

    /// Where the bytes are counted that go to the client.
    pub const fn bytes(&self) -> &AtomicU64 {
        &self.bytes
    }

    /// How far it is.
    pub fn now(&self, now: Nanos) -> Now {
        let since = |then: u64| Duration::from_nanos(now.0.saturating_sub(then));
        let last = self.last.load(Relaxed);
        Now {
            kind: match self.kind.load(Relaxed) {
                0 => Kind::Request,
                1 => Kind::Stream,
                _ => Kind::Tunnel,
            },
            session: self.session(),
            events: self.events.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            last_event: (last > 0).then(|| since(last)),
            age: since(self.since.0),
        }
    }

    /// Its session, where it has one.
    pub fn session(&self) -> Option<SessionMark> {
        SessionMark::of(self.session.load(Relaxed))
    }

    /// Ends it: whatever it waits for, it sees that at once. `false` where it has been ended before.
    pub fn end(&self, why: Denial) -> bool {
        self.ending.end(why)
    }

    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Denial> {
        self.ending.poll(cx)
    }

    pub(super) fn forget_waiter(&self) {
        self.ending.forget();
    }
}
