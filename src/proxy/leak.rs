//! The key that was injected, looked for in what the upstream says. A client that sees it can go
//! round the gateway; frameworks quote the path of a request in errors, each in its own spelling.

/// What stands where the key stood.
const MASK: &[u8] = b"[redacted]";

/// Escapes of HTML and JSON that have a name of their own.
const NAMED: [(u8, &[u8]); 10] = [
    (b'&', b"&amp;"),
    (b'<', b"&lt;"),
    (b'>', b"&gt;"),
    (b'"', b"&quot;"),
    (b'"', b"&#34;"),
    (b'\'', b"&#39;"),
    (b'\'', b"&#x27;"),
    (b'/', b"\\/"),
    (b'"', b"\\\""),
    (b'\\', b"\\\\"),
];

/// Whether the text shows the key: as it is, or any of its bytes percent-encoded or escaped as in
/// HTML or JSON.
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
    if text.starts_with(key) { Some(key.len()) } else { spelled(text, key) }
}

/// How many bytes at the front of the text spell the key.
fn spelled(text: &[u8], key: &[u8]) -> Option<usize> {
    let mut length = 0;
    for byte in key {
        length += letter(text.get(length..)?, *byte)?;
    }
    Some(length)
}

/// How many bytes at the front of the text stand for this byte.
fn letter(text: &[u8], byte: u8) -> Option<usize> {
    let named = NAMED.iter().find(|(of, escape)| *of == byte && text.starts_with(escape));
    if let Some((_, escape)) = named {
        return Some(escape.len());
    }
    let hex = |digits: &[u8]| hex::decode(digits).is_ok_and(|decoded| decoded == [byte]);
    match text {
        [b'%', high, low, ..] if hex(&[*high, *low]) => Some(3),
        [b'\\', b'u', b'0', b'0', high, low, ..] if hex(&[*high, *low]) => Some(6),
        [first, ..] if *first == byte => Some(1),
        _ => None,
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
}
