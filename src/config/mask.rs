//! What a problem shows of the file. A key that was written in the wrong place must not travel on
//! to a terminal, a journal or a bug report.

/// How much of a text a message repeats, in characters.
const SHOWN_CHARS: usize = 80;

/// A run of letters and digits of this length that has both is taken for a key.
const KEY_CHARS: usize = 16;

/// A run of letters of this length is taken for a key as well.
const LETTERS_CHARS: usize = 32;

/// A text of the file as a message repeats it: in quotes, cut, keys and control characters masked.
pub(super) fn shown(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let dots = if chars.len() > SHOWN_CHARS { "..." } else { "" };
    // Masked before it is cut, or the head of a key would be too short to look like one.
    let masked: String = keys(&chars).into_iter().take(SHOWN_CHARS).collect();
    format!("\"{masked}{dots}\"")
}

/// A message without what it repeats of the file.
pub(super) fn quoted(message: String) -> String {
    let inner = message.find('"').zip(message.rfind('"')).filter(|(first, last)| first < last);
    match inner.and_then(|(first, last)| message.get(..=first).zip(message.get(last..))) {
        Some((before, after)) => format!("{before}***{after}"),
        None => message,
    }
}

/// Whether the last so many characters of a line hold something of a secret's value.
pub(super) fn hides_value(text: &str, last: usize) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let masked = values(chars.clone());
    let pairs = chars.iter().zip(&masked).rev().take(last);
    { pairs }.any(|(as_it_is, masked)| as_it_is != masked)
}

/// A line of the file as it is shown, as many characters as before.
pub(super) fn line(text: &str) -> Vec<char> {
    values(keys(&text.chars().collect::<Vec<_>>()))
}

/// Masks what stands behind the equals sign of a secret.
fn values(mut chars: Vec<char>) -> Vec<char> {
    let at_equals: Vec<usize> =
        chars.iter().enumerate().filter(|(_, c)| **c == '=').map(|(at, _)| at).collect();
    for at in at_equals {
        let (before, after) = chars.split_at_mut(at);
        let value = after.get_mut(1..).unwrap_or_default();
        // What is in braces has names of its own.
        let is_table = || value.iter().find(|c| **c != ' ') == Some(&'{');
        if names_a_secret(before) || (name_of(before) == "previous" && !is_table()) {
            mask_value(value);
        }
    }
    chars
}

fn keys(chars: &[char]) -> Vec<char> {
    let mut masked = Vec::with_capacity(chars.len());
    for run in chars.chunk_by(|a, b| a.is_ascii_alphanumeric() == b.is_ascii_alphanumeric()) {
        let has = |kind: fn(&char) -> bool| run.iter().any(kind);
        let mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
        let looks_like_key = run.first().is_some_and(char::is_ascii_alphanumeric)
            && (run.len() >= LETTERS_CHARS || (mixed && run.len() >= KEY_CHARS));
        masked.extend(run.iter().map(|c| match c {
            _ if looks_like_key => '*',
            c if c.is_control() => ' ',
            c => *c,
        }));
    }
    masked
}

/// Whether what stands before an equals sign names a secret, also where the file can't be parsed.
fn names_a_secret(before: &[char]) -> bool {
    let name = name_of(before);
    let secret = ["secret", "token", "password", "passwd", "sha256", "credential"];
    // `key` alone is the file of a certificate's key.
    (name.ends_with("key") && name != "key") || secret.iter().any(|word| name.contains(word))
}

/// The name right before an equals sign, in lower case.
fn name_of(before: &[char]) -> String {
    let is_name = |c: &&char| c.is_ascii_alphanumeric() || matches!(**c, '_' | '-');
    let is_space = |c: &&char| matches!(**c, ' ' | '"' | '\'');
    let name: String = before.iter().rev().skip_while(is_space).take_while(is_name).collect();
    name.chars().rev().collect::<String>().to_ascii_lowercase()
}

/// Masks a value that isn't a reference to a secret.
fn mask_value(value: &mut [char]) {
    let start = value.iter().position(|c| *c != ' ').unwrap_or(value.len());
    let Some(value) = value.get_mut(start..) else { return };
    let quote = value.first().copied().filter(|c| matches!(c, '"' | '\''));
    let inner = value.get_mut(usize::from(quote.is_some())..).unwrap_or_default();
    let is_reference = ["env:", "file:"]
        .iter()
        .any(|scheme| inner.iter().copied().take(scheme.len()).eq(scheme.chars()));
    if is_reference {
        return;
    }
    for c in inner.iter_mut().take_while(|c| Some(**c) != quote) {
        *c = '*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(text: &str) -> String {
        line(text).into_iter().collect()
    }

    #[test]
    fn what_looks_like_a_key_is_masked_and_nothing_moves() {
        for (text, masked) in [
            (r#"x = "0123456789abcdef""#, r#"x = "****************""#),
            ("handshakes = 0123456789", "handshakes = 0123456789"),
            ("connections_per_address = 1", "connections_per_address = 1"),
            (r#"upstream_key = "hunter2" # no"#, r#"upstream_key = "*******" # no"#),
            (r#"upstream_key = "env:POSTIZ""#, r#"upstream_key = "env:POSTIZ""#),
            ("upstream_key = hunter2", "upstream_key = *******"),
            (r#"{ cert = "a.pem", key = "b.pem" }"#, r#"{ cert = "a.pem", key = "b.pem" }"#),
            (r#""api-token" = 'abc"#, r#""api-token" = '***"#),
            ("previous = hunter2", "previous = *******"),
            (
                r#"previous = { key_sha256 = "hunter2", expires = 2026-12-31 }"#,
                r#"previous = { key_sha256 = "*******", expires = 2026-12-31 }"#,
            ),
            ("a\u{1b}[31mb", "a [31mb"),
        ] {
            assert_eq!(line_of(text), masked);
        }
    }

    #[test]
    fn a_message_can_do_without_what_it_repeats() {
        let said = |text: &str| quoted(text.to_owned());
        assert_eq!(said("`paths`: \"hunter2\" is no path"), "`paths`: \"***\" is no path");
        assert_eq!(said("nothing"), "nothing");
        assert!(hides_value("upstream_key = \"hunter2\"", 9));
        assert!(!hides_value("upstream_key = \"hunter2\" # x", 3));
    }

    #[test]
    fn a_key_that_is_cut_is_still_masked() {
        let text = format!("{} {}", "a".repeat(70), "b1".repeat(20));
        assert!(!shown(&text).contains("b1"), "{}", shown(&text));
    }
}
