use std::time::Duration;

use bytes::Bytes;

use super::{
    memory::{Held, Memory},
    place::Stopped,
};
use crate::wire::{Connection, RequestHead, Transport, read_body};

/// Reads a request's body whole, before anything of the request goes upstream: then no half request
/// ever does, and what is judged is what is forwarded.
pub(super) async fn read_whole(
    memory: &Memory,
    client: &mut Connection<Transport>,
    head: &RequestHead,
    (max, timeout): (usize, Duration),
) -> Result<Held<Bytes>, Stopped> {
    if head.expect_continue && client.buffer().is_empty() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", timeout).await?;
    }
    let mut share = memory.share();
    let body = read_body(client, head.framing, max, timeout, |more| share.grow(more)).await??;
    Ok(share.hold(body))
}
