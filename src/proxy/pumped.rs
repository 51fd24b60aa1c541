//! How a body ended, and what that makes of its exchange.

use std::time::Duration;

use super::place::{End, Next};
use crate::{observe::Outcome, types::Denial, wire::Coding};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// All of it went to the client.
    Whole,
    /// The client left.
    ClientGone,
    /// The upstream left in the middle, or sent what can't be passed on.
    UpstreamGone,
    /// The drain's grace was over; the client read a clean end.
    Cut,
    /// The drain's grace was over in the middle of something.
    Torn,
    /// It was ended from outside, and the client can still be told.
    Ended(Denial),
    /// The same while the client took nothing.
    Severed(Denial),
}

impl Pumped {
    /// What became of an exchange whose body ended so. `told`: the client read why it ended.
    pub(super) fn end(
        self,
        (status, coding, keeps): (u16, Coding, bool),
        (first_byte, bytes_out): (Duration, u64),
        told: bool,
    ) -> End {
        let next = match self {
            Self::Whole if keeps => Next::Keep,
            Self::UpstreamGone | Self::Torn if coding == Coding::UntilClose && !told => Next::Reset,
            // What it hasn't taken yet it doesn't get.
            Self::Ended(_) if !told => Next::Reset,
            Self::Severed(_) => Next::Reset,
            _ => Next::Close,
        };
        End {
            status: Some(status),
            outcome: self.outcome(),
            reason: self.why().map(|why| why.face().reason),
            first_byte: Some(first_byte),
            bytes_out,
            next,
        }
    }

    const fn why(self) -> Option<Denial> {
        match self {
            Self::UpstreamGone => Some(Denial::UpstreamGone),
            Self::Ended(why) | Self::Severed(why) => Some(why),
            Self::Whole | Self::ClientGone | Self::Cut | Self::Torn => None,
        }
    }

    const fn outcome(self) -> Outcome {
        match self {
            Self::Whole => Outcome::Answered,
            Self::ClientGone => Outcome::ClientGone,
            Self::UpstreamGone => Outcome::UpstreamGone,
            Self::Cut | Self::Torn | Self::Ended(_) | Self::Severed(_) => Outcome::Cut,
        }
    }
}
