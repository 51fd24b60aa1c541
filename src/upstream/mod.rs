//! Named servers: where they are, asked again and again, which of their endpoints is in, the
//! connections kept to each, how they speak, and the sessions that were left open there.

mod ask;
mod choice;
mod dialect;
mod health;
mod instance;
mod listing;
mod names;
mod pool;
mod postiz;
mod race;
mod reach;
mod server;
mod sessions;
mod shared;
mod standing;
mod turns;
mod world;

pub use ask::{Bounds, NoReply, Question, Reply};
pub use choice::{Affinity, Choice};
pub use health::Health;
pub use listing::NoList;
pub use postiz::refuses_key;
pub use reach::{Reached, Unreachable};
pub use server::Server;
pub use sessions::InUse;
pub use shared::{
    Asks, Awaited, Entrance, NotAwaited, Opened, Opener, Patience, Seat, Seated, SharedStreams,
};
pub use turns::Turn;
pub use world::World;

#[cfg(test)]
mod tests;
