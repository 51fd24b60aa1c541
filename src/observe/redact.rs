//! The second net: what looks like a credential is masked in every line on its way out.
//!
//! The first net is the types: a record has no field that could hold a key. This one is for what
//! dependencies say, and for our own mistakes; whatever it catches is a bug and is counted.
//!
//! A line is read once, as runs of token characters. A hit is decided by the run itself (32 hex
//! digits, 32 or more characters with letters and digits among them, a token prefix of Postiz or
//! of ours, a JWT) or by the word before it (`mcp/KEY`, `Bearer KEY`, `key=KEY`,
//! `authorization: KEY`), whatever shape the key has then.
//!
//! Text of the configuration is let through if the caller says so, run by run; nothing else is.

use std::{borrow::Cow, ops::Range};

/// What stands where a credential stood.
pub const MASK: &str = "[redacted]";

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// JSON: masks stay within one string.
    Json,
    /// Text with JSON's escapes.
    Text,
}

/// A line that may be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Redacted<'l> {
    /// The line: at most three times as long as it was, still UTF-8, still JSON.
    pub line: Cow<'l, [u8]>,
    /// How many texts were masked.
    pub masked: u64,
}

/// Masks what looks like a credential, unless `configured` knows the text.
pub fn redact(line: &[u8], syntax: Syntax, configured: impl Fn(&[u8]) -> bool) -> Redacted<'_> {
    let mut net = Net { line, hits: Vec::new(), configured };
    match syntax {
        Syntax::Json => net.json(),
        Syntax::Text => net.text(0..line.len()),
    }
    mask(line, &net.hits)
}

/// Whether some run in the line looks like a credential by itself. It looks at every sixteenth byte
/// and reads only runs that could be long enough, so a line of short words costs next to nothing.
pub(super) fn holds_long_secret(line: &[u8]) -> bool {
    let mut at = PREFIXED_RUN - 1;
    while let Some(byte) = line.get(at) {
        if !is_token(*byte) {
            at += PREFIXED_RUN;
            continue;
        }
        let (before, after) = line.split_at(at);
        let start = before.iter().rposition(|b| !is_token(*b)).map_or(0, |border| border + 1);
        let end = after.iter().position(|b| !is_token(*b)).map_or(line.len(), |border| at + border);
        let run = line.get(start..end).unwrap_or_default();
        if run.len() >= PREFIXED_RUN && (looks_secret(run) || find(run, b"eyJ")) {
            return true;
        }
        at = end + PREFIXED_RUN;
    }
    false
}

fn mask<'l>(line: &'l [u8], hits: &[Range<usize>]) -> Redacted<'l> {
    if hits.is_empty() {
        return Redacted { line: Cow::Borrowed(line), masked: 0 };
    }
    let mut out = Vec::with_capacity(line.len() + MASK.len());
    let (mut copied, mut masked) = (0, 0);
    for hit in hits {
        out.extend_from_slice(line.get(copied..hit.start).unwrap_or_default());
        out.extend_from_slice(MASK.as_bytes());
        copied = hit.end;
        masked += 1;
    }
    out.extend_from_slice(line.get(copied..).unwrap_or_default());
    Redacted { line: Cow::Owned(out), masked }
}

struct Net<'l, F> {
    line: &'l [u8],
    /// Ascending, apart from each other.
    hits: Vec<Range<usize>>,
    configured: F,
}

impl<'l, F: Fn(&[u8]) -> bool> Net<'l, F> {
    /// Reads the strings of a JSON text, each by itself, and a member's name with its value.
    fn json(&mut self) {
        let mut at = 0;
        let mut secret_member = false;
        while let Some(start) = self.find(at, |b| b == b'"').map(|quote| quote + 1) {
            let end = self.string_end(start);
            if secret_member {
                self.hit(start..end);
            } else {
                self.text(start..end);
            }
            let is_member = self.get(&(end + 1..end + 3)) == b":\"";
            secret_member = is_member
                && matches!(
                    announces(self.get(&(start..end))),
                    Some(Announces::Header | Announces::Value)
                );
            at = end + 1;
        }
    }

