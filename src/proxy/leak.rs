//! The key that was injected, looked for in what the upstream says. A client that sees it can go
//! round the gateway; frameworks quote the path of a request in errors, each in its own spelling.

use super::spelling::{self, Found};

/// What stands where the key stood.
const MASK: &[u8] = b"[redacted]";

/// A shorter key could be a word of the text.
const MIN_KEY_BYTES: usize = 16;

/// Whether the text shows the key, in whatever spelling.
pub(super) fn shows(text: &[u8], key: &str) -> bool {
    spans(text, key.as_bytes(), 0).is_some()
}

/// The text with the key masked wherever it stands, in whatever spelling.
pub(super) fn masked(text: &[u8], key: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some((start, end)) = spans(text, key.as_bytes(), at) {
        out.extend_from_slice(text.get(at..start).unwrap_or_default());
        out.extend_from_slice(MASK);
        at = end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out
}

/// Where the key next begins and ends.
fn spans(text: &[u8], key: &[u8], from: usize) -> Option<(usize, usize)> {
    if key.is_empty() {
        return None;
    }
    (from..text.len()).find_map(|start| {
        let length = length_of(text.get(start..)?, key)?;
        Some((start, start + length))
    })
}

/// How many bytes at the front of the text are the key, in whatever spelling.
pub(super) fn length_of(text: &[u8], key: &[u8]) -> Option<usize> {
    match spelling::read(text, key) {
        Found::Whole(length) => Some(length),
        Found::Begun | Found::Not => None,
    }
}

/// Hides a key in a body that passes. It holds back nothing but a tail that could be the key's
/// beginning; the end of a line never is, so every event leaves with its last byte.
#[derive(Default)]
pub(super) struct Veil {
    held: Vec<u8>,
}

impl Veil {
    /// A veil, where the key is long enough to be told from a word that only looks like it.
    pub(super) fn over(key: &str) -> Option<Self> {
        (key.len() >= MIN_KEY_BYTES).then(Self::default)
    }

    /// The bytes that may go. The key in them is covered byte for byte: lengths that were announced
    /// stay true.
    pub(super) fn pass(&mut self, data: &[u8], key: &str) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(data);
        let key = key.as_bytes();
        let mut at = 0;
        while let Some(rest) = text.get_mut(at..)
            && let Some(next) = spelling::candidate(rest, key)
        {
            at += next;
            let rest = rest.get_mut(next..).unwrap_or_default();
            match spelling::read(rest, key) {
                Found::Whole(length) => {
                    rest.get_mut(..length).unwrap_or_default().fill(b'*');
                    at += length;
                }
                Found::Begun => {
                    self.held = text.split_off(at);
                    break;
                }
                Found::Not => at += 1,
            }
        }
        text
    }

    /// What was held back, at the end of the body: it began like the key and isn't it.
    pub(super) fn lift(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_every_spelling_that_frameworks_have_for_it() {
        let key = "a&b=c/d%e'f\"g";
        for spelling in [
            "a&b=c/d%e'f\"g",
            "a%26b%3Dc%2fd%25e%27f%22g",
            "a&amp;b=c/d%e&#39;f&quot;g",
            r#"a\u0026b=c\/d%e'f\"g"#,
            "a&#38;b&#x3D;c&#x2F;d&#37;e&#039;f&#34;g",
            "a%2526b%253Dc%252fd%2525e%2527f%2522g",
            "%61&b=c/d%e'f\"g",
        ] {
            let text = format!("Cannot GET /mcp/{spelling}/x {spelling}");
            let masked = masked(text.as_bytes(), key);
            assert!(shows(text.as_bytes(), key), "{spelling}");
            assert_eq!(masked, b"Cannot GET /mcp/[redacted]/x [redacted]", "{spelling}");
        }
        for other in ["a&b=c/d%e'f\"", "", "A&b=c/d%e'f\"g", "a%26b"] {
            assert!(!shows(other.as_bytes(), key), "{other}");
        }
        assert!(!shows(b"x", ""), "no key is in every text");
    }
    #[test]
    fn a_veil_covers_the_key_and_holds_no_end_of_a_line() {
        let key = "0123456789abcdef/";
        let mut veil = Veil::over(key).unwrap();
        let mut pass = |text: &str| String::from_utf8(veil.pass(text.as_bytes(), key)).unwrap();
        assert_eq!(pass("data: 0123456789abcdef/ 0123"), "data: ***************** ");
        assert_eq!(pass("456789abcdef\\/x0123"), "******************x");
        assert_eq!(pass("\n\n"), "0123\n\n");
        assert_eq!(pass("0123456789abcdef%"), "");
        assert_eq!(veil.lift(), b"0123456789abcdef%");
        assert!(Veil::over("password").is_none());
    }

    proptest::proptest! {
        #[test]
        fn a_veil_covers_the_key_however_it_is_split(at in 0_usize..80) {
            let key = "0123456789abcdef%";
            let text = "{\"x\":\"/0%31234567&#x38;9abcdef%25 0123456789abcdef0123456789abcdef%\"}0123456789abcdef%";
            let veiled = |parts: &[&str]| {
                let mut veil = Veil::over(key).unwrap();
                let mut out: Vec<u8> =
                    parts.iter().flat_map(|part| veil.pass(part.as_bytes(), key)).collect();
                out.extend(veil.lift());
                out
            };
            let (head, tail) = text.split_at(at.min(text.len()));
            let passed = veiled(&[head, tail]);
            proptest::prop_assert_eq!(passed.len(), text.len());
            proptest::prop_assert!(!shows(&passed, key));
        }
    }
}
