//! The chunked coding (RFC 9112 7.1), one byte at a time outside the data. There is one spelling:
//! no white space, no LF alone, no sign, no prefix.

use bytes::{Buf, BytesMut};

use super::decoded::{Decoded, take};
use crate::{types::Malformation, wire::names::is_token_byte};

/// The most that a chunk's extensions may take. They are dropped, so more is only a way to keep
/// the reader busy.
const MAX_EXTENSION_BYTES: usize = 256;

/// The most that the trailers of a body may take: the default of `limits.head`.
const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// 16 hex digits are 64 bits: the size can't overflow.
const MAX_SIZE_DIGITS: u8 = 16;

#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// What is left of the chunk under way.
    left: u64,
    /// Bytes spent on the extensions of this chunk, or on trailers.
    spent: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        digits: u8,
    },
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer line or of the blank line that ends them.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    /// A byte didn't belong. There is no way back: what follows could be read as anything.
    Broken,
}

/// Where in `*( ";" token [ "=" ( token / quoted-string ) ] )` (RFC 9112 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    QuoteEnd,
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { state: State::Size { digits: 0 }, left: 0, spent: 0 }
    }

    pub(super) fn decode(&mut self, buf: &mut BytesMut) -> Result<Decoded, Malformation> {
        let mut used = 0;
        for byte in buf.iter() {
            if matches!(self.state, State::Data | State::Done) {
                break;
            }
            let Some(state) = self.step(*byte) else {
                self.state = State::Broken;
                return Err(Malformation::Chunk);
            };
            self.state = state;
            used += 1;
        }
        buf.advance(used);
        match self.state {
            State::Done => Ok(Decoded::Done),
            State::Data if !buf.is_empty() => {
                let data = take(buf, &mut self.left);
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                Ok(Decoded::Data(data))
            }
            _ => Ok(Decoded::NeedMore),
        }
    }

    /// The state after one byte; `None` where it doesn't belong.
    fn step(&mut self, byte: u8) -> Option<State> {
        match (self.state, byte) {
            (State::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.add_digit(digits, byte)
            }
            (State::Size { digits: 1.. }, b'\r') => Some(State::SizeLf),
            (State::Size { digits: 1.. }, b';') => {
                self.spent = 1;
                Some(State::Extension(Extension::NameStart))
            }
            (State::Extension(at), _) => {
                self.spend(MAX_EXTENSION_BYTES)?;
                at.step(byte)
            }
            (State::SizeLf, b'\n') => {
                self.spent = 0;
                Some(if self.left == 0 { State::Trailer } else { State::Data })
            }
            (State::DataCr, b'\r') => Some(State::DataLf),
            (State::DataLf, b'\n') => Some(State::Size { digits: 0 }),
            (State::Trailer, b'\r') => Some(State::EndLf),
            (State::EndLf, b'\n') => Some(State::Done),
            (State::Trailer | State::TrailerName | State::TrailerValue | State::TrailerLf, _) => {
                self.spend(MAX_TRAILER_BYTES)?;
                self.step_trailer(byte)
            }
            _ => None,
        }
    }

    fn add_digit(&mut self, digits: u8, byte: u8) -> Option<State> {
        if digits == 0 {
            self.left = 0;
        }
        if digits >= MAX_SIZE_DIGITS {
            return None;
        }
        self.left = self.left << 4 | u64::from(char::from(byte).to_digit(16)?);
        Some(State::Size { digits: digits + 1 })
    }

    /// A trailer is a field line (RFC 9112 7.1.2) and read as strictly, though it is dropped.
    fn step_trailer(&self, byte: u8) -> Option<State> {
        match (self.state, byte) {
            (State::Trailer | State::TrailerName, _) if is_token_byte(byte) => {
                Some(State::TrailerName)
            }
            (State::TrailerName, b':') => Some(State::TrailerValue),
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Some(State::TrailerValue),
            (State::TrailerValue, b'\r') => Some(State::TrailerLf),
            (State::TrailerLf, b'\n') => Some(State::Trailer),
            _ => None,
        }
    }

    fn spend(&mut self, bound: usize) -> Option<()> {
        self.spent += 1;
        (self.spent <= bound).then_some(())
    }
}

impl Extension {
    fn step(self, byte: u8) -> Option<State> {
        let next = match (self, byte) {
            (Self::NameStart | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::ValueStart | Self::Value, _) if is_token_byte(byte) => Self::Value,
            (Self::Name, b'=') => Self::ValueStart,
            (Self::ValueStart, b'"') => Self::Quoted,
            // No quoted pairs: readers differ on them, and nobody sends them here.
            (Self::Quoted, b'\t' | b' ' | b'!' | b'#'..=b'[' | b']'..=b'~') => Self::Quoted,
            (Self::Quoted, b'"') => Self::QuoteEnd,
            (Self::Name | Self::Value | Self::QuoteEnd, b';') => Self::NameStart,
            (Self::Name | Self::Value | Self::QuoteEnd, b'\r') => return Some(State::SizeLf),
            _ => return None,
        };
        Some(State::Extension(next))
    }
}
