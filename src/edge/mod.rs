//! A connection before it is HTTP: who may connect, how many, whom a proxy speaks for, and the TLS
//! handshake. What comes out is a [`Transport`](crate::wire::Transport); what was said inside it is not known here.

mod caps;
mod certificates;
mod challenges;
mod client_certificates;
mod handshake;
mod proxy_header;
mod room;

pub use caps::{Gatekeeper, Knock, Observed, let_in, let_in_told};
pub use certificates::{Certificates, server_config};
pub use challenges::{Challenges, Proven};
pub use client_certificates::ClientAuthorities;
pub use handshake::{Handshakes, Shaken, Unfinished};
pub use proxy_header::{NoProxyHeader, ProxyHeader, take_proxy_header};
