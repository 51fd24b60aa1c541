//! Which tools an upstream has, learned from its own lists as they pass, so that calls are counted by
//! their names, and that a tool is noticed which is no longer what it was. Nobody is asked anything for
//! it.

use bytes::BytesMut;

use super::{
    admit::Admission,
    forward::Answered,
    leak,
    memory::{Memory, Share},
    place::{Known, Said},
    relay,
};
use crate::{
    mcp::{self, Body, Element, Listed, Method, Piece, WholeEvents},
    observe::{KnownTools, Metrics},
    policy::Sighting,
    types::{self, ToolDigest, Untrusted},
    upstream::Server,
};

/// The most that is copied of an answer, in bytes. A list that is longer teaches nothing.
const MOST_COPIED: usize = 256 << 10;

/// Learns the names of the tools that an answer lists.
#[derive(Clone, Copy)]
pub(super) struct Learner<'x> {
    server: &'x Server,
    metrics: &'x Metrics,
    admission: &'x Admission,
}

impl<'x> Learner<'x> {
    /// Who learns from an answer: to `tools/list` alone. The result of another call is the server's to
    /// fill with what its caller said, so it teaches nothing, whatever it looks like, and no batch does.
    ///
    /// A stream that a client opened by itself may bring an answer to anything. Under rules what looks
    /// like a list there is judged as one, and counts as one. Without rules it isn't read, for it is of
    /// hours: the legacy transport teaches nothing then.
    pub(super) fn of(
        (metrics, server): (&'x Metrics, &'x Server),
        (known, admission): (&Known, &'x Admission),
        answer: &Answered,
    ) -> Option<Self> {
        let lists = match &known.call {
            Some(Body::One(message)) => message.method == Method::ToolsList,
            Some(Body::Batch(_)) => false,
            None => admission.book.is_some() && known.method == types::Method::Get,
        };
        let learner = Self { server, metrics, admission };
        (lists && answer.head.status.is_success()).then_some(learner)
    }

    /// Holds a tool to how it was described before.
    fn sees(self, tool: &str, text: &str) {
        let Some(pins) = self.server.pins() else { return };
        let Sighting::News(trusted) = pins.see(tool, ToolDigest::of(text)) else { return };
        let (upstream, hidden) = (&self.server.upstream.name, pins.are_enforced());
        self.metrics.tool_changed(upstream);
        self.metrics.changed_tools(upstream, pins.changed());
        let tool = Untrusted::new(tool);
        match trusted {
            Some(_) => tracing::warn!(%upstream, %tool, hidden, "a tool isn't described as it was"),
            None => tracing::warn!(%upstream, %tool, hidden, "a tool that nobody has trusted"),
        }
    }

    /// Whether a name shows a key: the client's, or the one that was put in its place.
    fn shows_key(self, name: &str) -> bool {
        let keys = [self.admission.credential.key.expose(), self.admission.upstream_key()];
        keys.into_iter().any(|key| leak::shows(name.as_bytes(), key))
    }
}

/// The names of one message's lists, as they are met. They count once it was read to its end.
pub(super) struct Heard<'x> {
    learner: Option<Learner<'x>>,
    names: Vec<Box<str>>,
    /// A name shows a key: another of the list may hold it in a spelling that nobody knows.
    shows_key: bool,
}

impl<'x> Heard<'x> {
    pub(super) const fn by(learner: Option<Learner<'x>>) -> Self {
        Self { learner, names: Vec::new(), shows_key: false }
    }

    /// Notes a listed element, whether or not the rules let it be used. Takes out only what can't be held to
    /// its description, because its name may be kept nowhere.
    pub(super) fn note(&mut self, element: &Element<'_>) -> bool {
        let Element { listed, name, text } = *element;
        let Some(learner) = self.learner.filter(|_| listed == Listed::Tool) else { return true };
        if learner.shows_key(name) {
            self.shows_key = true;
            return !learner.server.pins().is_some_and(|pins| pins.are_enforced());
        }
        learner.sees(name, text);
        if self.names.len() < KnownTools::MAX_LEARNED && learner.server.tools().lacks(name) {
            self.names.push(name.into());
        }
        true
    }

    /// The message was read to its end.
    pub(super) fn learn(self) {
        if let Some(learner) = self.learner.filter(|_| !self.shows_key) {
            learner.server.tools().learn(&self.names);
        }
    }
}

/// The copy of an answer that passes unread.
pub(super) struct Copied<'m> {
    is_stream: bool,
    /// `None` where it got too long.
    body: Option<(BytesMut, Share<'m>)>,
}

impl<'m> Copied<'m> {
    /// The copy of an answer that somebody learns from and nobody reads.
    pub(super) fn of(said: Said<'_>, answer: &Answered, memory: &'m Memory) -> Option<Self> {
        let is_stream = relay::is_event_stream(answer);
        let body = Some((BytesMut::new(), memory.share(None)));
        let passes_unread = said.learner.is_some() && said.admission.book.is_none();
        passes_unread.then_some(Self { is_stream, body })
    }

    /// Copies the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Some((body, share)) = &mut self.body else { return };
        if body.len() + bytes.len() <= MOST_COPIED && share.grow(bytes.len()).is_ok() {
            body.extend_from_slice(bytes);
        } else {
            self.body = None;
        }
    }

    /// All has passed, and nobody waits any more: it is read.
    pub(super) fn teach(self, learner: Option<Learner<'_>>) {
        let Some((body, _share)) = self.body else { return };
        if !self.is_stream {
            let Ok(text) = std::str::from_utf8(&body) else { return };
            let mut heard = Heard::by(learner);
            if mcp::sift(text, |element| heard.note(element)).is_ok() {
                heard.learn();
            }
            return;
        }
        let mut events = WholeEvents::default();
        events.feed(&body);
        while let Some(piece) = events.next_piece() {
            if let Piece::Event(event) = piece {
                let mut heard = Heard::by(learner);
                if mcp::sift_event(&event, |element| heard.note(element)).is_ok() {
                    heard.learn();
                }
            }
        }
    }
}
