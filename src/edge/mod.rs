//! A connection before it is HTTP: who may connect, how many, and the TLS handshake. What comes
//! out is a [`Transport`](crate::wire::Transport); what was said inside it is not known here.

mod caps;
mod certificates;
mod handshake;
mod room;

pub use caps::{Observed, let_in};
pub use certificates::server_config;
pub use handshake::{Handshakes, Unfinished};
