//! Bytes become one canonical request or response, and back.
//!
//! What two parsers could read differently is refused here, with no attempt to mend it: the head
//! that goes on is written anew from this one reading (`write_*`), never copied. Nothing here knows
//! of routes, keys or policy. Start at [`read_request_head`]; [`next_request_head`] and
//! [`read_body`] put deadlines around it.

mod connection;
mod fields;
mod h1;
mod head;
mod host;
mod receive;
mod transport;
mod within;

pub use connection::{Connection, Written};
pub use fields::Fields;
pub use h1::{
    BodyDecoder, Decoded, HeadScan, LAST_CHUNK, end_head, read_request_head, read_response_head,
    write_chunk, write_chunk_head, write_content_length, write_field, write_request_line,
    write_status_line,
};
pub use head::{Framing, HeadLimits, RequestHead, ResponseFault, ResponseHead, Version};
pub use host::Host;
pub use receive::{HeadTimeouts, NextHead, next_request_head, read_body};
pub use transport::{Socket, Transport};
pub use within::within;
