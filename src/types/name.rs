use std::{fmt, sync::Arc};

/// A configured name: of a route, a consumer, an upstream or a listener.
///
/// Only the configuration makes names, so they may be shown, logged and used as metric labels:
/// their number is fixed when the file is read.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name that is accepted, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Reads a name: 1 to 64 of `A-Z a-z 0-9 _ . -`. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        (fits && text.bytes().all(plain)).then(|| Self(text.into()))
    }

    /// The name as written in the configuration.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
