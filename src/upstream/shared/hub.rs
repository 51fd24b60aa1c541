use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::rand;
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::ids::{Call, Ids};
use crate::{
    mcp::{self, Marked, Marks},
    observe::SharedStreamsMeter,
    snapshot::Endpoint,
    types::Denial,
    wire::{Fields, PipeReader, PipeWriter, pipe},
};

/// What waits for a client at most before it is cut, in bytes. One message may be larger.
const WAITING: usize = 256 * 1024;

/// Where one stream becomes many: the seats at it, and what each of them waits for. Every worker may
/// have a hand in it, so nothing here waits.
pub(super) struct Hub {
    /// Where the stream comes from, and so where messages have to go.
    at: Arc<Endpoint>,
    /// What a client gets to see of the head of the stream.
    fields: Fields,
    /// The first event, for every seat to begin with.
    endpoint: Bytes,
    pub(super) ids: Ids,
    state: Mutex<State>,
    /// Somebody has left.
    pub(super) left: Notify,
    hears: watch::Sender<Hears>,
    meter: Option<SharedStreamsMeter>,
}

/// Whether what is answered now would be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hears {
    /// It isn't known.
    Perhaps,
    /// Something that the gateway asked for has come.
    Yes,
    /// It never will again.
    Over,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) seats: HashMap<u64, Taken>,
    /// By the numbers of their ids.
    pub(super) calls: HashMap<u64, Call>,
    next: u64,
    /// Pings that wait for an answer: to the first of them, or to the last.
    asked: Vec<u64>,
    closed: bool,
}

pub(super) struct Taken {
    pipe: PipeWriter,
    /// Calls that wait.
    pub(super) calls: usize,
}

impl Hub {
    /// `None` where the system gives no random bytes: ids that can be guessed could be another's.
    pub(super) fn new(
        at: Arc<Endpoint>,
        fields: Fields,
        endpoint: Bytes,
        meter: Option<SharedStreamsMeter>,
    ) -> Option<Self> {
        let mut random = [0; 16];
        rand::fill(&mut random).ok()?;
        Some(Self {
            at,
            fields,
            endpoint,
            ids: Ids::new(&random),
            state: Mutex::default(),
            left: Notify::new(),
            hears: watch::Sender::new(Hears::Perhaps),
            meter,
        })
    }

