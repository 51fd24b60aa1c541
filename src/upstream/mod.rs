//! Named servers: where they are, asked again and again, the connections kept to them, how they
//! speak, and the sessions that were left open there.

mod ask;
mod dialect;
mod listing;
mod names;
mod pool;
mod postiz;
mod race;
mod server;
mod sessions;
mod shared;
mod turns;
mod world;

pub use ask::{Bounds, NoReply, Question, Reply};
pub use listing::NoList;
pub use postiz::refuses_key;
pub use server::{Server, Unreachable};
pub use sessions::InUse;
pub use shared::{
    Asks, Awaited, Entrance, NotAwaited, Opened, Opener, Patience, Seat, Seated, SharedStreams,
};
pub use turns::Turn;
pub use world::World;

#[cfg(test)]
mod tests;
