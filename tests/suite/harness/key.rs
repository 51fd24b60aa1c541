use portcullis::types::{RequestId, Secret};

/// What every key begins and ends with, so that half of one is recognized too.
pub(super) const CORE: &str = "zXcanaryXz";

/// A key of unusual shape that no sink may show.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Key {
    /// A key that nobody else has.
    pub(crate) fn new() -> Self {
        Self(format!("{CORE}.{}+a,b=~{CORE}", RequestId::next()))
    }

    /// A key with something in it that a path segment can't hold as it stands.
    pub(crate) fn holding(odd: &str) -> Self {
        Self(format!("{CORE}.{}{odd}{CORE}", RequestId::next()))
    }

    /// One that is short enough to be a word of an answer.
    pub(crate) fn short() -> Self {
        let id = RequestId::next().to_string();
        Self(id.get(id.len() - 10..).expect("16 digits").to_owned())
    }

    /// The key as it stands in `Authorization`.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The key as a path segment: its letters stand for themselves, and the `~` as a triplet, which
    /// is another spelling of the same key.
    pub(crate) fn encoded(&self) -> String {
        self.0.replace('~', "%7E")
    }

    /// `key_sha256`.
    pub(crate) fn sha256(&self) -> String {
        hex::encode(Secret::new(self.0.clone()).digest().as_bytes())
    }
}
