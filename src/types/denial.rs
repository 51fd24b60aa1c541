use std::{borrow::Cow, time::Duration};

use http::StatusCode;

use super::{Limit, RequestId};

/// Why an exchange was refused: one variant per fact that a client or an operator can act on.
///
/// A denial is a value. `proxy/respond.rs` alone renders it, and the record of the exchange alone
/// counts and logs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Two parsers could read the request differently; refused, never cleaned.
    Malformed(Malformation),
    /// The request target is longer than `limits.target`.
    TargetTooLong,
    /// The head is larger than `limits.head`, or has more fields than `limits.fields`.
    HeadTooLarge(Limit),
    /// Head or body came too slowly.
    Timeout(Limit),
    /// An `Expect` other than `100-continue` (RFC 9110 10.1.1).
    Expectation,
    /// A known Host without a route for the path.
    NoRoute,
    /// A Host that no route of the listener has.
    Host,
    /// The method is not one of the route's.
    Method,
    /// Not `application/json`, or an encoded body.
    MediaType,
    /// `[access]`, the route's or the consumer's nets don't let the address in.
    Address,
    /// Too many wrong keys came from the address, or the operator has banned it.
    Banned {
        /// When it would be let in.
        retry_after: Duration,
    },
    /// A browser origin that is neither the route's own nor listed.
    Origin,
    /// A key that came in clear to a redirect listener.
    Insecure,
    /// Two credentials that differ, one with a blank in it, one in the query, or one that has to go
    /// into the path and can't stand there as it is.
    CredentialAmbiguous,
    /// No credential.
    KeyMissing,
    /// A credential that no consumer has, where unknown keys are refused.
    KeyUnknown,
    /// The consumer's last day is over.
    KeyExpired,
    /// The operator has revoked the key.
    KeyRevoked,
    /// The client certificate isn't the key's: the consumer's certificate is another, or wasn't shown, or
    /// the one that was shown is another consumer's.
    Certificate,
    /// The operator has ended it.
    Killed,
    /// A session that wasn't given to this key on this route, or that is over.
    Session,
    /// The bucket of the key, or of the address, is empty.
    Rate {
        /// When the next call would pass.
        retry_after: Duration,
        /// Whose bucket it is.
        limit: Limit,
    },
    /// A call of a tool whose budget is used up for the day.
    Budget {
        /// When the next day begins.
        retry_after: Duration,
        /// How many calls it is, a day.
        calls: u32,
        /// Whose budget it is.
        limit: Limit,
    },
    /// The bucket of `server/discover` is empty. Never 429: clients take that for an old server and
    /// fall back to an older era of the protocol for good.
    DiscoverRate {
        /// When the next one would pass.
        retry_after: Duration,
        /// Whose bucket it is.
        limit: Limit,
    },
    /// The key has `max_streams` open, or its address `limits.streams_per_address`.
    Streams(Limit),
    /// The gateway, or the upstream, has no room for the request now.
    Overload(Limit),
    /// The body is larger than the route's `max_body`.
    BodyTooLarge,
    /// The body isn't JSON.
    NotJson,
    /// The body is JSON, but no JSON-RPC message.
    NotRpc,
    /// The head says something else of the body than the body does (MCP 2026-07-28).
    HeadMismatch,
    /// The rules don't let the tool be called.
    Tool,
    /// The rules don't let the tool be called with such arguments. The rule has words of its own.
    Argument,
    /// The rules don't let the prompt be used.
    Prompt,
    /// The rules don't let the resource be read.
    Resource,
    /// A method that is nobody's, where there are rules.
    MethodDenied,
    /// The same in a version whose clients are told so by the status (MCP 2026-07-28).
    MethodGone,
    /// OAuth discovery, which this gateway doesn't offer.
    Discovery,
    /// No connection to the upstream.
    UpstreamDown,
    /// The upstream's head didn't come in time, or it didn't take the request.
    UpstreamSlow(Limit),
    /// The upstream's answer can't be passed on: not HTTP, or a redirect.
    UpstreamBad,
    /// The upstream went away in the middle of its answer.
    UpstreamGone,
}

/// What exactly was malformed. Fixed words: nothing of the request is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformation {
    /// The request line isn't `METHOD SP TARGET SP VERSION CR LF` (RFC 9112 3).
    RequestLine,
    /// The version isn't HTTP/1.0 or HTTP/1.1.
    Version,
    /// A line end other than CR LF (RFC 9112 2.2).
    LineEnd,
    /// A field line that two parsers could split differently (RFC 9112 5).
    Field,
    /// A field name whose `_` reads as `-` of a name that is acted on.
    FieldName,
    /// `Content-Length` and `Transfer-Encoding` that don't agree on one body (RFC 9112 6.3).
    Framing,
    /// A transfer coding other than `chunked` alone (RFC 9112 6.1). Answered 501.
    TransferCoding,
    /// A chunk that isn't exactly RFC 9112 7.1.
    Chunk,
    /// Host missing, repeated, empty or not a host (RFC 9112 3.2).
    Host,
    /// The target isn't in origin form or holds bytes that no URI has.
    Target,
    /// A path that two readers could resolve differently.
    Path,
    /// `Connection` names a field that must not be dropped.
    Connection,
}

