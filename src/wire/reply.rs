//! Deadlines around the reading of an answer's head.

use std::time::Duration;

use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use super::{
    connection::Connection,
    h1::{HeadScan, read_response_head},
    head::{HeadLimits, ResponseFault, ResponseHead, Upgrade},
    within::within,
};
use crate::types::Method;

/// How large an answer's head may be. Larger than a client's: frameworks are talkative.
const HEAD_LIMITS: HeadLimits = HeadLimits { target: 64 * 1024, head: 64 * 1024, fields: 256 };

/// How many answers may come before the answer. Without a bound they would keep a worker busy for as
/// long as the first byte is waited for.
const MAX_INTERIM: u32 = 16;

/// Why no head of an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The server ended the connection.
    Gone,
    /// It took too long.
    Late,
    /// What came is no head, or one that two readers could read differently.
    Unreadable(ResponseFault),
    /// A switch that nobody asked for, or interim answers without end.
    Unasked,
}

/// Waits for the head of the answer; of a switch too, where one was asked for.
///
/// # Errors
/// Whatever came in the place of one.
pub async fn next_response_head<S: AsyncRead + AsyncWrite + Unpin>(
    server: &mut Connection<S>,
    (method, patience): (Method, Duration),
    asked_for: Option<Upgrade>,
) -> Result<ResponseHead, NoAnswer> {
    let answer = async {
        let mut scan = HeadScan::default();
        let mut interim = 0;
        loop {
            match read_response_head(&mut scan, server.buffer(), HEAD_LIMITS, method) {
                Ok(Some(head)) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    let expected = asked_for.is_some() && head.upgrade == asked_for;
                    return if expected { Ok(head) } else { Err(NoAnswer::Unasked) };
                }
                Ok(Some(head)) if head.status.is_informational() => {
                    interim += 1;
                    if interim > MAX_INTERIM {
                        return Err(NoAnswer::Unasked);
                    }
                }
                Ok(Some(head)) => return Ok(head),
                Ok(None) => match server.fill().await {
                    Ok(0) | Err(_) => return Err(NoAnswer::Gone),
                    Ok(_) => {}
                },
                Err(fault) => return Err(NoAnswer::Unreadable(fault)),
            }
        }
    };
    within(|| sleep(patience), answer).await.unwrap_or(Err(NoAnswer::Late))
}
