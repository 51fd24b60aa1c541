//! Named servers: where they are, asked again and again, the connections kept to them, and how they
//! speak.

mod ask;
mod dialect;
mod listing;
mod names;
mod pool;
mod postiz;
mod race;
mod server;

pub use ask::{Bounds, NoReply, Question, Reply};
pub use listing::NoList;
pub use server::{Server, Unreachable};

#[cfg(test)]
mod tests;
