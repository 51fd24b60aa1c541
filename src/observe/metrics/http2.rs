//! The errors of HTTP/2 by the codes of RFC 9113 7.

/// The words of the codes from 1 on, and the one of any other.
pub(super) const WORDS: [&str; 15] = [
    "protocol_error",
    "internal_error",
    "flow_control_error",
    "settings_timeout",
    "stream_closed",
    "frame_size_error",
    "refused_stream",
    "cancel",
    "compression_error",
    "connect_error",
    "enhance_your_calm",
    "inadequate_security",
    "http_1_1_required",
    OTHER,
    LIST_TOO_LARGE,
];

const OTHER: &str = "other";

/// That of a head that is too large, which is told by a status and not by a code.
pub(super) const LIST_TOO_LARGE: &str = "list_too_large";

/// The word of a code.
pub(super) fn word(code: u32) -> &'static str {
    let at = code.checked_sub(1).and_then(|at| usize::try_from(at).ok());
    let words = WORDS.iter().take_while(|word| **word != OTHER);
    at.and_then(|at| words.copied().nth(at)).unwrap_or(OTHER)
}
