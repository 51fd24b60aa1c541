//! An exchange, in the order in which it happens: a head comes ([`connection`](self)), `admit` says
//! yes or why not, `forward` sends it on, `relay` brings the answer back, `respond` renders what the
//! gateway says itself, and `record` notes once what became of it.

mod admit;
mod alive;
mod audit;
mod body;
mod compose;
mod connection;
mod cors;
mod credential;
mod endpoint;
mod events;
mod exchange;
mod forward;
mod gates;
mod http2;
mod judge;
mod leak;
mod legacy;
mod memory;
mod oauth;
mod peek;
mod place;
mod pumped;
mod quota;
mod record;
mod redirect;
mod relay;
mod respond;
mod session;
mod shared;
mod sieve;
mod spelling;
mod state;
mod stream;
mod strikes;
mod tokens;
mod tool_limits;
mod tools;
mod trial;
mod web;

pub use alive::judge_again;
pub use audit::Auditor;
pub use connection::{Visitor, serve};
pub use credential::present;
pub use legacy::LegacyStreams;
pub use memory::Memory;
pub use session::Seal;
pub use state::{Door, DoorKind, State};
pub use tokens::{Shown, Tokens};
pub use trial::{Heard, hear};
