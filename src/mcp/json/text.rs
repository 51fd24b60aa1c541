use std::{borrow::Cow, str::Chars};

use memchr::{memchr, memchr2};

use super::Fault;

/// A text as it stands between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) text: &'a str,
    escaped: bool,
}

/// The text that begins here, up to its closing quote; `None` where it has none, or holds what no text
/// may (RFC 8259 7).
pub(super) fn raw(rest: &str) -> Option<Raw<'_>> {
    let bytes = rest.as_bytes();
    let (mut at, mut escaped) = (0, false);
    loop {
        let run = memchr2(b'"', b'\\', bytes.get(at..)?)?;
        // Without a way out in the middle, so that it is done many bytes at a time.
        let controls =
            bytes.get(at..at + run)?.iter().fold(false, |any, byte| any | (*byte < b' '));
        if controls {
            return None;
        }
        at += run;
        if bytes.get(at)? == &b'"' {
            return Some(Raw { text: rest.get(..at)?, escaped });
        }
        at += escape_length(bytes.get(at..)?)?;
        escaped = true;
    }
}

fn escape_length(escape: &[u8]) -> Option<usize> {
    match escape {
        [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        [_, b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => Some(6),
        _ => None,
    }
}

/// A text with its escapes resolved. Half a surrogate pair stands for no character, and every reader
/// puts another one in its place: in what is looked at it is refused. In what is only passed on it is
/// nothing unusual: JavaScript writes it for a text that was cut in the middle of an emoji.
pub(super) fn resolved(Raw { text, escaped }: Raw<'_>) -> Result<Cow<'_, str>, Fault> {
    if !escaped {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, behind)) =
        memchr(b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at))
    {
        out.push_str(plain);
        let mut chars = behind.chars();
        chars.next();
        out.push(escape(&mut chars).ok_or(Fault::Doubtful)?);
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn escape(chars: &mut Chars<'_>) -> Option<char> {
    match chars.next()? {
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => {
            let unit = code_unit(chars)?;
            match char::from_u32(unit) {
                Some(char) => Some(char),
                None => pair(unit, chars),
            }
        }
        other => Some(other),
    }
}

fn code_unit(chars: &mut Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + chars.next()?.to_digit(16)?))
}

/// The character of a pair of surrogates, the first of which was read.
fn pair(high: u32, chars: &mut Chars<'_>) -> Option<char> {
    if (chars.next()?, chars.next()?) != ('\\', 'u') {
        return None;
    }
    let low = code_unit(chars)?;
    let mut pair = char::decode_utf16([u16::try_from(high).ok()?, u16::try_from(low).ok()?]);
    pair.next()?.ok()
}
