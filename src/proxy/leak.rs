//! The key that was injected, looked for in what the upstream says. A client that sees it can go
//! round the gateway; frameworks quote the path of a request in errors, each in its own spelling.

use http::StatusCode;

use super::spelling::{self, Found};

/// A shorter key could be a word of an answer. An error that holds the word is nobody's data.
const MIN_KEY_BYTES: usize = 16;

/// Whether the text shows the key, in whatever spelling.
pub(super) fn shows(text: &[u8], key: &str) -> bool {
    let key = key.as_bytes();
    // Who came with a certificate has no key.
    let mut rest = if key.is_empty() { &[] } else { text };
    while let Some(from) = spelling::candidate(rest, key).and_then(|at| rest.get(at..)) {
        if length_of(from, key).is_some() {
            return true;
        }
        rest = from.get(1..).unwrap_or_default();
    }
    false
}

/// Whether the key is covered wherever it is shown: a short one could be a word of an answer.
pub(super) const fn is_veiled(key: &str) -> bool {
    key.len() >= MIN_KEY_BYTES
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
    /// A veil over an answer of that status, where the key can be told from a word of it.
    pub(super) fn over(key: &str, status: StatusCode) -> Option<Self> {
        (is_veiled(key) || !status.is_success()).then(Self::default)
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
            r#"a\\u0026b=c\\/d%e'f\\\"g"#,
        ] {
            let text = format!("Cannot GET /mcp/{spelling}/x {spelling}");
            let stars = "*".repeat(spelling.len());
            let covered = Veil::default().pass(text.as_bytes(), key);
            assert!(shows(text.as_bytes(), key), "{spelling}");
            assert_eq!(
                covered,
                format!("Cannot GET /mcp/{stars}/x {stars}").as_bytes(),
                "{spelling}"
            );
        }
        for other in ["a&b=c/d%e'f\"", "", "A&b=c/d%e'f\"g", "a%26b"] {
            assert!(!shows(other.as_bytes(), key), "{other}");
        }
        assert!(!shows(b"x", ""), "no key is in every text");
    }

    #[test]
    fn a_key_that_looks_escaped_is_found_as_it_is() {
        for key in ["a&amp;b", r"a\\b", "a%2525b", r"a\u0041b", "&&amp;amp;"] {
            let text = format!("Cannot GET /mcp/{key}/x");
            assert!(shows(text.as_bytes(), key), "{key}");
            let stars = "*".repeat(key.len());
            let covered = Veil::default().pass(text.as_bytes(), key);
            assert_eq!(covered, format!("Cannot GET /mcp/{stars}/x").as_bytes());
        }
    }

    #[test]
    fn a_veil_covers_the_key_and_holds_no_end_of_a_line() {
        let key = "0123456789abcdef/";
        let mut veil = Veil::over(key, StatusCode::OK).unwrap();
        let mut pass = |text: &str| String::from_utf8(veil.pass(text.as_bytes(), key)).unwrap();
        assert_eq!(pass("data: 0123456789abcdef/ 0123"), "data: ***************** ");
        assert_eq!(pass("456789abcdef\\/x0123"), "******************x");
        assert_eq!(pass("\n\n"), "0123\n\n");
        assert_eq!(pass("0123456789abcdef%"), "");
        assert_eq!(veil.lift(), b"0123456789abcdef%");
        assert!(Veil::over("password", StatusCode::OK).is_none());
        assert!(Veil::over("password", StatusCode::NOT_FOUND).is_some());
    }

    proptest::proptest! {
        #[test]
        fn a_veil_covers_the_key_however_it_is_split(at in 0_usize..80) {
            let key = "0123456789abcdef%";
            let text = "{\"x\":\"/0%31234567&#x38;9abcdef%25 0123456789abcdef0123456789abcdef%\"}0123456789abcdef%";
            let veiled = |parts: &[&str]| {
                let mut veil = Veil::default();
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

        #[test]
        fn no_key_stands_plain_in_what_has_passed(
            key in "[ab&;%25u0/\"\\\\]{16,20}",
            around in "[ab&;%25u0/\"\\\\]{0,20}",
            at in 0_usize..60,
        ) {
            let text = format!("{around}{key}{around}");
            let (head, tail) = text.as_bytes().split_at(at.min(text.len()));
            let mut veil = Veil::default();
            let mut passed = veil.pass(head, &key);
            passed.extend(veil.pass(tail, &key));
            passed.extend(veil.lift());
            proptest::prop_assert_eq!(passed.len(), text.len());
            let found = passed.windows(key.len()).any(|part| part == key.as_bytes());
            proptest::prop_assert!(!found);
        }
    }
}
