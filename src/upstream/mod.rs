//! Named servers: where they are, asked again and again, and the connections kept to them.

mod ask;
mod names;
mod pool;
mod race;
mod server;

pub use ask::{Bounds, NoReply, Question, Reply};
pub use server::{Server, Unreachable};

#[cfg(test)]
mod tests;
