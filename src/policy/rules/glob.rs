use std::fmt;

/// The longest glob, in bytes. It bounds what a name costs to be judged.
const MAX_BYTES: usize = 256;

/// A name, or a name with stars, each of which stands for any run of characters, none too. Nothing
/// else is special: URIs hold question marks and brackets. Upper case and lower case differ.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

/// Why a text is no glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGlob {
    /// It is empty.
    Empty,
    /// It is longer than 256 bytes.
    TooLong,
    /// It holds a blank or a control character, which no name has.
    Blank,
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// Where no name could be meant.
    pub fn parse(text: &str) -> Result<Self, BadGlob> {
        match text {
            "" => Err(BadGlob::Empty),
            _ if text.len() > MAX_BYTES => Err(BadGlob::TooLong),
            _ if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Err(BadGlob::Blank)
            }
            _ => Ok(Self(text.into())),
        }
    }

    /// The name, where it is one and no pattern.
    pub fn name(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&self.0)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the glob matches a name.
    pub fn matches(&self, name: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else { return *self.0 == *name };
        let Some(mut rest) = name.strip_prefix(head) else { return false };
        // The first place will do for each part: a later one leaves less for the parts behind it.
        let mut parts = tail.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        true
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
