use std::fmt;

use aws_lc_rs::digest;

/// SHA-256 of how a server describes a tool: of the very bytes of the element of its list. Not of what
/// they mean: two readers may differ on that, and a server writes the same list in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ToolDigest([u8; 32]);

impl ToolDigest {
    /// Of an element as it was written.
    pub fn of(element: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, element.as_bytes());
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// Reads the 64 hex digits that it is shown as.
    pub fn parse_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes))
    }
}

impl fmt::Display for ToolDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
