//! The spellings that frameworks have for a key, read byte by byte.

/// What stands at the front of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The key, so many bytes long.
    Whole(usize),
    /// All of the text, and it could be the beginning of the key.
    Begun,
    /// Something else.
    Not,
}

impl Found {
    /// The better of two readings.
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        match (self, self == Self::Begun) {
            (Self::Whole(_), _) => self,
            (_, begun) => match other() {
                Self::Not if begun => Self::Begun,
                other => other,
            },
        }
    }
}

/// Escapes of HTML that have a name.
const NAMED: [(u8, &[u8]); 5] =
    [(b'&', b"&amp;"), (b'<', b"&lt;"), (b'>', b"&gt;"), (b'"', b"&quot;"), (b'\'', b"&apos;")];

/// The next place where the key could begin. Nearly every byte of a text is passed over here.
pub(super) fn candidate(text: &[u8], key: &[u8]) -> Option<usize> {
    let begins = *key.first()?;
    let could = |(at, byte): (usize, &u8)| match *byte {
        byte if byte == begins => true,
        b'%' | b'&' => true,
        // JSON inside JSON is full of `\"`.
        b'\\' => begins == b'"' || text.get(at + 1) != Some(&b'"'),
        _ => false,
    };
    text.iter().enumerate().position(could)
}

/// Reads the key at the front of the text: as it is, or any of its bytes percent-encoded, once or
/// twice, or escaped as in HTML or JSON.
pub(super) fn read(text: &[u8], key: &[u8]) -> Found {
    if key.is_empty() {
        return Found::Not;
    }
    plain(text, key).or(|| read_with(text, key, b"%")).or(|| read_with(text, key, b"%25"))
}

/// As it is. Asked first, because a key may hold what looks like an escape.
fn plain(text: &[u8], key: &[u8]) -> Found {
    let common = text.len().min(key.len());
    match text.get(..common) == key.get(..common) {
        true if common == key.len() => Found::Whole(common),
        true => Found::Begun,
        false => Found::Not,
    }
}

fn read_with(text: &[u8], key: &[u8], percent: &[u8]) -> Found {
    let mut length = 0;
    for byte in key {
        match letter(text.get(length..).unwrap_or_default(), *byte, percent) {
            Found::Whole(more) => length += more,
            other => return other,
        }
    }
    Found::Whole(length)
}

/// Reads what stands for one byte.
fn letter(text: &[u8], byte: u8, percent: &[u8]) -> Found {
    let escaped = match text.first() {
        None => return Found::Begun,
        Some(b'%') => form(text, &[percent, &hex(byte)].concat()),
        Some(b'&') => entity(text, byte),
        Some(b'\\') => backslashed(text, byte),
        Some(_) => Found::Not,
    };
    escaped.or(|| if text.first() == Some(&byte) { Found::Whole(1) } else { Found::Not })
}

/// JSON within JSON, as the texts of tools are, has its backslashes doubled, once for each level.
fn backslashed(text: &[u8], byte: u8) -> Found {
    let slashes = text.iter().take(MAX_SLASHES).take_while(|b| **b == b'\\').count();
    let rest = text.get(slashes..).unwrap_or_default();
    let [high, low] = hex(byte);
    let escape = match (rest.first(), byte) {
        (None, _) => Found::Begun,
        (Some(b'u'), _) => form(rest, &[b'u', b'0', b'0', high, low]),
        (Some(first), b'/' | b'"') if *first == byte => Found::Whole(1),
        _ => Found::Not,
    };
    match escape {
        Found::Whole(length) => Found::Whole(slashes + length),
        Found::Not if byte == b'\\' && slashes > 1 => Found::Whole(2),
        other => other,
    }
}

/// Four levels of JSON within JSON.
const MAX_SLASHES: usize = 8;

fn entity(text: &[u8], byte: u8) -> Found {
    let [high, low] = hex(byte);
    let digit = |of: u8| b'0' + of % 10;
    let padded = [b'&', b'#', digit(byte / 100), digit(byte / 10), digit(byte), b';'];
    let short = [b'&', b'#', digit(byte / 10), digit(byte), b';'];
    let named = NAMED.iter().find(|(of, _)| *of == byte);
    form(text, &[b'&', b'#', b'x', high, low, b';'])
        .or(|| form(text, &padded))
        .or(|| if byte < 100 { form(text, &short) } else { Found::Not })
        .or(|| named.map_or(Found::Not, |(_, name)| form(text, name)))
}

fn hex(byte: u8) -> [u8; 2] {
    let mut digits = [0; 2];
    // Two digits for one byte always fit.
    let _ = hex::encode_to_slice([byte], &mut digits);
    digits
}

/// Reads one spelling, its letters in either case.
fn form(text: &[u8], form: &[u8]) -> Found {
    let same = text.iter().zip(form).all(|(a, b)| a.eq_ignore_ascii_case(b));
    match (same, text.len() < form.len()) {
        (false, _) => Found::Not,
        (true, true) => Found::Begun,
        (true, false) => Found::Whole(form.len()),
    }
}
