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
mod turns;

pub use ask::{Bounds, NoReply, Question, Reply};
pub use listing::NoList;
pub use postiz::refuses_key;
pub use server::{Server, Unreachable};
pub use sessions::InUse;
pub use turns::Turn;

#[cfg(test)]
mod tests;
