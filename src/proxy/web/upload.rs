//! The request goes to the site, its body part by part as the client sends it, until the site has
//! answered.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;

use super::super::{
    admit::Permit,
    alive,
    forward::{head_of_answer, unreachable},
    place::{Known, Place, Stopped},
};
use crate::{
    snapshot::Endpoint,
    types::{Denial, Limit},
    upstream::{Affinity, Choice, Reached, Server},
    wire::{
        BodyDecoder, Client, Connection, Framing, LAST_CHUNK, Pace, RequestHead, ResponseHead,
        Transport, Upgrade, Written, is_answered, write_chunk_head,
    },
};

/// A request on its way.
pub(super) struct Asked<'p, 's> {
    pub(super) place: &'p Place<'s>,
    pub(super) server: &'p Arc<Server>,
    pub(super) affinity: Affinity,
    pub(super) head: &'p RequestHead,
    /// The most that the body may come to, in bytes.
    pub(super) max_body: Option<u64>,
    /// The protocol that the client asks to switch to.
    pub(super) upgrade: Option<Upgrade>,
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uploaded {
    /// All of it went upstream.
    Whole,
    /// The upstream answered or hung up before: nothing more may be sent.
    Heard,
}

impl Asked<'_, '_> {
    /// Sends the request, its head as `composed` for the endpoint that it goes to, and waits for the head
    /// of its answer. What may have reached the upstream is never sent twice.
    pub(super) async fn send(
        &self,
        _permit: &Permit,
        client: &mut Client<'_>,
        composed: impl Fn(&Endpoint) -> Vec<u8>,
        known: &mut Known,
    ) -> Result<(Reached, ResponseHead), Stopped> {
        let mut draining = self.place.draining.clone();
        let answered = async {
            let reached = self.begin(client, composed, known.in_step).await?;
            let Reached { endpoint, connection: mut upstream } = reached;
            let mut uploaded = Uploaded::Whole;
            if !known.in_step {
                known.body_begun = true;
                uploaded = self.upload(client, &mut upstream).await?;
                known.in_step = uploaded == Uploaded::Whole;
            }
            let mut answer = self.answer(client, &mut upstream, known.in_step).await?;
            answer.persistent &= uploaded == Uploaded::Whole;
            Ok((Reached { endpoint, connection: upstream }, answer))
        };
        tokio::select! {
            biased;
            answered = answered => answered,
            () = draining.cut() => Err(Denial::Overload(Limit::Shutdown).into()),
            why = alive::ended(self.place.life.as_ref()) => Err(why.into()),
        }
    }

    /// Connects, and sends the head.
    async fn begin(
        &self,
        client: &mut Client<'_>,
        composed: impl Fn(&Endpoint) -> Vec<u8>,
        in_step: bool,
    ) -> Result<Reached, Stopped> {
        let begun = async {
            let connect = self.place.snapshot().timeouts.upstream_connect;
            let connected = self.server.connection(Choice::Of(self.affinity), connect).await;
            let mut reached = connected.map_err(|why| unreachable(self.place, why))?;
            let head = composed(&reached.endpoint);
            self.write(&mut reached.connection, &mut [IoSlice::new(&head)]).await?;
            Ok(reached)
        };
        tokio::select! {
            biased;
            begun = begun => begun,
            () = client.gone(), if can_be_seen_to_go(client, in_step) => Err(Stopped::Gone),
        }
    }

    async fn answer(
        &self,
        client: &mut Client<'_>,
        upstream: &mut Connection<Transport>,
        in_step: bool,
    ) -> Result<ResponseHead, Stopped> {
        let patience = self.place.snapshot().timeouts.upstream_first_byte;
        let wanted = (&self.server.upstream.name, self.head.method, patience);
        tokio::select! {
            biased;
            answer = head_of_answer(upstream, wanted, self.upgrade) => Ok(answer?),
            () = client.gone(), if can_be_seen_to_go(client, in_step) => Err(Stopped::Gone),
        }
    }

    /// Brings the body upstream. The client has its pace for what it sends; the time that the
    /// upstream takes isn't the client's.
    async fn upload(
        &self,
        client: &mut Client<'_>,
        upstream: &mut Connection<Transport>,
    ) -> Result<Uploaded, Stopped> {
        let timeouts = &self.place.snapshot().timeouts;
        if self.head.expect_continue && !client.sends_ahead() {
            client.tell_to_continue(timeouts.write_stall).await?;
        }
        let mut decoder = BodyDecoder::new(self.head.framing);
        let mut pace = Pace::new(timeouts.body);
        let mut size = 0_u64;
        loop {
            let part = tokio::select! {
                biased;
                part = client.part(&mut decoder, &mut pace) => part??,
                came = upstream.fill() => match came {
                    Ok(1..) if !is_answered(upstream.buffer()) => continue,
                    _ => return Ok(Uploaded::Heard),
                },
            };
            let Some(data) = part else { break };
            size = size.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
            if self.max_body.is_some_and(|most| size > most) {
                return Err(Denial::BodyTooLarge.into());
            }
            let begin = Instant::now();
            if self.write_part(upstream, &data).await? == Uploaded::Heard {
                return Ok(Uploaded::Heard);
            }
            pace.excuse(begin.elapsed());
        }
        if self.head.framing == Framing::Chunked {
            return self.write(upstream, &mut [IoSlice::new(LAST_CHUNK)]).await;
        }
        Ok(Uploaded::Whole)
    }

    async fn write_part(
        &self,
        upstream: &mut Connection<Transport>,
        data: &Bytes,
    ) -> Result<Uploaded, Stopped> {
        if self.head.framing != Framing::Chunked {
            return self.write(upstream, &mut [IoSlice::new(data)]).await;
        }
        let mut size = Vec::with_capacity(16);
        write_chunk_head(&mut size, data.len());
        let mut chunk = [IoSlice::new(&size), IoSlice::new(data), IoSlice::new(b"\r\n")];
        self.write(upstream, &mut chunk).await
    }

    async fn write(
        &self,
        upstream: &mut Connection<Transport>,
        parts: &mut [IoSlice<'_>],
    ) -> Result<Uploaded, Stopped> {
        let stall = self.place.snapshot().timeouts.write_stall;
        match upstream.write_until_heard(parts, stall, is_answered).await {
            Ok(Written::Whole) => Ok(Uploaded::Whole),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Denial::UpstreamSlow(Limit::WriteStall).into())
            }
            // An upstream may hang up once it has answered: the answer counts.
            Ok(Written::InPart) | Err(_) => Ok(Uploaded::Heard),
        }
    }
}

/// Whether waiting for a client to go takes nothing of its body: HTTP/1.1 shows it only where
/// nothing of the body is still to come.
const fn can_be_seen_to_go(client: &Client<'_>, in_step: bool) -> bool {
    in_step || matches!(client, Client::Http2(_))
}
