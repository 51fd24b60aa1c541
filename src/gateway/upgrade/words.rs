//! What two processes say to each other while the one takes over from the other:
//!
//! | the new one | the old one |
//! |---|---|
//! | `Hello` | |
//! | | `Sockets`, `Secrets` |
//! | binds what the old one hasn't: `Ready` | |
//! | | accepts no more, keeps its state a last time: `Buckets`, `Kept`, `End` |
//! | has it all: `Taken` | |
//! | | `Go` |
//! | accepts: `Serving` | |
//! | | closes its sockets and lets its streams end |
//!
//! Until `Go` either side may go away and the old one goes on. Behind it, only if the new one is gone
//! before it serves.

use std::{io, os::fd::BorrowedFd, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    admin::Elder,
    host::{Heard, Line},
    policy::{Bucket, Buckets},
};

/// The version of this conversation. Of processes that speak different ones neither takes over.
pub(super) const PROTOCOL: u32 = 1;

/// Which message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Word {
    Hello,
    Refused,
    Sockets,
    Secrets,
    Ready,
    Buckets,
    Kept,
    End,
    Taken,
    Go,
    Serving,
}

impl Word {
    const ALL: [Self; 11] = [
        Self::Hello,
        Self::Refused,
        Self::Sockets,
        Self::Secrets,
        Self::Ready,
        Self::Buckets,
        Self::Kept,
        Self::End,
        Self::Taken,
        Self::Go,
        Self::Serving,
    ];

    fn number(self) -> u8 {
        let at = Self::ALL.iter().position(|word| *word == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// What `Hello` says.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) version: String,
}

/// What `Sockets` says. The sockets themselves come with it, in this order.
#[derive(Serialize, Deserialize)]
pub(super) struct Handed {
    pub(super) sockets: Vec<String>,
    pub(super) elders: Vec<Elder>,
}

pub(super) fn say(line: &Line, word: Word, body: &[u8]) -> io::Result<()> {
    say_with(line, word, body, &[])
}

pub(super) fn say_with(
    line: &Line,
    word: Word,
    body: &[u8],
    sockets: &[BorrowedFd<'_>],
) -> io::Result<()> {
    line.say(word.number(), body, sockets)
}

/// Waits for the next message.
pub(super) fn hear(line: &Line, within: Duration) -> io::Result<(Word, Heard)> {
    let heard = line.hear(within)?;
    let word = Word::of(heard.kind).ok_or_else(unexpected)?;
    Ok((word, heard))
}

/// Waits for that message.
pub(super) fn expect(line: &Line, word: Word, within: Duration) -> io::Result<Heard> {
    let (said, heard) = hear(line, within)?;
    if said == word { Ok(heard) } else { Err(unexpected()) }
}

pub(super) fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it says what wasn't expected")
}

/// Buckets as they are sent: 16 bytes each.
pub(super) fn written(buckets: &[Bucket]) -> Vec<u8> {
    let bytes = |b: &Bucket| [b.tag.to_le_bytes(), b.refills.to_le_bytes()];
    buckets.iter().flat_map(bytes).flatten().collect()
}

/// Buckets as they were sent.
pub(super) fn read(bytes: &[u8]) -> Option<Buckets> {
    let (all, []) = bytes.as_chunks::<8>() else { return None };
    let (all, []) = all.as_chunks::<2>() else { return None };
    let bucket = |[tag, refills]: &[[u8; 8]; 2]| Bucket {
        tag: u64::from_le_bytes(*tag),
        refills: i64::from_le_bytes(*refills),
    };
    Some(all.iter().map(bucket).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_a_number_of_its_own() {
        for word in Word::ALL {
            assert_eq!(Word::of(word.number()), Some(word));
        }
        assert_eq!(Word::of(11), None);
    }

    #[test]
    fn buckets_are_read_as_they_were_written_or_not_at_all() {
        let buckets = [Bucket { tag: 1, refills: -5 }, Bucket { tag: u64::MAX, refills: 7 }];
        let bytes = written(&buckets);
        assert_eq!(read(&bytes).unwrap(), buckets);
        assert_eq!(read(&[]).unwrap(), []);
        for cut in [1, 8, 15, 31] {
            assert!(read(&bytes[..cut]).is_none());
        }
    }
}
