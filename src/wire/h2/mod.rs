//! HTTP/2 towards clients (RFC 9113), by the `h2` library, with every limit written out.
//!
//! `watched` looks at frame heads below the library and `frames` says what is too much of them;
//! `head` turns a request into the canonical one; `stream` is one exchange; `connection` drives them.
//!
//! `h2` itself and not hyper above it: hyper asks a body for more only once the client has room,
//! so a single stream whose client makes none can't be ended, only the whole connection.

mod connection;
mod frames;
mod head;
mod stream;
mod told;
mod watched;

pub use connection::{Http2, NextStream};
pub use stream::Stream;