    pub(super) const fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) const fn meter(&self) -> Option<&SharedStreamsMeter> {
        self.meter.as_ref()
    }

    /// Its number, and what comes to it. `None` where the stream has ended.
    pub(super) fn take_seat(&self) -> Option<(u64, PipeReader)> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let (writer, reader) = pipe(WAITING);
        writer.put(self.endpoint.clone()).ok()?;
        let number = state.number();
        state.seats.insert(number, Taken { pipe: writer, calls: 0 });
        Some((number, reader))
    }

    pub(super) const fn at(&self) -> &Arc<Endpoint> {
        &self.at
    }

    /// Nobody waits for its answers any more.
    pub(super) fn leave(&self, seat: u64) {
        self.state().remove_seat(seat);
        self.left.notify_one();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().seats.is_empty()
    }

    /// Closes it, unless somebody sits there.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut state = self.state();
        state.closed |= state.seats.is_empty();
        state.closed
    }

    /// Ends every seat, as the stream of a server ends that has gone.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.lose_calls_of(&mut state);
        state.seats.drain().for_each(|(_, taken)| taken.pipe.tear());
        state.calls.clear();
        self.hears.send_replace(Hears::Over);
    }

    /// Begins to ask whether it hears. The id of the question.
    pub(super) fn ask(&self) -> String {
        let mut state = self.state();
        let number = state.number();
        state.asked.push(number);
        self.ids.write(number)
    }

    pub(super) fn heard(&self) {
        self.state().asked.clear();
        self.hears.send_replace(Hears::Yes);
    }

    /// How many pings in a row weren't answered yet.
    pub(super) fn pings(&self) -> usize {
        self.state().asked.len()
    }

    /// Whether it hears, and a change of that.
    pub(super) fn hears(&self) -> watch::Receiver<Hears> {
        self.hears.subscribe()
    }

    /// What was under way can't be answered any more: each call that was sent is told so.
    pub(super) fn lose_calls(&self) {
        let mut state = self.state();
        state.asked.clear();
        self.hears.send_replace(Hears::Perhaps);
        self.lose_calls_of(&mut state);
    }

    fn lose_calls_of(&self, state: &mut State) {
        let lost: Vec<u64> = state
            .calls
            .iter()
            .filter(|(_, call)| call.is_sent)
            .map(|(number, _)| *number)
            .collect();
        for number in lost {
            if let Some(call) = state.take_call(number) {
                self.put(state, call.seat, &error(&call));
            }
        }
    }

    /// Gives an event to whom it belongs. Whether something that the gateway asked for has come.
    pub(super) fn deliver(&self, event: &[u8]) -> bool {
        let data = match mcp::message_data(event) {
            Some(data) if !data.trim_ascii().is_empty() => data,
            // Another event than a message is none to any SDK.
            _ => return false,
        };
        let Ok(text) = String::from_utf8(data) else { return self.dropped() };
        let Ok(marks) = mcp::marks(&text) else { return self.dropped() };
        let mut state = self.state();
        let (mut heard, mut parts) = (false, BTreeMap::<u64, Vec<String>>::new());
        for message in &marks.messages {
            match self.goes_to(&mut state, &text, message) {
                Goes::To(seat, part) => {
                    heard = true;
                    parts.entry(seat).or_default().push(part);
                }
                Goes::ToAll(part) => {
                    let all: Vec<u64> = state.seats.keys().copied().collect();
                    all.into_iter().for_each(|seat| self.put(&mut state, seat, &part));
                }
                Goes::ToUs => heard = true,
                Goes::TooLate => {
                    heard = true;
                    self.dropped();
                }
                Goes::ToNobody => {
                    self.dropped();
                }
            }
        }
        for (seat, parts) in parts {
            self.put(&mut state, seat, &joined(&marks, &parts));
        }
        heard
    }

    /// To whom a message goes, and how it reads there.
    fn goes_to(&self, state: &mut State, text: &str, message: &Marked) -> Goes {
        let at = |place: &mcp::Place| text.get(place.clone()).unwrap_or_default();
        let with = |instead| mcp::with_instead(text, message.whole.clone(), instead);
        match (&message.method, &message.id, &message.progress) {
            (None, Some(id), _) => {
                let Some(number) = self.ids.read(at(id)) else { return Goes::ToNobody };
                if state.asked.contains(&number) {
                    return Goes::ToUs;
                }
                state.take_call(number).map_or(Goes::TooLate, |call| {
                    Goes::To(call.seat, with(vec![(id.clone(), call.id.into())]))
                })
            }
            (Some(method), None, Some(token)) if method == "notifications/progress" => {
                let call = self.ids.read(at(token)).and_then(|number| state.calls.get(&number));
                let own = call.and_then(|call| Some((call.seat, call.token.clone()?)));
                own.map_or(Goes::ToNobody, |(seat, own)| {
                    Goes::To(seat, with(vec![(token.clone(), own.into())]))
                })
            }
            (Some(method), None, _) if method.ends_with("/list_changed") => {
                Goes::ToAll(with(Vec::new()))
            }
            // What one client logs, subscribes to or is asked is nothing that another may see.
            _ => Goes::ToNobody,
        }
    }

    /// Puts a message into a seat's stream. Who reads too slowly loses the seat, and nobody else anything.
    fn put(&self, state: &mut State, seat: u64, message: &str) {
        let Some(taken) = state.seats.get(&seat) else { return };
        if taken.pipe.put(as_event(message)).is_err() {
            state.remove_seat(seat);
            self.dropped();
        }
    }

    /// Counts a message that went to nobody.
    fn dropped(&self) -> bool {
        if let Some(meter) = &self.meter {
            meter.dropped();
        }
        false
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To whom a message of the server goes.
enum Goes {
    To(u64, String),
    ToAll(String),
    ToUs,
    /// Nobody waits for it any more; it was asked for here all the same.
    TooLate,
    ToNobody,
}

impl State {
    /// A number that nothing has had.
    pub(super) const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn take_call(&mut self, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        if let Some(taken) = self.seats.get_mut(&call.seat) {
            taken.calls = taken.calls.saturating_sub(1);
        }
        Some(call)
    }

    fn remove_seat(&mut self, seat: u64) {
        if let Some(taken) = self.seats.remove(&seat) {
            // It is torn already where it wasn't read, and nobody reads it where its client left.
            taken.pipe.tear();
            if taken.calls > 0 {
                self.calls.retain(|_, call| call.seat != seat);
            }
        }
    }
}

/// The messages of one seat, in the manner in which they came.
fn joined(marks: &Marks, parts: &[String]) -> String {
    if marks.is_batch { format!("[{}]", parts.join(",")) } else { parts.concat() }
}

fn as_event(message: &str) -> Bytes {
    let mut out = String::with_capacity(message.len() + 32);
    out.push_str("event: message\n");
    for line in message.split('\n') {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
    out.into()
}

/// What a call is told that can't be answered any more.
fn error(call: &Call) -> String {
    let (denial, request) = (Denial::UpstreamGone, call.request);
    let face = denial.face();
    let data = format!(r#"{{"reason":"{}","request_id":"{request}"}}"#, face.reason);
    mcp::error_response(&mcp::RpcId::new(&call.id), face.code, &denial.text(request), &data)
}
