//! The demonstration: everything on loopback, for one look and for tests.
//!
//! [`postiz`] is a small MCP server that speaks as Postiz does. [`Stage`] holds what the gateway
//! needs before it: a certificate, two keys and a configuration file, in a directory that goes away
//! with it. [`script()`] is the text that is printed once both run.

mod certificate;
pub mod postiz;
mod script;
mod stage;

pub use script::script;
pub use stage::Stage;
