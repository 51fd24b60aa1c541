use std::io;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::words::{self, Word};
use crate::{
    gateway::{
        boot::BootError,
        keepers::Texts,
        kept::{self, Kept},
    },
    host::Line,
    policy::{BucketKey, Buckets},
    snapshot::Snapshot,
};

/// What goes over once nothing new is accepted any more.
#[derive(Default)]
pub(super) struct Estate {
    pub(super) buckets: Vec<Buckets>,
    pub(super) texts: Texts,
}

impl Estate {
    pub(super) fn say(&self, line: &Line) -> io::Result<()> {
        for buckets in &self.buckets {
            words::say(line, Word::Buckets, &words::written(buckets))?;
        }
        for text in &self.texts {
            words::say(line, Word::Kept, text.as_bytes())?;
        }
        words::say(line, Word::End, &[])
    }

    pub(super) fn hear(line: &Line) -> io::Result<Self> {
        let mut estate = Self::default();
        let mut texts = Vec::new();
        loop {
            let (word, heard) = words::hear(line, super::SOON)?;
            match word {
                Word::Buckets if estate.buckets.len() < MOST => {
                    estate.buckets.push(words::read(&heard.body).ok_or_else(words::unexpected)?);
                }
                Word::Kept if texts.len() < MOST => {
                    let text = std::str::from_utf8(&heard.body);
                    texts.push(text.map_err(|_| words::unexpected())?.to_owned());
                }
                Word::End => break,
                _ => return Err(words::unexpected()),
            }
        }
        // Of a version that keeps other things: what is known to both comes first.
        texts.resize_with(estate.texts.len(), String::new);
        for (text, heard) in estate.texts.iter_mut().zip(texts) {
            *text = heard;
        }
        Ok(estate)
    }
}

/// The most messages of one kind.
const MOST: usize = 16;

/// What is random, and has to be the same in the process that takes over.
#[derive(Clone)]
pub(in crate::gateway) struct Secrets {
    /// The salt of fingerprints.
    pub(in crate::gateway) salt: Kept,
    /// What seals sessions.
    pub(in crate::gateway) seal: Kept,
    /// What buckets are found by.
    pub(in crate::gateway) buckets: BucketKey,
}

impl Secrets {
    /// Those of the state directory; where there is none, those of the older process, or new ones.
    pub(super) fn find(snapshot: &Snapshot, taken: Option<Self>) -> Result<Self, BootError> {
        let dir = snapshot.state_dir.as_deref();
        match (dir, taken) {
            (None, Some(taken)) => Ok(taken),
            (_, taken) => {
                let mut buckets = BucketKey::default();
                rand::fill(&mut buckets).map_err(|_| BootError::Random)?;
                Ok(Self {
                    salt: kept::salt(dir)?,
                    seal: kept::seal(dir)?,
                    buckets: taken.map_or(buckets, |taken| taken.buckets),
                })
            }
        }
    }

    pub(super) fn say(&self, line: &Line) -> io::Result<()> {
        let all = Zeroizing::new([&self.salt[..], &self.seal, &self.buckets].concat());
        words::say(line, Word::Secrets, &all)
    }

    pub(super) fn hear(line: &Line) -> io::Result<Self> {
        let heard = words::expect(line, Word::Secrets, super::SOON)?;
        let read = || {
            let (salt, rest) = heard.body.split_at_checked(kept::BYTES)?;
            let (seal, buckets) = rest.split_at_checked(kept::BYTES)?;
            let kept = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
            let buckets = buckets.try_into().ok()?;
            Some(Self { salt: kept(salt), seal: kept(seal), buckets })
        };
        read().ok_or_else(words::unexpected)
    }
}
