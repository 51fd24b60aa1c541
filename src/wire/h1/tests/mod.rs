mod bodies;
mod properties;
mod requests;
mod responses;

use bytes::BytesMut;

use super::{HeadScan, read_request_head};
use crate::{
    types::Denial,
    wire::{HeadLimits, RequestHead},
};

const LIMITS: HeadLimits = HeadLimits { target: 8 * 1024, head: 16 * 1024, fields: 64 };

/// Reads a head that comes in one piece.
fn read(raw: &[u8]) -> Result<Option<RequestHead>, Denial> {
    read_request_head(&mut HeadScan::default(), &mut BytesMut::from(raw), LIMITS)
}

/// Reads a head that must be one.
fn accept(raw: &[u8]) -> RequestHead {
    read(raw).unwrap().unwrap()
}
