//! Bytes become one canonical request or response, and back.
//!
//! What two parsers could read differently is refused here, with no attempt to mend it: the head
//! that goes on is written anew from this one reading (`write_*`), never copied. Nothing here knows
//! of routes, keys or policy. Start at [`read_request_head`]; [`next_request_head`] and
//! [`read_body`] put deadlines around it.

mod answer;
mod client;
mod connection;
mod fields;
mod h1;
mod h2;
mod head;
mod host;
mod names;
mod pace;
mod pipe;
mod receive;
mod reply;
mod transport;
mod tunnel;
mod within;

pub use answer::{Coding, Outgoing};
pub use client::Client;
pub use connection::{Connection, Written};
pub use fields::Fields;
pub use h1::{
    BodyDecoder, Decoded, HeadScan, LAST_CHUNK, end_head, is_answered, read_request_head,
    read_response_head, write_chunk, write_chunk_head, write_content_length, write_field,
    write_request_line,
};
pub use h2::{Http2, NextStream, Stream};
pub use head::{Framing, HeadLimits, RequestHead, ResponseFault, ResponseHead, Upgrade, Version};
pub use host::Host;
pub use names::is_of_a_certificate;
pub use pace::Pace;
pub use pipe::{Cut, PipeReader, PipeWriter, pipe};
pub use receive::{HeadTimeouts, NextHead, next_request_head, read_body};
pub use reply::{NoAnswer, next_response_head};
pub use transport::{Socket, Transport};
pub use tunnel::tunnel;
pub use within::within;
