use std::sync::Arc;

use crate::{
    observe::redact::MASK,
    types::{ArgumentsDigest, Found, Untrusted},
};

/// A call as an audit has it: bounded, and without its body, which is gone before the exchange ends.
#[derive(Clone, Debug)]
pub struct AuditedCall {
    /// The MCP method, from a closed list.
    pub method: &'static str,
    /// What it asks for.
    pub named: Named,
    /// Its `id` as JSON text; of a notification none.
    pub rpc_id: Option<Untrusted>,
    /// The digest of all its arguments.
    pub digest: Option<ArgumentsDigest>,
    /// What was chosen of its arguments: where it stood, as the configuration writes that, and what
    /// it was.
    pub arguments: Vec<(Arc<str>, Noted)>,
    /// Not all that was chosen is there: it was too much, or stood under a name in another case.
    pub is_partial: bool,
}

/// What an operator has done, in words of closed lists, names of the configuration, addresses and
/// fingerprints.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'o> {
    /// `kill`, `revoke` or `unrevoke`.
    pub what: &'static str,
    /// What the value is.
    pub selector: &'static str,
    /// To what.
    pub value: &'o str,
    /// How many exchanges that has ended.
    pub ended: u64,
}

/// What a call asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A tool.
    Tool(Untrusted),
    /// A prompt.
    Prompt(Untrusted),
    /// A resource, by its URI.
    Resource(Untrusted),
    /// Nothing that could be read.
    Nothing,
}

/// What stood at a place of a call's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// A text.
    Text {
        /// Its beginning, at most [`Noted::MOST`] bytes.
        begins: Box<str>,
        /// How many bytes it had.
        bytes: usize,
    },
    /// A number, `true`, `false` or `null`, as JSON has it.
    Plain(Box<str>),
    /// An array of so many elements.
    Array(usize),
    /// An object.
    Object,
    /// A text with a key in it, which nobody may see.
    Masked,
}

impl Noted {
    /// How much of a text is kept, in bytes.
    pub const MOST: usize = 256;

    /// What is kept of what was found; nothing, where nothing is.
    pub fn of(found: &Found<'_>, is_secret: impl Fn(&str) -> bool) -> Option<Self> {
        Some(match found {
            Found::Missing | Found::Elsewhere => return None,
            // The whole of it is asked: half a key is one too.
            Found::Text(text) if is_secret(text) => Self::Masked,
            Found::Text(text) => {
                let most = text.len().min(Self::MOST);
                let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
                let begins = text.get(..end.unwrap_or(0)).unwrap_or_default();
                let begins = if begins.len() < text.len() { whole_words(begins) } else { begins };
                Self::Text { begins: begins.into(), bytes: text.len() }
            }
            // A key may be one.
            Found::Number(text) if is_secret(text) => Self::Masked,
            Found::Number(text) | Found::Word(text) => Self::Plain((*text).into()),
            Found::Array(count) => Self::Array(*count),
            Found::Object => Self::Object,
        })
    }

    /// How many bytes it takes, about.
    pub const fn size(&self) -> usize {
        size_of::<(Arc<str>, Self)>()
            + match self {
                Self::Text { begins, .. } => begins.len(),
                Self::Plain(text) => text.len(),
                Self::Array(_) | Self::Object | Self::Masked => 0,
            }
    }
}

/// The beginning of a text without what the cut has made of its last word: most of somebody's key is
/// nearly as good as all of it, and too short to be known for one.
fn whole_words(begins: &str) -> &str {
    let of_a_word = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=%".contains(c);
    begins.trim_end_matches(of_a_word)
}

impl AuditedCall {
    /// How many of its texts are masked.
    pub(super) fn masked(&self) -> u64 {
        let is_mask = |text: &Untrusted| text.as_str() == MASK;
        let named = match &self.named {
            Named::Tool(name) | Named::Prompt(name) | Named::Resource(name) => is_mask(name),
            Named::Nothing => false,
        };
        let id = self.rpc_id.as_ref().is_some_and(is_mask);
        let arguments = self.arguments.iter().filter(|(_, noted)| *noted == Noted::Masked).count();
        u64::from(named) + u64::from(id) + u64::try_from(arguments).unwrap_or(u64::MAX)
    }

    /// Whether a text of its line is one of the configuration's, or its own digest, and no secret.
    pub(super) fn configured(&self, text: &[u8]) -> bool {
        let is_digest = self.digest.is_some_and(|digest| digest.digits() == text);
        let is_of = |pointer: &str| {
            pointer.as_bytes() == text || pointer.split('/').any(|part| part.as_bytes() == text)
        };
        is_digest || self.arguments.iter().any(|(pointer, _)| is_of(pointer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_ends_with_a_whole_word() {
        let begins = |text: String| match Noted::of(&Found::Text(text.into()), |_| false) {
            Some(Noted::Text { begins, .. }) => begins.into_string(),
            other => panic!("{other:?}"),
        };
        let prose = "So many words. ".repeat(15);
        let key = "0123456789abcdef0123456789abcdef";
        assert_eq!(begins(format!("{prose}{prose}{key}")), prose.repeat(2)[..255]);
        let cut = begins(format!("{}{key}", "So many words.\n".repeat(16)));
        assert!(cut.ends_with('\n') && !cut.contains("0123"), "{cut}");
        assert_eq!(begins("x".repeat(300)), "");
        assert_eq!(begins("short and whole".to_owned()), "short and whole");
    }
}