/// What the outside is told of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Face {
    /// The HTTP status, where the refusal isn't in-band.
    pub status: StatusCode,
    /// The JSON-RPC error code: outside -32768 to -32000 unless the specification has one.
    pub code: i32,
    /// One word: metric label, log field, `data.reason` and the README's anchor.
    pub reason: &'static str,
    /// For the client's eyes.
    pub text: &'static str,
}

impl Denial {
    /// The only map from a denial to the wire. No `_` arm: a new variant needs a face to compile.
    #[expect(clippy::too_many_lines, reason = "one row per denial; a table is read whole")]
    pub const fn face(&self) -> Face {
        use StatusCode as S;
        let (status, code, reason, text) = match self {
            Self::Malformed(what) => (what.status(), 4000, "malformed", what.text()),
            Self::TargetTooLong => {
                (S::URI_TOO_LONG, 4140, "target_too_long", "The request target is too long.")
            }
            Self::HeadTooLarge(_) => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                4310,
                "head_too_large",
                "The request head is too large.",
            ),
            Self::Timeout(_) => {
                (S::REQUEST_TIMEOUT, 4080, "timeout", "The request came too slowly.")
            }
            Self::Expectation => (
                S::EXPECTATION_FAILED,
                4170,
                "expectation",
                "Only the expectation 100-continue can be met.",
            ),
            Self::NoRoute => (S::NOT_FOUND, 4040, "no_route", "There is nothing at this path."),
            Self::Host => {
                (S::MISDIRECTED_REQUEST, 4210, "host", "This server doesn't serve that host.")
            }
            Self::Method => {
                (S::METHOD_NOT_ALLOWED, 4050, "method", "This method isn't allowed here.")
            }
            Self::MediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                4150,
                "media_type",
                "The body must be application/json, UTF-8, without content encoding.",
            ),
            Self::Address => (S::FORBIDDEN, 4030, "address", "This address isn't allowed here."),
            Self::Banned { .. } => (S::FORBIDDEN, 4033, "banned", "This address is banned."),
            Self::Origin => (S::FORBIDDEN, 4031, "origin", "This browser origin isn't allowed."),
            Self::Insecure => (
                S::FORBIDDEN,
                4032,
                "insecure",
                "Use https. A key sent over plain HTTP has been exposed: rotate this key.",
            ),
            Self::CredentialAmbiguous => (
                S::BAD_REQUEST,
                4001,
                "credential_ambiguous",
                "Send one key, in the path or in Authorization, and never in the query.",
            ),
            // Missing, wrong, expired, revoked and stolen look alike from outside, or an answer would tell a
            // guesser that a key once existed. The reason's word goes to the log alone.
            Self::KeyMissing => (S::UNAUTHORIZED, 4010, "key_missing", KEY_TEXT),
            Self::KeyUnknown => (S::UNAUTHORIZED, 4010, "key_unknown", KEY_TEXT),
            Self::KeyExpired => (S::UNAUTHORIZED, 4010, "key_expired", KEY_TEXT),
            Self::KeyRevoked => (S::UNAUTHORIZED, 4010, "key_revoked", KEY_TEXT),
            Self::Certificate => (S::UNAUTHORIZED, 4010, "certificate", KEY_TEXT),
            // Not 503: what may have been done isn't to be asked for again.
            Self::Killed => (S::FORBIDDEN, 4034, "killed", "The operator has ended this request."),
            // Another's, made up or over: clients begin anew at 404, and at nothing else.
            Self::Session => {
                (S::NOT_FOUND, 4042, "session", "This session isn't known here. Start a new one.")
            }
            Self::Rate { limit, .. } => {
                let text = match limit {
                    Limit::RouteRates | Limit::ConsumerRates => {
                        "The rate limit of this tool is reached."
                    }
                    _ => "The rate limit is reached.",
                };
                (S::TOO_MANY_REQUESTS, 4290, "rate", text)
            }
            Self::Budget { .. } => (
                S::TOO_MANY_REQUESTS,
                4292,
                "budget",
                "The calls that this tool has a day are used up.",
            ),
            Self::DiscoverRate { .. } => {
                (S::SERVICE_UNAVAILABLE, 5031, "rate", "The rate limit is reached.")
            }
            Self::Streams(limit) => {
                let text = match limit {
                    Limit::StreamsPerAddress => {
                        "This address has too many open streams. Close one."
                    }
                    _ => "This key has too many open streams. Close one.",
                };
                (S::TOO_MANY_REQUESTS, 4291, "streams", text)
            }
            Self::Overload(_) => {
                (S::SERVICE_UNAVAILABLE, 5030, "overload", "The gateway is busy. Try again soon.")
            }
            Self::BodyTooLarge => {
                (S::PAYLOAD_TOO_LARGE, 4130, "body_too_large", "The body is too large.")
            }
            Self::NotJson => (S::BAD_REQUEST, -32700, "not_json", "Parse error: not JSON."),
            Self::NotRpc => {
                (S::BAD_REQUEST, -32600, "not_rpc", "Invalid request: not a JSON-RPC message.")
            }
            Self::HeadMismatch => (
                S::BAD_REQUEST,
                -32020,
                "head_mismatch",
                "Header mismatch: the head of the request disagrees with its body.",
            ),
            // As the specification has it for what isn't there: nobody learns that it is.
            Self::Tool => (S::BAD_REQUEST, -32602, "tool", "Unknown tool"),
            Self::Argument => (S::BAD_REQUEST, -32602, "argument", "Argument not allowed"),
            Self::Prompt => (S::BAD_REQUEST, -32602, "prompt", "Unknown prompt"),
            Self::Resource => (S::BAD_REQUEST, -32602, "resource", "Unknown resource"),
            Self::MethodDenied => (S::BAD_REQUEST, -32601, "method_denied", "Method not found"),
            Self::MethodGone => (S::NOT_FOUND, -32601, "method_denied", "Method not found."),
            Self::Discovery => {
                (S::NOT_FOUND, 4041, "discovery", "There is no OAuth here. A valid key is needed.")
            }
            Self::UpstreamDown => {
                (S::BAD_GATEWAY, 5020, "upstream_down", "The server behind can't be reached.")
            }
            Self::UpstreamSlow(_) => {
                (S::GATEWAY_TIMEOUT, 5040, "upstream_slow", "The server behind took too long.")
            }
            Self::UpstreamBad => (
                S::BAD_GATEWAY,
                5021,
                "upstream_bad",
                "The answer of the server behind can't be passed on.",
            ),
            Self::UpstreamGone => (
                S::BAD_GATEWAY,
                5022,
                "upstream_gone",
                "The server behind ended before it answered.",
            ),
        };
        Face { status, code, reason, text }
    }

    /// Which cap it is that was reached, where it is one.
    pub const fn limit(&self) -> Option<Limit> {
        match self {
            Self::TargetTooLong => Some(Limit::Target),
            Self::BodyTooLarge => Some(Limit::MaxBody),
            Self::HeadTooLarge(limit)
            | Self::Timeout(limit)
            | Self::Rate { limit, .. }
            | Self::Budget { limit, .. }
            | Self::DiscoverRate { limit, .. }
            | Self::Streams(limit)
            | Self::Overload(limit)
            | Self::UpstreamSlow(limit) => Some(*limit),
            _ => None,
        }
    }

    /// What the client of that request reads: the face's text, with the wait where there is one.
    pub fn text(&self, request: RequestId) -> Cow<'static, str> {
        let text: Cow<'static, str> = match self {
            // A model plans with it.
            Self::Budget { calls, .. } => {
                format!("The {calls} calls that this tool has a day are used up.").into()
            }
            _ => self.face().text.into(),
        };
        match self.retry_after_seconds(request) {
            Some(seconds) => format!("{text} Retry in {seconds} s.").into(),
            None => text,
        }
    }

    /// Whether it is told by the call's id wherever it has one: it is the specification's own answer
    /// to such a call.
    pub const fn is_of_the_call(&self) -> bool {
        matches!(
            self,
            Self::Tool | Self::Argument | Self::Prompt | Self::Resource | Self::MethodDenied
        )
    }

    /// The `Retry-After` of this denial, in whole seconds, rounded up and at least 1. Where many are
    /// refused at once each has its own, by its request, or all would come back at once.
    pub fn retry_after_seconds(&self, request: RequestId) -> Option<u64> {
        match self {
            Self::Streams(_) => Some(request.spread(10, 20)),
            Self::Overload(_) => Some(request.spread(1, 5)),
            _ => self.retry_after().map(|wait| {
                let up = u64::from(wait.subsec_nanos() > 0);
                (wait.as_secs() + up).max(1)
            }),
        }
    }

    /// The exact time after which the same request could pass, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rate { retry_after, .. }
            | Self::DiscoverRate { retry_after, .. }
            | Self::Budget { retry_after, .. }
            | Self::Banned { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

/// One text for every 401.
const KEY_TEXT: &str = "A valid key is needed.";

impl Malformation {
    const fn status(self) -> StatusCode {
        match self {
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::RequestLine => "The request line is malformed.",
            Self::Version => "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
            Self::LineEnd => "Lines of the head end with CR LF.",
            Self::Field => "A header field is malformed.",
            Self::FieldName => "A header field name with an underscore is ambiguous.",
            Self::Framing => "The length of the body is ambiguous.",
            Self::TransferCoding => "The only transfer coding spoken here is chunked.",
            Self::Chunk => "A chunk of the body is malformed.",
            Self::Host => "Host is missing, repeated or malformed.",
            Self::Target => "The request target is malformed.",
            Self::Path => "The path is ambiguous.",
            Self::Connection => "Connection names a field that can't be dropped.",
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
