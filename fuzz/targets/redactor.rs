use portcullis::observe::{Redacted, Syntax, redact};

/// Keys that are known by themselves, wherever they stand: ours, 32 hex digits, letters and digits,
/// a JWT.
const SELF_EVIDENT: [&str; 4] = [
    "ptc_Zx81Qm04Lr77Tb29Wp55Hn63Vc10Kd48",
    "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "Zx81Qm04Lr77Tb29Wp55Hn63Vc10Kd48Sg92",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
];

/// A key of no shape, known by the word before it.
const SHAPELESS: &str = "quiet~harbor";

const ANNOUNCED: [(&str, &str); 7] = [
    (" /api/mcp/", " "),
    (" /sse/", "?a=b "),
    (" Bearer ", " "),
    ("?api_key=", "&a=b "),
    (" access_token=", " "),
    ("\nauthorization: ", "\" "),
    (" cookie: session=", "\" "),
];

/// The name of a consumer or a tool that looks like a key, and is configured.
const CONFIGURED: &str = "team-9f8e7d6c5b4a39281706f5e4d3c2b1a0";

/// A name of the same kind that doesn't.
const PLAIN: &str = "ordinary-team";

/// Masking is bounded, leaves nothing for a second pass, and keeps UTF-8 and JSON what they are. No
/// key survives it whatever stands around, and no configured name is lost that a plain one isn't.
pub(crate) fn redactor(bytes: &[u8]) {
    for syntax in [Syntax::Text, Syntax::Json] {
        bounded(bytes, syntax);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let around = text.split_at(middle);
    for key in SELF_EVIDENT {
        is_gone(key, around, ("", ""));
    }
    for words in ANNOUNCED {
        is_gone(SHAPELESS, around, words);
    }
    for words in [(" ", " "), (" /mcp/", " "), (" tool=", " ")] {
        is_spared(around, words);
    }
}

fn bounded(bytes: &[u8], syntax: Syntax) {
    let once = redact(bytes, syntax, |_| false).line;
    assert!(once.len() <= 3 * bytes.len(), "{} bytes of {}", once.len(), bytes.len());
    if std::str::from_utf8(bytes).is_ok() {
        assert!(std::str::from_utf8(&once).is_ok(), "torn characters");
    }
    let is_json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).is_ok();
    if syntax == Syntax::Json && is_json(bytes) {
        assert!(is_json(&once), "no JSON any more");
    }
    let twice = redact(&once, syntax, |_| false);
    assert_eq!((&twice.line, twice.masked), (&once, 0), "a second pass found more");
}

/// The key, written as the log writes any text: as a string of JSON, and with the same escapes as
/// text. The net sees nothing else.
fn is_gone(key: &str, (before, after): (&str, &str), (left, right): (&str, &str)) {
    if before.contains(key) || after.contains(key) {
        return;
    }
    let text = format!("{before}{left}{key}{right}{after}");
    let escaped = serde_json::Value::from(text).to_string();
    for shown in [json(&escaped, |_| false), inner(&escaped, |_| false)] {
        assert!(!holds(&shown, key) && shown.masked > 0, "{key} is shown of {escaped}");
    }
}

/// Where a plain name is let through, a configured one is, whatever it looks like.
fn is_spared((before, after): (&str, &str), (left, right): (&str, &str)) {
    let escaped = |name: &str| {
        serde_json::Value::from(format!("{before}{left}{name}{right}{after}")).to_string()
    };
    if [before, after].iter().any(|text| text.contains(PLAIN) || text.contains(CONFIGURED)) {
        return;
    }
    let (plain, configured) = (escaped(PLAIN), escaped(CONFIGURED));
    let known = |text: &[u8]| text == CONFIGURED.as_bytes() || text == PLAIN.as_bytes();
    let kept = |shown: &Redacted<'_>, name| holds(shown, name);
    assert_eq!(kept(&json(&plain, known), PLAIN), kept(&json(&configured, known), CONFIGURED));
    assert_eq!(kept(&inner(&plain, known), PLAIN), kept(&inner(&configured, known), CONFIGURED));
}

fn json(escaped: &str, known: impl Fn(&[u8]) -> bool) -> Redacted<'static> {
    let line = format!("{{\"message\":{escaped}}}");
    owned(redact(line.as_bytes(), Syntax::Json, known))
}

fn inner(escaped: &str, known: impl Fn(&[u8]) -> bool) -> Redacted<'static> {
    let inner = escaped.get(1..escaped.len() - 1).unwrap_or_default();
    owned(redact(inner.as_bytes(), Syntax::Text, known))
}

fn owned(shown: Redacted<'_>) -> Redacted<'static> {
    Redacted { line: shown.line.into_owned().into(), masked: shown.masked }
}

fn holds(shown: &Redacted<'_>, text: &str) -> bool {
    shown.line.windows(text.len()).any(|part| part == text.as_bytes())
}