    /// Reads text in which a backslash begins an escape.
    fn text(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            match self.line.get(at) {
                Some(b'\\') => at += self.escape_length(at),
                Some(byte) if is_token(*byte) => {
                    let end = self.token_end(at, range.end);
                    at = self.run(at..end, range.end);
                }
                _ => at += 1,
            }
        }
    }

    /// Judges a run and what follows it; gives where reading goes on.
    fn run(&mut self, run: Range<usize>, end: usize) -> usize {
        let word = self.get(&run);
        let next = self.line.get(run.end).filter(|_| run.end < end).copied();
        let jwt = word.len() > 10 && find(word, b"eyJ");
        // The parts of a JWT are runs of their own.
        let whole = if jwt { run.start..self.jwt_end(run.end, end) } else { run.clone() };
        if jwt || looks_secret(word) {
            self.hit(whole.clone());
        }
        let value = match next {
            Some(b'/') if announces(word) == Some(Announces::Segment) => {
                Some(self.path(run.end, end))
            }
            Some(byte) if byte == b'\\' || is_separator(byte) => announces(word)
                .filter(|what| *what != Announces::Segment)
                .and_then(|what| self.named_value(what, run.end, end)),
            _ => None,
        };
        value.unwrap_or(whole.end)
    }

    /// What follows `mcp`: known segments, then perhaps a key and all that is behind it.
    fn path(&mut self, slash: usize, end: usize) -> usize {
        let stop = self.find_until(slash, end, ends_path);
        let mut at = slash + 1;
        while at < stop {
            let segment_end = self.find_until(at, stop, |b| b == b'/');
            let segment = self.get(&(at..segment_end));
            if !is_known_segment(segment) && !(self.configured)(segment) {
                self.hit(at..stop);
                break;
            }
            at = segment_end + 1;
        }
        stop
    }

    /// What follows a word that announces a credential. `None` where it is only mentioned.
    fn named_value(&mut self, what: Announces, from: usize, end: usize) -> Option<usize> {
        let between = self.separators_end(from, end);
        let separators = self.get(&(from..between));
        let has = |byte| separators.contains(&byte);
        let assigned = has(b'=') || (has(b':') && has(b'"'));
        let listed = has(b':') || (has(b',') && has(b'"'));
        let stop = match what {
            // The value of a header may hold anything but a quote.
            Announces::Header if assigned || listed => {
                self.find_until(between, end, |b| b == b'"' || b == b'\\')
            }
            Announces::Value if assigned => self.find_until(between, end, ends_value),
            Announces::Scheme => self.find_until(between, end, ends_value),
            _ => return None,
        };
        self.hit(between..stop);
        // In `token=Bearer KEY` the value is only another word that announces the key.
        let first = self.get(&(between..self.token_end(between, stop)));
        Some(if announces(first).is_some() { between } else { stop })
    }

    /// Notes a hit, unless there is nothing to hide.
    fn hit(&mut self, range: Range<usize>) {
        let text = self.get(&range);
        if text.is_empty() || is_shown_form(text) || (self.configured)(text) {
            return;
        }
        match self.hits.last_mut() {
            // A JWT in a header's value, or a mount word within a masked run; what touches is one hit,
            // or the two masks would be a text of their own.
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => self.hits.push(range),
        }
    }

    fn get(&self, range: &Range<usize>) -> &'l [u8] {
        self.line.get(range.clone()).unwrap_or_default()
    }

    fn find(&self, from: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        let rest = self.line.get(from..)?;
        rest.iter().position(|b| wanted(*b)).map(|offset| from + offset)
    }

    fn find_until(&self, from: usize, end: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.get(&(from..end));
        rest.iter().position(|b| wanted(*b)).map_or(end, |offset| from + offset)
    }

    /// Where what stands between a word and its value ends. An escape is passed over whole, or a
    /// mask behind its backslash would break the JSON.
    fn separators_end(&self, from: usize, end: usize) -> usize {
        let mut at = from;
        while at < end.min(from + SEPARATORS) {
            match self.get(&(at..end)) {
                [b'\\', b'"' | b'\\', ..] => at += 2,
                [byte, ..] if is_separator(*byte) => at += 1,
                _ => break,
            }
        }
        at
    }

    fn token_end(&self, from: usize, end: usize) -> usize {
        self.find_until(from, end, |b| !is_token(b))
    }

    fn jwt_end(&self, from: usize, end: usize) -> usize {
        self.find_until(from, end, |b| !is_token(b) && b != b'.' && b != b'=')
    }

    /// The index of the quote that ends a JSON string, or of the line's end.
    fn string_end(&self, start: usize) -> usize {
        let mut at = start;
        loop {
            let rest = self.line.get(at..).unwrap_or_default();
            let Some(offset) = memchr::memchr2(b'"', b'\\', rest) else { return self.line.len() };
            at += offset;
            if self.line.get(at) == Some(&b'"') {
                return at;
            }
            at += self.escape_length(at);
        }
    }

    fn escape_length(&self, at: usize) -> usize {
        if self.line.get(at + 1) == Some(&b'u') { 6 } else { 2 }
    }
}

/// Letters, digits and what base64, base64url and percent triplets are made of, but `/` and `=`:
/// with those a path or an assignment would be one word.
pub(super) fn is_token(byte: u8) -> bool {
    TOKENS.get(usize::from(byte)).copied().unwrap_or(false)
}

