use std::{borrow::Cow, fmt, sync::Arc};

/// Text that a client chose. It can be compared, and shown only escaped and cut.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Untrusted(Arc<str>);

impl Untrusted {
    /// How much of the text is ever shown, in characters.
    pub const SHOWN_CHARS: usize = 128;

    /// Wraps a client's text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, to be compared. What may be shown of it is `shown`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What may be shown: printable ASCII, cut. A control character could forge a log line or drive
    /// a terminal.
    pub fn shown(&self) -> Cow<'_, str> {
        let printable = |c: char| c.is_ascii_graphic() || c == ' ';
        if self.0.len() <= Self::SHOWN_CHARS && self.0.chars().all(printable) {
            return Cow::Borrowed(&self.0);
        }
        let chars = self.0.chars().take(Self::SHOWN_CHARS);
        chars.map(|c| if printable(c) { c } else { '?' }).collect()
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Untrusted({self})")
    }
}
