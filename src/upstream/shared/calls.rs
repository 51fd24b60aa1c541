use std::sync::Arc;

use bytes::Bytes;

use super::{
    Seat,
    hub::{Hears, Hub, State},
    ids::Call,
};
use crate::{
    mcp::{self, Marked, Place, RpcId},
    types::RequestId,
};

/// The most calls that wait at one seat.
const MOST: usize = 256;

/// The calls of one body, which wait for their answers. Dropped before they were sent, they wait no
/// more.
pub struct Awaited {
    hub: Arc<Hub>,
    numbers: Vec<u64>,
}

/// Why a body can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAwaited {
    /// The stream that its answers would come on has ended.
    Ended,
    /// A name of a message is longer than is kept.
    TooLong,
    /// Too many calls wait at the seat.
    TooMany,
    /// It can't be read, though it was read before.
    Unreadable,
}

impl Seat {
    /// Writes a body anew, with names of messages that are nobody else's, and waits for the answers to
    /// its calls. All the rest of it keeps its bytes.
    ///
    /// # Errors
    /// Where it can't be sent; nothing waits then.
    pub fn expect(&self, body: &[u8], request: RequestId) -> Result<(Bytes, Awaited), NotAwaited> {
        let text = std::str::from_utf8(body).map_err(|_| NotAwaited::Unreadable)?;
        let marks = mcp::marks(text).map_err(|_| NotAwaited::Unreadable)?;
        let mut state = self.hub.state();
        let waiting = state.seats.get(&self.number).ok_or(NotAwaited::Ended)?.calls;
        if waiting + marks.messages.iter().filter(|message| is_call(message)).count() > MOST {
            return Err(NotAwaited::TooMany);
        }
        let (mut calls, mut instead) = (Vec::new(), Vec::new());
        for message in &marks.messages {
            let number = state.number();
            if is_call(message) {
                calls.push((number, self.call(text, message, request)?));
            }
            instead.extend(self.named_anew(&state, text, (message, number)));
        }
        let numbers = calls.iter().map(|(number, _)| *number).collect();
        if let Some(taken) = state.seats.get_mut(&self.number) {
            taken.calls += calls.len();
        }
        state.calls.extend(calls);
        let body = mcp::with_instead(text, 0..text.len(), instead);
        Ok((body.into(), Awaited { hub: Arc::clone(&self.hub), numbers }))
    }

    fn call(&self, text: &str, message: &Marked, request: RequestId) -> Result<Call, NotAwaited> {
        let kept = |place: &Place| {
            let name = text.get(place.clone()).filter(|name| name.len() <= RpcId::MAX_BYTES);
            name.map(Box::from).ok_or(NotAwaited::TooLong)
        };
        Ok(Call {
            seat: self.number,
            id: message.id.as_ref().map(kept).transpose()?.unwrap_or_default(),
            token: message.token.as_ref().map(kept).transpose()?,
            request,
            is_sent: false,
        })
    }

    /// The names that a message has upstream. `number` is its own, and nobody's where it is no call: the
    /// answer to a question that this client was never asked answers nothing there.
    fn named_anew(
        &self,
        state: &State,
        text: &str,
        (message, number): (&Marked, u64),
    ) -> Vec<(Place, String)> {
        let cancelled = |place: &Place| {
            let own = text.get(place.clone()).unwrap_or_default();
            let mut calls = state.calls.iter();
            calls
                .find(|(_, call)| call.seat == self.number && *call.id == *own)
                .map(|(number, _)| *number)
        };
        let ids = &self.hub.ids;
        let own = [&message.id, &message.token, &message.progress].into_iter().flatten();
        let own = own.map(|place| (place.clone(), ids.write(number)));
        let about_a_call = message.method.as_deref() == Some("notifications/cancelled");
        let cancels = message.cancels.iter().filter(|_| about_a_call);
        let cancels =
            cancels.map(|place| (place.clone(), ids.write(cancelled(place).unwrap_or(number))));
        own.chain(cancels).collect()
    }
}

fn is_call(message: &Marked) -> bool {
    message.method.is_some() && message.id.is_some()
}

impl Awaited {
    /// Waits until it is known that an answer would be heard, and notes the calls as sent.
    ///
    /// # Errors
    /// Where the stream has ended.
    pub async fn can_be_heard(&self) -> Result<(), NotAwaited> {
        let mut hears = self.hub.hears();
        loop {
            let now = hears.wait_for(|hears| *hears != Hears::Perhaps).await;
            if now.map_or(Hears::Over, |now| *now) == Hears::Over {
                return Err(NotAwaited::Ended);
            }
            let mut state = self.hub.state();
            // It may have gone deaf meanwhile; that is noted with the state held, as this is.
            if *hears.borrow() == Hears::Yes {
                for number in &self.numbers {
                    let Some(call) = state.calls.get_mut(number) else {
                        return Err(NotAwaited::Ended);
                    };
                    call.is_sent = true;
                }
                return Ok(());
            }
        }
    }

    /// The server may have them: they wait for as long as their client does.
    pub fn were_sent(&mut self) {
        self.numbers.clear();
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if !self.numbers.is_empty() {
            let mut state = self.hub.state();
            self.numbers.drain(..).for_each(|number| drop(state.take_call(number)));
        }
    }
}
