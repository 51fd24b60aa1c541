use std::io;

use bytes::BytesMut;
use http::StatusCode;

use super::Patience;
use crate::{
    mcp::{Piece, WholeEvents},
    snapshot::Endpoint,
    types::{Method, Secret},
    upstream::Server,
    wire::{BodyDecoder, Connection, Decoded, Framing, Transport, next_response_head},
};

/// The most that is held of one event, in bytes: what SDKs take of a message too.
const MOST: usize = 4 << 20;

/// The server's stream, event by event.
pub(super) struct Stream {
    connection: Connection<Transport>,
    decoder: BodyDecoder,
    events: WholeEvents,
}

/// Why there is no stream.
pub(super) enum NoStream {
    /// The server doesn't give one.
    Refused,
    /// It can't be reached, or is busy.
    NotNow,
}

/// The stream has ended, or can't be read any more.
pub(super) struct Ended;

impl Stream {
    pub(super) fn new(connection: Connection<Transport>, framing: Framing) -> Self {
        let (decoder, events) = (BodyDecoder::new(framing), WholeEvents::default());
        Self { connection, decoder, events }
    }

    /// Opens one, by a request of the gateway's own.
    pub(super) async fn open(
        server: &Server,
        (endpoint, opening): (&Endpoint, &Secret),
        patience: Patience,
    ) -> Result<Self, NoStream> {
        let instance = server.at(endpoint).ok_or(NoStream::NotNow)?;
        let connected = server.connect_anew(instance, patience.reach).await;
        let mut connection = connected.map_err(|_| NoStream::NotNow)?;
        let written = connection.write_all(opening.expose().as_bytes(), patience.reach).await;
        written.map_err(|_: io::Error| NoStream::NotNow)?;
        let head = next_response_head(&mut connection, (Method::Get, patience.reach), None).await;
        let head = head.map_err(|_| NoStream::NotNow)?;
        let is_stream = head.fields.media_type() == b"text/event-stream"
            && !head.fields.contains("content-encoding");
        match head.status {
            StatusCode::OK if is_stream => Ok(Self::new(connection, head.framing)),
            status if status.is_server_error() => Err(NoStream::NotNow),
            StatusCode::TOO_MANY_REQUESTS => Err(NoStream::NotNow),
            _ => Err(NoStream::Refused),
        }
    }

    /// The next event; `None` where it hasn't come whole.
    pub(super) fn next(&mut self) -> Result<Option<BytesMut>, Ended> {
        loop {
            while let Some(piece) = self.events.next_piece() {
                if let Piece::Event(event) = piece {
                    return Ok(Some(event));
                }
            }
            if self.events.held() > MOST {
                return Err(Ended);
            }
            match self.decoder.decode(self.connection.buffer()) {
                Ok(Decoded::Data(data)) => self.events.feed(&data),
                Ok(Decoded::NeedMore) => return Ok(None),
                Ok(Decoded::Done) | Err(_) => return Err(Ended),
            }
        }
    }

    /// Waits for more of it.
    pub(super) async fn fill(&mut self) -> Result<(), Ended> {
        match self.connection.fill_large().await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Ended),
        }
    }
}