/// A look instead of a chain of comparisons: every line is read by it.
static TOKENS: [bool; 256] = {
    let mut tokens = [false; 256];
    let mut letters: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-~+%";
    while let [letter, rest @ ..] = letters {
        #[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "a byte lies within")]
        {
            tokens[*letter as usize] = true;
        }
        letters = rest;
    }
    tokens
};

/// How many bytes may stand between a word and its value, about: `\": \"Bearer `.
const SEPARATORS: usize = 8;

/// A run of this length with letters and digits in it is taken for a key.
const LONG_RUN: usize = 32;

/// Postiz: OAuth access token, client ids, client secret. Portcullis: its own keys.
const PREFIXES: [&[u8; 4]; 5] = [b"pos_", b"pca_", b"pcd_", b"pcs_", b"ptc_"];

/// A token is at least this long with its prefix, or `write_pos_of` would be one.
const PREFIXED_RUN: usize = 16;

fn looks_secret(run: &[u8]) -> bool {
    (run.len() >= PREFIXED_RUN && has_prefixed_token(run))
        || (run.len() >= LONG_RUN && (mixes_letters_and_digits(run) || has_long_hex(run)))
}

fn has_prefixed_token(run: &[u8]) -> bool {
    memchr::memchr_iter(b'p', run).any(|at| {
        let token = run.get(at..).unwrap_or_default();
        token.len() >= PREFIXED_RUN && PREFIXES.iter().any(|prefix| token.starts_with(*prefix))
    })
}

fn mixes_letters_and_digits(run: &[u8]) -> bool {
    run.iter().any(u8::is_ascii_alphabetic) && run.iter().any(u8::is_ascii_digit)
}

fn has_long_hex(run: &[u8]) -> bool {
    run.split(|b| !b.is_ascii_hexdigit()).any(|digits| digits.len() >= LONG_RUN)
}

fn find(run: &[u8], wanted: &[u8]) -> bool {
    run.windows(wanted.len()).any(|part| part == wanted)
}

/// Compared at the end of a run, since an escape of somebody's `Debug` may stick to its front.
fn ends_with(run: &[u8], word: &[u8]) -> bool {
    run.len()
        .checked_sub(word.len())
        .and_then(|start| run.get(start..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(word))
}

/// What a word says about the text that follows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Announces {
    /// A mount point of the routes of Postiz: the next segment may be a key.
    Segment,
    /// A header whose whole value is a credential.
    Header,
    /// The name of an authentication scheme.
    Scheme,
    /// A query parameter or a field that holds a credential.
    Value,
}

fn announces(run: &[u8]) -> Option<Announces> {
    use Announces::{Header, Scheme, Segment, Value};
    // By the last letter, since this is asked of nearly every word of every line. `key` and `id`
    // stand for `api_key` and the like; `status_code` is nothing secret, so `code` stands alone.
    let words: &[(&str, Announces)] = match run.last()?.to_ascii_lowercase() {
        b'p' => &[("mcp", Segment)],
        b's' => &[("messages", Segment)],
        b'e' if run.eq_ignore_ascii_case(b"code") => return Some(Value),
        b'e' => &[("sse", Segment), ("message", Segment), ("cookie", Header)],
        b'n' => &[("authorization", Header), ("token", Value)],
        b'r' => &[("bearer", Scheme)],
        b'y' => &[("key", Value)],
        b't' => &[("secret", Value)],
        b'd' => &[
            ("password", Value),
            ("sessionid", Value),
            ("session_id", Value),
            ("session-id", Value),
        ],
        _ => return None,
    };
    words.iter().find(|(word, _)| ends_with(run, word.as_bytes())).map(|(_, what)| *what)
}

fn is_known_segment(segment: &[u8]) -> bool {
    // A sentence may go on behind the path.
    let end = segment.iter().rposition(|b| !matches!(b, b',' | b'.' | b';' | b':' | b')' | b'\''));
    let word = segment.get(..end.map_or(0, |last| last + 1)).unwrap_or_default();
    let known = ["", "sse", "message", "messages", "mcp", "{key}", "*", MASK];
    known.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// What the log itself writes for a key: the mask, the template's word, a fingerprint.
fn is_shown_form(text: &[u8]) -> bool {
    let is_fingerprint = text
        .strip_prefix(b"fp:")
        .is_some_and(|digits| digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit));
    is_fingerprint || text == MASK.as_bytes() || text == b"{key}"
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b'=' | b' ' | b'"' | b'\'' | b',')
}

const fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\\' | b'&' | b'#')
}

const fn ends_path(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, b'"' | b'\\' | b'?' | b'#' | b'<' | b'>' | b'`' | b'&')
}

#[cfg(test)]
mod tests;
