//! The pump: each part of an answer goes to the client as it comes, and between two events of a
//! silent stream a comment keeps the hops awake.

use std::{pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    alive, endpoint,
    events::Events,
    forward::Answered,
    leak::Veil,
    place::{Place, Said},
    pumped::Pumped,
    record,
    sieve::{NotPassed, Sieve},
    tools::Copied,
};
use crate::{
    live::Kind,
    mcp::Step,
    types::{Denial, Leave, Leaving, Limit},
    wire::{BodyDecoder, Client, Connection, Decoded, Outgoing, Transport},
};

/// A comment line and the empty line that ends no event (WHATWG HTML 9.2.6).
const COMMENT: &[u8] = b": keep-alive\n\n";

/// How long a client may take nothing when it is told that its stream was ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Brings one body to the client.
pub(super) struct Pump<'p, 's, 'c, 'a> {
    place: &'p mut Place<'s>,
    client: &'c mut Client<'a>,
    /// For the next write: the head first.
    out: Outgoing,
    events: Option<Events>,
    /// Where a key was injected, it is covered in all that the upstream says.
    veil: Option<Veil>,
    /// Where there are rules, a stream is let through by events.
    sieve: Option<Sieve<'s>>,
    /// Where there are none, an answer that teaches something is copied.
    copied: Option<Copied<'s>>,
    bytes_out: u64,
    /// Whether the client's going ends it.
    heeds_client: bool,
}

/// What happened while waiting.
enum Woken {
    Filled,
    UpstreamEnded,
    /// It was reset: not even a body without a length ends so.
    UpstreamReset,
    ClientGone,
    Told(String),
    Silence,
    Leaving(Leave),
    Ended(Denial),
}

impl<'p, 's, 'c, 'a> Pump<'p, 's, 'c, 'a> {
    /// A pump whose first write begins with the head.
    pub(super) fn new(
        place: &'p mut Place<'s>,
        client: &'c mut Client<'a>,
        out: Outgoing,
        events: Option<Events>,
    ) -> Self {
        let (veil, sieve, copied, bytes_out) = (None, None, None, 0);
        if let (Some(life), Some(_)) = (&place.life, &events) {
            life.becomes(Kind::Stream);
        }
        Self { place, client, out, events, veil, sieve, copied, bytes_out, heeds_client: true }
    }

    /// The client still sends what nobody reads any more: that it does is no sign that it left.
    pub(super) const fn ignore_client(&mut self) {
        self.heeds_client = false;
    }

    /// Bytes of the body that were sent, or were to be.
    pub(super) const fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Ends a stream that the upstream has left, or that was ended from outside, with these words, where
    /// no event is torn. Whether it did. What the client resumes somewhere else isn't over; what was
    /// ended is.
    pub(super) async fn end_with(&mut self, pumped: Pumped, words: &[String]) -> bool {
        let Some(events) = &self.events else { return false };
        let (may, stall) = match pumped {
            Pumped::UpstreamGone => (events.may_end(), self.place.snapshot().timeouts.write_stall),
            Pumped::Ended(_) => (events.may_speak(), LAST_WORDS),
            _ => return false,
        };
        if !may || words.is_empty() {
            return false;
        }
        for word in words {
            self.put(word.as_bytes());
        }
        self.out.end();
        tokio::select! {
            biased;
            written = self.client.send(&mut self.out, stall) => record::was_sent(self.place, &written),
            () = self.place.draining.cut() => false,
            _ = alive::ended(self.place.life.as_ref()), if pumped == Pumped::UpstreamGone => false,
        }
    }

    /// Runs until either side ends; `said` is what an MCP answer answers. Where the body came whole,
    /// the upstream's connection may carry another request.
    pub(super) async fn run(&mut self, answer: &mut Answered, said: Option<Said<'_>>) -> Pumped {
        let memory = &self.place.state.memory;
        self.copied = said.and_then(|said| Copied::of(said, answer, memory));
        let pumped = self.pump(answer, said).await;
        answer.head.persistent &= pumped == Pumped::Whole;
        // Where the upstream is gone the client still waits to be told.
        if let Some(copied) = self.copied.take().filter(|_| pumped != Pumped::UpstreamGone) {
            copied.teach(said.and_then(|said| said.learner));
        }
        pumped
    }

