//! HTTP/1.1 as RFC 9112 writes it, minus every leniency it allows.
//!
//! A head is read in four steps, each in its file: `scan` finds its end and judges its line ends,
//! `first_line` reads what it is called, `lines` the field lines, and `facts` what the
//! fields say about the message itself. Then `body` and `chunked` follow the bytes of the body,
//! and `write` puts heads and chunks on the wire.

mod body;
mod chunked;
mod decoded;
mod facts;
mod first_line;
mod lines;
mod request;
mod response;
mod scan;
mod write;

pub use body::BodyDecoder;
pub use decoded::Decoded;
pub use request::read_request_head;
pub use response::{is_answered, read_response_head};
pub use scan::HeadScan;
pub use write::{
    LAST_CHUNK, end_head, write_chunk, write_chunk_head, write_content_length, write_field,
    write_request_line,
};
pub(super) use write::{field_value, write_status_line};

#[cfg(test)]
mod tests;
