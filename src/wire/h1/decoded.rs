use std::fmt;

use bytes::{Bytes, BytesMut};

/// What a decoder made of the bytes at hand. `Debug` shows no data: it may hold keys.
#[derive(PartialEq, Eq)]
pub enum Decoded {
    /// A part of the body, never empty, taken from the buffer without a copy.
    Data(Bytes),
    /// The buffer is used up.
    NeedMore,
    /// The body ended; what is left in the buffer isn't of it.
    Done,
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::NeedMore => f.write_str("NeedMore"),
            Self::Done => f.write_str("Done"),
        }
    }
}

/// Takes at most `left` bytes from the front of `buf` and counts them off.
pub(super) fn take(buf: &mut BytesMut, left: &mut u64) -> Bytes {
    let len = usize::try_from(*left).map_or(buf.len(), |left| left.min(buf.len()));
    // At most `left` were taken, so this can't go below 0.
    *left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
    if len == buf.len() { buf.split().freeze() } else { buf.split_to(len).freeze() }
}