    async fn pump(&mut self, answer: &mut Answered, said: Option<Said<'_>>) -> Pumped {
        let (status, injected) =
            (answer.head.status, said.and_then(|s| s.admission.injected_key()));
        self.veil = injected.and_then(|key| Veil::over(key, status));
        let book = said.and_then(|said| said.admission.book.as_ref());
        let book = book.filter(|_| self.events.is_some());
        self.sieve = book.map(|book| Sieve::new(book, &self.place.state.memory));
        let mut decoder = BodyDecoder::new(answer.head.framing);
        let silence = self.patience();
        // Most answers are at hand whole and never wait.
        let mut timer = None;
        loop {
            let taken = self.take_all(&mut decoder, answer.upstream.buffer(), said);
            if let Err(pumped) = self.flush().await {
                return pumped;
            }
            match taken {
                Taken::Done => return Pumped::Whole,
                Taken::Unreadable => return Pumped::UpstreamGone,
                Taken::All => {}
            }
            // What waits may wait for hours.
            self.place.keep_up();
            let timer = timer.get_or_insert_with(|| Box::pin(sleep(silence)));
            match self.wait(&mut answer.upstream, timer).await {
                Woken::Filled => restart(timer, silence),
                Woken::Told(event) => self.put(event.as_bytes()),
                Woken::Silence if self.events.is_some() => {
                    if self.events.as_ref().is_some_and(Events::may_speak) {
                        self.place.state.metrics.reached(Limit::KeepAliveComment);
                        self.put(COMMENT);
                    }
                    restart(timer, silence);
                }
                Woken::Silence => {
                    self.place.state.metrics.reached(Limit::UpstreamFirstByte);
                    return Pumped::UpstreamGone;
                }
                Woken::ClientGone => return Pumped::ClientGone,
                Woken::UpstreamEnded if decoder.end_of_input().is_ok() => {
                    answer.head.persistent = false;
                    if !self.lift(said) {
                        return Pumped::UpstreamGone;
                    }
                    self.out.end();
                    return self.flush().await.err().unwrap_or(Pumped::Whole);
                }
                Woken::UpstreamEnded | Woken::UpstreamReset => return Pumped::UpstreamGone,
                Woken::Leaving(why) => return self.leave(why).await,
                Woken::Ended(why) => return Pumped::Ended(why),
            }
        }
    }

    /// The time is up. Between two events a stream has a clean end, and says when to come back;
    /// anything else was cut, and must not look whole.
    async fn leave(&mut self, why: Leave) -> Pumped {
        let events = self.events.as_ref();
        match (why, events.map(Events::leaving)) {
            (Leave::Cut, _) => self.place.state.metrics.reached(Limit::Shutdown),
            // It had no time of its own.
            (Leave::HandedOver, Some(Leaving::AtOnce)) => {}
            (Leave::HandedOver, _) => self.place.state.metrics.reached(Limit::DrainTimeout),
        }
        let Some(farewell) = events.and_then(|events| events.farewell(why)) else {
            return Pumped::Torn;
        };
        self.out.put(farewell.as_bytes());
        self.bytes_out += u64::try_from(farewell.len()).unwrap_or(u64::MAX);
        self.out.end();
        self.flush().await.err().unwrap_or(Pumped::Cut)
    }

    /// On an event stream, silence is answered with a comment; on any other body it means that the
    /// upstream hangs.
    fn patience(&self) -> Duration {
        let timeouts = &self.place.snapshot().timeouts;
        match self.events {
            Some(_) => timeouts.keep_alive_comment,
            None => timeouts.upstream_first_byte,
        }
    }

