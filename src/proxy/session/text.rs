//! Bytes as text: base64url without padding (RFC 4648 5), each in one spelling alone.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes as letters, digits, `-` and `_`, which a field, a query and a path take as they are.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let mut group = [0; 4];
        for (to, from) in group.iter_mut().skip(1).zip(part) {
            *to = *from;
        }
        let group = u32::from_be_bytes(group);
        let digits = [18, 12, 6, 0].into_iter().take(part.len() + 1);
        let at = digits.filter_map(|shift| usize::try_from(group >> shift & 63).ok());
        text.extend(at.filter_map(|at| DIGITS.get(at)).map(|digit| char::from(*digit)));
    }
    text
}

/// The bytes of a text, if [`encode`] would give that text for them.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for part in text.chunks(4) {
        let digits = part.iter().chain(b"AAA").take(4);
        let mut group = 0;
        for byte in digits {
            group = group << 6 | u32::from(value(*byte)?);
        }
        let [_, group @ ..] = group.to_be_bytes();
        // A last digit alone holds no byte, and what its last bits say must not be left unread:
        // then one id would have several spellings.
        let (kept, spare) = group.split_at_checked(part.len() - 1)?;
        if kept.is_empty() || spare.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_that_of_the_rfc() {
        // RFC 4648 10, without the padding, and the two digits that are base64url's own.
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff", "-_8"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes));
        }
        for wrong in ["A", "Zg=", "Zh", "Zm9", "Zm9v ", "Zm9vY", "+/8", "Zm\u{e4}"] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_is_written_so(text in "[A-Za-z0-9_+/= -]{0,12}") {
            if let Some(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
