//! The body of a small answer, or the first event of a stream, is looked at and stays to be read: it is
//! passed on as it came unless it says what the gateway has to know.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    mcp::{FirstEvent, Step},
    wire::{BodyDecoder, Connection, Decoded, Framing, ResponseHead, Transport, within},
};

/// The most that is read of a body to know it, in bytes as they come.
const MOST: usize = 16 * 1024;

/// The same as a length that is said before.
const MOST_SAID: u64 = 16 * 1024;

/// How long it is waited for. What says so little says it at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// The whole of a small body; `None` where it is larger, late, ends early or says no length: at its
/// end nobody could tell later whether it was reset.
pub(super) async fn small_body(
    upstream: &mut Connection<Transport>,
    answer: &ResponseHead,
) -> Option<Vec<u8>> {
    within(|| sleep(PATIENCE), read(upstream, answer.framing)).await.flatten()
}

async fn read(upstream: &mut Connection<Transport>, framing: Framing) -> Option<Vec<u8>> {
    if !matches!(framing, Framing::Chunked | Framing::Length(1..=MOST_SAID)) {
        return None;
    }
    while upstream.buffer().len() <= MOST {
        let (mut decoder, mut at_hand) = (BodyDecoder::new(framing), upstream.buffer().clone());
        let mut body = Vec::new();
        loop {
            match decoder.decode(&mut at_hand).ok()? {
                Decoded::Data(data) => body.extend_from_slice(&data),
                Decoded::NeedMore => break,
                Decoded::Done => return Some(body),
            }
        }
        if !matches!(upstream.fill().await, Ok(1..)) {
            return None;
        }
    }
    None
}

/// How long the first event of a legacy stream is waited for. It is said at once, too.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);

/// The first event of a stream; `None` where it is late, too long, or there is none.
pub(super) async fn first_event(
    upstream: &mut Connection<Transport>,
    answer: &ResponseHead,
) -> Option<Vec<u8>> {
    let event = async {
        while upstream.buffer().len() <= MOST {
            let (mut decoder, mut at_hand) =
                (BodyDecoder::new(answer.framing), upstream.buffer().clone());
            let mut first = FirstEvent::strict();
            while let Decoded::Data(data) = decoder.decode(&mut at_hand).ok()? {
                if let Some(event) = first_of(&mut first, &data)? {
                    return Some(event);
                }
            }
            if !matches!(upstream.fill().await, Ok(1..)) {
                return None;
            }
        }
        None
    };
    within(|| sleep(EVENT_PATIENCE), event).await.flatten()
}

/// The first event once it is whole; `None` where there will be none.
#[expect(clippy::option_option, reason = "no event yet, and none ever")]
fn first_of(first: &mut FirstEvent, mut data: &[u8]) -> Option<Option<Vec<u8>>> {
    while !data.is_empty() {
        let (step, used) = first.feed(data);
        data = data.get(used..).unwrap_or_default();
        match step {
            Step::First(event) => return Some(Some(event)),
            Step::TooLong => return None,
            Step::Hold | Step::Pass(_) => {}
        }
    }
    Some(None)
}
