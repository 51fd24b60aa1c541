//! The rows of the suite as cases: what is sent, and what may become of it.

use crate::{http1, http2};

/// One request, and what may become of it.
pub(crate) struct Case {
    pub(crate) number: &'static str,
    pub(crate) what: &'static str,
    /// What has to become of it, in a few words.
    pub(crate) strict: String,
    pub(crate) must: Must,
    pub(crate) protocol: Protocol,
    pub(crate) bytes: Vec<u8>,
}

/// How it is sent.
#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    /// In clear; so many answers are waited for.
    Http1 { answers: usize },
    /// Over TLS, behind the preface.
    Http2,
}

/// What may go on of it.
#[derive(Clone, Copy)]
pub(crate) enum Must {
    /// Nothing.
    Refuse,
    /// All of it.
    Pass,
    /// What doesn't hold this text.
    Withhold(&'static str),
    /// What still holds this text.
    Keep(&'static str),
    /// At most so many whole requests.
    Requests(usize),
}

/// What stands for the key in every row, and is a key as good as any.
pub(crate) const KEY: &str = "KEY";

pub(crate) fn all() -> Vec<Case> {
    http1::cases().into_iter().chain(http2::cases()).collect()
}
