use std::time::Duration;

use http::StatusCode;
use tokio::time::sleep;

use crate::{
    mcp,
    wire::{BodyDecoder, Connection, Decoded, Framing, ResponseHead, Transport, within},
};

/// The most that is read of a body to know it, in bytes as they come.
const MOST: usize = 16 * 1024;

/// The same as a length that is said before.
const MOST_SAID: u64 = 16 * 1024;

/// How long it is waited for. What says so little says it at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether an answer says that the session isn't known, with 400 where the specification has 404:
/// Postiz v2.8 to v2.22 does, and clients that read 400 never begin a new session.
///
/// The body is looked at and stays to be read, so that any other 400 passes as it came.
pub(in crate::proxy) async fn is_denied(
    upstream: &mut Connection<Transport>,
    answer: &ResponseHead,
) -> bool {
    if answer.status != StatusCode::BAD_REQUEST {
        return false;
    }
    let body = within(|| sleep(PATIENCE), small_body(upstream, answer.framing)).await;
    body.flatten().is_some_and(|body| mcp::denies_session(&body))
}

/// The whole of a small body; `None` where it is larger, ends early or says no length: at its end
/// nobody could tell later whether it was reset.
async fn small_body(upstream: &mut Connection<Transport>, framing: Framing) -> Option<Vec<u8>> {
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
