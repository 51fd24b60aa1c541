use std::fmt;

/// Text that a client chose. It can be compared, and shown only escaped and cut.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Untrusted(Box<str>);

impl Untrusted {
    /// How much of the text is ever shown, in characters.
    pub const SHOWN_CHARS: usize = 128;

    /// Wraps a client's text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, to be compared. Showing it is `Display`'s work.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only printable ASCII passes: a control character could forge a log line or drive a terminal.
        for c in self.0.chars().take(Self::SHOWN_CHARS) {
            let shown = if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
            fmt::Write::write_char(f, shown)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Untrusted({self})")
    }
}
