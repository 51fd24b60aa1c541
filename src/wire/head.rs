use std::{fmt, str};

use bytes::Bytes;
use http::StatusCode;

use super::{Fields, Host};
use crate::types::{Malformation, Method};

/// How long a body is (RFC 9112 6.3), decided once from the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// That many bytes.
    Length(u64),
    /// The chunked coding, and no other.
    Chunked,
    /// All that comes. Responses only.
    UntilClose,
}

/// The version of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// A protocol that an HTTP/1.1 connection can be switched to. Any other offer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// RFC 6455.
    WebSocket,
}

/// What is too much in a head. Sizes are bytes.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The request target as it was sent.
    pub target: usize,
    /// The whole head with its line ends.
    pub head: usize,
    /// The number of field lines.
    pub fields: usize,
}

/// The canonical request head: the one reading that all decisions and the forwarded head go by.
///
/// Its target and its field values may hold keys, so `Debug` shows neither.
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Checked to be visible ASCII.
    pub(super) target: Bytes,
    /// From the one `Host` field; an absolute-form target agrees with it.
    pub host: Host,
    /// The version as sent.
    pub version: Version,
    /// What is left to pass on. Gone are `host`, `expect`, everything hop-by-hop or about framing,
    /// and what `Connection` named.
    pub fields: Fields,
    /// The body that follows.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// Another request may follow. Only HTTP/1.1: keeping HTTP/1.0 alive isn't worth a state.
    pub persistent: bool,
    /// The protocol that the client asks to switch to (RFC 9110 7.8).
    pub upgrade: Option<Upgrade>,
    /// The lower-case names of fields that `Connection` named, and that are gone therefore.
    pub dropped: Vec<Box<[u8]>>,
}

impl RequestHead {
    /// The target in origin form (an absolute form is reduced to it), or `*` of `OPTIONS`. Visible
    /// ASCII without a fragment; dot segments and percent triplets are not yet judged.
    pub fn target(&self) -> &str {
        // Only ASCII passes the reader; the default is never taken.
        str::from_utf8(&self.target).unwrap_or_default()
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("fields", &self.fields)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

/// The canonical response head.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status; a 1xx is returned like any other, for the caller to skip.
    pub status: StatusCode,
    /// The version as sent.
    pub version: Version,
    /// What is left to pass on: without framing, hop-by-hop fields and what `Connection` named.
    pub fields: Fields,
    /// The body that follows.
    pub framing: Framing,
    /// What `Content-Length` said: where there is no body (HEAD, 304), how long it would be.
    pub length: Option<u64>,
    /// The protocol of a 101.
    pub upgrade: Option<Upgrade>,
    /// The connection can carry another request once the body was read.
    pub persistent: bool,
}

/// Why a response head can't be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// The status line isn't `VERSION SP STATUS SP REASON CR LF` (RFC 9112 4).
    #[error("the status line is malformed")]
    StatusLine,
    /// The head is larger than the limits.
    #[error("the response head is too large")]
    TooLarge,
    /// Two readers could disagree on the head or on where its body ends.
    #[error("the response head is ambiguous: {0:?}")]
    Malformed(Malformation),
}
