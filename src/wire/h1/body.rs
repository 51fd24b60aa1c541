use bytes::BytesMut;

use super::{
    chunked::Chunked,
    decoded::{Decoded, take},
};
use crate::{types::Malformation, wire::Framing};

/// Follows the bytes of a body, whoever reads them. It does no I/O and holds no bytes.
#[derive(Debug)]
pub struct BodyDecoder(State);

#[derive(Debug)]
enum State {
    /// So many bytes are to come; never 0.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

impl BodyDecoder {
    /// A decoder for a body of that framing.
    pub const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Takes the next part of the body from the front of `buf`. Chunk extensions and trailers are
    /// read strictly and dropped. After a fault every byte is one.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Decoded, Malformation> {
        if let State::Done = self.0 {
            return Ok(Decoded::Done);
        }
        if buf.is_empty() {
            return Ok(Decoded::NeedMore);
        }
        match &mut self.0 {
            State::Length(left) => {
                let data = take(buf, left);
                if *left == 0 {
                    self.0 = State::Done;
                }
                Ok(Decoded::Data(data))
            }
            State::Chunked(chunked) => {
                let decoded = chunked.decode(buf)?;
                if decoded == Decoded::Done {
                    self.0 = State::Done;
                }
                Ok(decoded)
            }
            State::UntilClose => Ok(Decoded::Data(buf.split().freeze())),
            State::Done => Ok(Decoded::Done),
        }
    }

    /// Tells the decoder that no more bytes will come. An error if the body was cut.
    pub fn end_of_input(&mut self) -> Result<(), Malformation> {
        match self.0 {
            State::Done => Ok(()),
            State::UntilClose => {
                self.0 = State::Done;
                Ok(())
            }
            State::Length(_) => Err(Malformation::Framing),
            State::Chunked(_) => Err(Malformation::Chunk),
        }
    }
}
