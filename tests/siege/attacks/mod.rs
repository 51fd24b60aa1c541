//! The attacks, in the order of `make siege`.

mod handshakes;
mod http1;
mod http2;
mod json;
mod keys;
mod slow;
mod streams;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time;

use super::{INTERRUPTED, Outcome, field::Field, gateway::Terms};

/// What the gateway is attacked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    SlowHead,
    SlowBody,
    SlowRead,
    Handshakes,
    HalfAHello,
    NoAnswerToTheHello,
    RapidReset,
    MadeYouReset,
    Continuation,
    EmptyData,
    Ping,
    Settings,
    Bomb,
    ZeroWindow,
    HeaderBombs,
    ChunkBombs,
    JsonBombs,
    MadeUpKeys,
    AbandonedStreams,
    StreamsOfAKey,
    StreamsOfAnAddress,
}

impl Attack {
    #[allow(dead_code, reason = "the tests have one function for each")]
    pub(crate) const ALL: [Self; 21] = [
        Self::SlowHead,
        Self::SlowBody,
        Self::SlowRead,
        Self::Handshakes,
        Self::HalfAHello,
        Self::NoAnswerToTheHello,
        Self::RapidReset,
        Self::MadeYouReset,
        Self::Continuation,
        Self::EmptyData,
        Self::Ping,
        Self::Settings,
        Self::Bomb,
        Self::ZeroWindow,
        Self::HeaderBombs,
        Self::ChunkBombs,
        Self::JsonBombs,
        Self::MadeUpKeys,
        Self::AbandonedStreams,
        Self::StreamsOfAKey,
        Self::StreamsOfAnAddress,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SlowHead => "slow head",
            Self::SlowBody => "slow body",
            Self::SlowRead => "slow read",
            Self::Handshakes => "TLS handshakes",
            Self::HalfAHello => "half a TLS hello",
            Self::NoAnswerToTheHello => "a hello and no more",
            Self::RapidReset => "h2 rapid reset",
            Self::MadeYouReset => "h2 MadeYouReset",
            Self::Continuation => "h2 CONTINUATION",
            Self::EmptyData => "h2 empty DATA",
            Self::Ping => "h2 PING",
            Self::Settings => "h2 SETTINGS",
            Self::Bomb => "h2 bomb",
            Self::ZeroWindow => "h2 zero window",
            Self::HeaderBombs => "header bombs",
            Self::ChunkBombs => "chunk bombs",
            Self::JsonBombs => "JSON bombs",
            Self::MadeUpKeys => "made-up keys",
            Self::AbandonedStreams => "abandoned streams",
            Self::StreamsOfAKey => "streams of one key",
            Self::StreamsOfAnAddress => "streams of one address",
        }
    }

    /// What of the configuration has to give, so that the attack is one.
    pub(crate) const fn terms(self) -> Terms {
        let defaults = Terms { connections_per_address: 256, max_streams: 8, write_stall: "30s" };
        match self {
            // slowhttptest has one address, which is capped at 256 else.
            Self::SlowHead | Self::SlowBody | Self::SlowRead => {
                Terms { connections_per_address: 5000, ..defaults }
            }
            // All with the key of one insider.
            Self::AbandonedStreams => Terms { max_streams: 5000, ..defaults },
            _ => defaults,
        }
    }

    /// How much more memory may be resident afterwards, in KiB, over the share that every attack has.
    pub(crate) const fn memory(self) -> u64 {
        match self {
            Self::MadeUpKeys => 64 << 10,
            _ => 16 << 10,
        }
    }

    /// Whether the gateway has to refuse or to end something; those that are slow or silent may stay until
    /// their deadline.
    pub(crate) const fn is_cut(self) -> bool {
        !matches!(
            self,
            Self::SlowHead
                | Self::SlowBody
                | Self::SlowRead
                | Self::Handshakes
                | Self::HalfAHello
                | Self::NoAnswerToTheHello
                | Self::ZeroWindow
                | Self::AbandonedStreams
        )
    }

    /// Whether somebody calls meanwhile with a key that only the upstream knows.
    pub(crate) const fn has_guest(self) -> bool {
        matches!(self, Self::MadeUpKeys)
    }

    /// Attacks for as long as a round takes, with one thread.
    pub(crate) fn until_the_end(self, field: &Arc<Field>) -> Outcome<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let interrupted = async {
                while !INTERRUPTED.load(Ordering::Relaxed) {
                    time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                ended = self.attack(field) => ended,
                () = interrupted => Err("interrupted".into()),
            }
        })
    }

    async fn attack(self, field: &Arc<Field>) -> Outcome<()> {
        // What is counted ends by itself, if the gateway isn't stuck.
        if self == Self::MadeUpKeys {
            return time::timeout(keys::AT_MOST, keys::made_up(field)).await?;
        }
        let attack = async {
            match self {
                Self::SlowHead => slow::heads(field).await,
                Self::SlowBody => slow::bodies(field).await,
                Self::SlowRead => slow::readers(field).await,
                Self::Handshakes => handshakes::whole(field).await,
                Self::HalfAHello => handshakes::half_hellos(field).await,
                Self::NoAnswerToTheHello => handshakes::hellos(field).await,
                Self::RapidReset => http2::rapid_reset(field).await,
                Self::MadeYouReset => http2::made_you_reset(field).await,
                Self::Continuation => http2::continuation(field).await,
                Self::EmptyData => http2::empty_data(field).await,
                Self::Ping => http2::pings(field).await,
                Self::Settings => http2::settings(field).await,
                Self::Bomb => http2::bomb(field).await,
                Self::ZeroWindow => http2::zero_window(field).await,
                Self::HeaderBombs => http1::heads(field).await,
                Self::ChunkBombs => http1::chunks(field).await,
                Self::JsonBombs => json::bombs(field).await,
                Self::MadeUpKeys => Ok(()),
                Self::AbandonedStreams => streams::abandoned(field).await,
                Self::StreamsOfAKey => streams::of_a_key(field).await,
                Self::StreamsOfAnAddress => streams::of_an_address(field).await,
            }
        };
        // Who is cut off here drops all its sockets at once.
        match time::timeout(field.duration(), attack).await {
            Ok(ended) => ended,
            Err(_) => Ok(()),
        }
    }
}
