//! The request goes to the site, its body part by part as the client sends it, until the site has
//! answered.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;

use super::super::{
    admit::{Permit, Visit},
    forward::head_of_answer,
    place::{Known, Place, Stopped},
};
use crate::{
    types::Denial,
    upstream::Server,
    wire::{
        BodyDecoder, Client, Connection, Framing, LAST_CHUNK, Pace, RequestHead, ResponseHead,
        Transport, Written, write_chunk_head,
    },
};

/// A request on its way.
pub(super) struct Asked<'p, 's> {
    pub(super) place: &'p Place<'s>,
    pub(super) server: &'p Arc<Server>,
    pub(super) head: &'p RequestHead,
    pub(super) visit: &'p Visit,
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
    /// Sends the request and waits for the head of its answer. What may have reached the upstream is
    /// never sent twice.
    pub(super) async fn send(
        &self,
        _permit: &Permit,
        client: &mut Client<'_>,
        composed: &[u8],
        known: &mut Known,
    ) -> Result<(Connection<Transport>, ResponseHead), Stopped> {
        let timeouts = &self.place.snapshot.timeouts;
        let connected = self.server.connection(timeouts.upstream_connect).await;
        let mut upstream = connected.map_err(|_| Denial::UpstreamDown)?;
        let mut uploaded = self.write(&mut upstream, &mut [IoSlice::new(composed)]).await?;
        if uploaded == Uploaded::Whole && !known.in_step {
            known.body_begun = true;
            uploaded = self.upload(client, &mut upstream).await?;
            known.in_step = uploaded == Uploaded::Whole;
        }
        let (name, patience) = (&self.server.upstream.name, timeouts.upstream_first_byte);
        let mut draining = self.place.draining.clone();
        let answered =
            head_of_answer(&mut upstream, (name, self.head.method, patience), self.visit.upgrade);
        let answer = tokio::select! {
            biased;
            answer = answered => answer,
            // Who still sends its body isn't listened to: the answer comes at once, or never.
            () = client.gone(), if known.in_step => return Err(Stopped::Gone),
            () = draining.cut() => Err(Denial::Overload),
        };
        let mut answer = answer?;
        answer.persistent &= uploaded == Uploaded::Whole;
        Ok((upstream, answer))
    }

    /// Brings the body upstream. The client has its pace for what it sends; the time that the
    /// upstream takes isn't the client's.
    async fn upload(
        &self,
        client: &mut Client<'_>,
        upstream: &mut Connection<Transport>,
    ) -> Result<Uploaded, Stopped> {
        let timeouts = &self.place.snapshot.timeouts;
        if self.head.expect_continue && !client.sends_ahead() {
            client.tell_to_continue(timeouts.write_stall).await?;
        }
        let mut decoder = BodyDecoder::new(self.head.framing);
        let mut pace = Pace::new(timeouts.body);
        let mut draining = self.place.draining.clone();
        let mut size = 0_u64;
        loop {
            let part = tokio::select! {
                biased;
                part = client.part(&mut decoder, &mut pace) => part??,
                _ = upstream.fill() => return Ok(Uploaded::Heard),
                () = draining.cut() => return Err(Denial::Overload.into()),
            };
            let Some(data) = part else { break };
            size = size.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
            if self.visit.max_body.is_some_and(|most| size > most) {
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
        let stall = self.place.snapshot.timeouts.write_stall;
        match upstream.write_until_heard(parts, stall).await {
            Ok(Written::Whole) => Ok(Uploaded::Whole),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Denial::UpstreamSlow.into())
            }
            // An upstream may hang up once it has answered: the answer counts.
            Ok(Written::InPart) | Err(_) => Ok(Uploaded::Heard),
        }
    }
}
