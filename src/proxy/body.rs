use std::{net::IpAddr, time::Duration};

use bytes::Bytes;

use super::{
    memory::{Held, Memory},
    place::Stopped,
};
use crate::wire::{Client, RequestHead, read_body};

/// Reads a request's body whole, before anything of the request goes upstream: then no half request
/// ever does, and what is judged is what is forwarded.
pub(super) async fn read_whole(
    (memory, address): (&Memory, IpAddr),
    client: &mut Client<'_>,
    head: &RequestHead,
    (max, timeout): (usize, Duration),
) -> Result<Held<Bytes>, Stopped> {
    if head.expect_continue && !client.sends_ahead() {
        client.tell_to_continue(timeout).await?;
    }
    let mut share = memory.share(Some(address));
    let body = read_body(client, head.framing, max, timeout, |more| share.grow(more)).await??;
    Ok(share.hold(body))
}