    async fn wait(
        &mut self,
        upstream: &mut Connection<Transport>,
        timer: &mut Pin<Box<Sleep>>,
    ) -> Woken {
        let may_speak = self.events.as_ref().is_some_and(Events::may_speak);
        let leaving = self.events.as_ref().map_or(Leaving::Never, Events::leaving);
        let listening = self.events.as_mut().and_then(|events| events.listening.as_mut());
        let told = async {
            match listening {
                Some(listening) if may_speak => listening.events.recv().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            // The cut first, or a talkative upstream would keep it from ever being seen.
            biased;
            why = self.place.draining.leave(leaving) => Woken::Leaving(why),
            why = alive::ended(self.place.life.as_ref()) => Woken::Ended(why),
            filled = upstream.fill_large() => match filled {
                Ok(0) => Woken::UpstreamEnded,
                Err(_) => Woken::UpstreamReset,
                Ok(_) => Woken::Filled,
            },
            () = self.client.gone(), if self.heeds_client => Woken::ClientGone,
            Some(event) = told => Woken::Told(event),
            () = timer.as_mut() => Woken::Silence,
        }
    }

    /// Takes what is at hand of the body.
    fn take_all(
        &mut self,
        decoder: &mut BodyDecoder,
        at_hand: &mut BytesMut,
        said: Option<Said<'_>>,
    ) -> Taken {
        loop {
            match decoder.decode(at_hand) {
                Ok(Decoded::Data(data)) => {
                    if !self.take(data, said) {
                        return Taken::Unreadable;
                    }
                }
                Ok(Decoded::NeedMore) => return Taken::All,
                Ok(Decoded::Done) => {
                    if !self.lift(said) {
                        return Taken::Unreadable;
                    }
                    self.out.end();
                    return Taken::Done;
                }
                Err(_) => return Taken::Unreadable,
            }
        }
    }

    /// Takes one part of the body. `false` where it can't go on.
    fn take(&mut self, mut data: Bytes, said: Option<Said<'_>>) -> bool {
        let Some(said) = said else {
            self.follow(&data);
            self.out.put_whole(data);
            return true;
        };
        if let Some(copied) = &mut self.copied {
            copied.feed(&data);
        }
        while let Some(first) = self.events.as_mut().and_then(Events::looked_at) {
            let (step, used) = first.feed(&data);
            let rest = data.split_off(used);
            match step {
                Step::Hold => return true,
                Step::TooLong => return false,
                Step::Pass(bytes) => {
                    if !self.pass(&bytes, said) {
                        return false;
                    }
                }
                Step::First(event) => {
                    let Some(event) = self.announce(&event, said) else { return false };
                    if !self.pass(&event, said) {
                        return false;
                    }
                }
            }
            data = rest;
            if data.is_empty() {
                return true;
            }
        }
        self.pass(&data, said)
    }

    fn announce(&mut self, event: &[u8], said: Said<'_>) -> Option<Vec<u8>> {
        let place = (self.place.state, self.place.life.as_deref());
        endpoint::announce(self.events.as_mut()?, place, event, said)
    }

    /// Puts a part of the upstream's body into the next write, but for what waits to be judged.
    /// `false` where it can't be.
    fn pass(&mut self, data: &[u8], said: Said<'_>) -> bool {
        let Some(mut sieve) = self.sieve.take() else {
            self.cover(data, said);
            return true;
        };
        let passed = sieve.pass(data, said.learner, |piece| self.cover(piece, said));
        self.sieve = Some(sieve);
        judged(passed, said)
    }

    /// Covers an injected key, and puts the rest into the next write.
    fn cover(&mut self, data: &[u8], said: Said<'_>) {
        match &mut self.veil {
            None => self.put(data),
            Some(veil) => {
                let veiled = veil.pass(data, said.admission.upstream_key());
                self.put(&veiled);
            }
        }
    }

    /// The upstream's body has ended: what was held of it may go. `false` where it can't be judged.
    fn lift(&mut self, said: Option<Said<'_>>) -> bool {
        if let (Some(mut sieve), Some(said)) = (self.sieve.take(), said) {
            let ended = sieve.end(said.learner, |piece| self.cover(piece, said));
            if !judged(ended, said) {
                return false;
            }
        }
        if let Some(held) = self.veil.as_mut().map(Veil::lift) {
            self.put(&held);
        }
        true
    }

    /// Puts a part of the body into the next write.
    fn put(&mut self, data: &[u8]) {
        self.follow(data);
        self.out.put(data);
    }

    fn follow(&mut self, data: &[u8]) {
        let events = self.events.as_mut().map_or(0, |events| events.follow(data));
        if let Some(life) = &self.place.life {
            life.sent(data.len(), events);
        }
        self.bytes_out += u64::try_from(data.len()).unwrap_or(u64::MAX);
    }

    /// Writes what was put. It is over where the client is gone, takes nothing for too long, or takes
    /// nothing when all is cut or this is ended.
    async fn flush(&mut self) -> Result<(), Pumped> {
        if self.out.is_empty() {
            return Ok(());
        }
        let stall = self.place.snapshot().timeouts.write_stall;
        tokio::select! {
            biased;
            written = self.client.send(&mut self.out, stall) => {
                match record::was_sent(self.place, &written) {
                    true => Ok(()),
                    false => Err(Pumped::ClientGone),
                }
            }
            () = self.place.draining.cut() => Err(Pumped::ClientGone),
            why = alive::ended(self.place.life.as_ref()) => Err(Pumped::Severed(why)),
        }
    }
}

/// What was taken of a body.
enum Taken {
    /// All that is at hand.
    All,
    /// All of it.
    Done,
    /// What comes isn't a body, or can't be passed on.
    Unreadable,
}

/// Whether a part passed; an operator reads why it didn't.
fn judged(passed: Result<(), NotPassed>, said: Said<'_>) -> bool {
    let upstream = &said.entered.lead.route.upstream.name;
    passed.map_err(|why| why.denial(upstream)).is_ok()
}

fn restart(timer: &mut Pin<Box<Sleep>>, silence: Duration) {
    timer.as_mut().reset(Instant::now() + silence);
}
