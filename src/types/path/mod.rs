//! The one reading of a path on an `mcp` route. Routing, limits, policy, logging and forwarding all
//! use what stands here; nobody looks at the raw target again.

mod template;
mod web;

pub use template::{Template, TemplateMatch};
pub use web::WebPath;

use super::Malformation;

/// A target that was read without doubt: segments of plain text, and the query as it came.
///
/// It may hold a key, so it can't be shown.
pub struct Path<'a> {
    segments: Vec<Segment<'a>>,
    trailing_slash: bool,
    query: Option<&'a str>,
}

/// One segment of a path.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    raw: &'a str,
    /// Unreserved characters only (RFC 3986 2.3): every reader agrees on it as it stands.
    plain: bool,
}

impl<'a> Path<'a> {
    /// Reads a target in origin form.
    ///
    /// A segment is either plain, or could stand for a key: unreserved characters, sub-delimiters
    /// but `;`, `:` and `@`, and percent triplets of unreserved characters but the dot. Empty
    /// segments (`//`), dot segments, `\`, `;`, `%2f`, `%5c`, `%00`, `%2e`, `%25` and the like are
    /// where Express, nginx and a policy would part ways, so they are refused, not resolved.
    pub fn read(target: &'a str) -> Result<Self, Malformation> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if !query.is_none_or(is_query) {
            return Err(Malformation::Target);
        }
        let path = path.strip_prefix('/').ok_or(Malformation::Target)?;
        let trailing_slash = path.ends_with('/');
        let inner = path.strip_suffix('/').unwrap_or(path);
        let segments = if path.is_empty() {
            Vec::new()
        } else {
            inner.split('/').map(Segment::read).collect::<Result<_, _>>()?
        };
        Ok(Self { segments, trailing_slash, query })
    }

    /// The segments, without the slashes between them.
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// Whether every segment is plain: no reader decodes or cuts anything.
    pub fn is_plain(&self) -> bool {
        self.segments.iter().all(|segment| segment.plain)
    }

    /// Whether the path ends with a slash of its own.
    pub const fn trailing_slash(&self) -> bool {
        self.trailing_slash
    }

    /// What follows the `?`, as it came. It may hold a key.
    pub const fn query(&self) -> Option<&'a str> {
        self.query
    }
}

impl<'a> Segment<'a> {
    fn read(raw: &'a str) -> Result<Self, Malformation> {
        if raw.is_empty() || raw == "." || raw == ".." {
            return Err(Malformation::Path);
        }
        let plain = raw.bytes().all(is_unreserved);
        if !plain && !could_be_key(raw.as_bytes()) {
            return Err(Malformation::Path);
        }
        Ok(Self { raw, plain })
    }

    /// The segment as it came.
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether it equals a fixed segment. Express compares without case, so we do too, or
    /// `/API/mcp` would reach the handler past a rule on `/api/mcp`.
    pub fn is(&self, fixed: &str) -> bool {
        self.plain && self.raw.eq_ignore_ascii_case(fixed)
    }

    /// The key that the segment stands for: its triplets decoded once.
    pub fn decoded(&self) -> String {
        if !self.raw.contains('%') {
            return self.raw.to_owned();
        }
        let mut decoded = String::with_capacity(self.raw.len());
        let mut rest = self.raw.bytes();
        while let Some(byte) = rest.next() {
            let byte = match byte {
                b'%' => hex_pair(rest.next(), rest.next()).unwrap_or(b'%'),
                other => other,
            };
            decoded.push(char::from(byte));
        }
        decoded
    }
}

/// What a byte may be in a path.
enum Kind {
    /// Only as a triplet, if at all.
    Foreign,
    /// RFC 3986 3.3 `pchar` without `;`, which some servers cut a segment at: fit for a key.
    Key,
    /// RFC 3986 2.3: every reader agrees on it.
    Unreserved,
}

/// One match for all, which compiles to a look into a table: it is asked of every byte of every path.
const fn kind(byte: u8) -> Kind {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => Kind::Unreserved,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
            Kind::Key
        }
        _ => Kind::Foreign,
    }
}

const fn is_unreserved(byte: u8) -> bool {
    matches!(kind(byte), Kind::Unreserved)
}

/// What may stand unencoded in a key segment.
const fn is_key_byte(byte: u8) -> bool {
    !matches!(kind(byte), Kind::Foreign)
}

fn could_be_key(raw: &[u8]) -> bool {
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        let fine = match byte {
            b'%' => hex_pair(rest.next(), rest.next())
                .is_some_and(|decoded| is_unreserved(decoded) && decoded != b'.'),
            other => is_key_byte(other),
        };
        if !fine {
            return false;
        }
    }
    true
}

fn hex_pair(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// RFC 3986 3.4, with every percent sign the start of a triplet.
fn is_query(query: &str) -> bool {
    let mut rest = query.bytes();
    while let Some(byte) = rest.next() {
        let fine = match byte {
            b'%' => hex_pair(rest.next(), rest.next()).is_some(),
            b'/' | b'?' | b';' => true,
            other => is_key_byte(other),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// Writes a key as one path segment: every byte that a segment can't hold becomes a triplet.
pub fn write_key_segment(out: &mut Vec<u8>, key: &str) {
    let mut rest = key.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !is_key_byte(*byte)) {
        let (fine, foreign) = rest.split_at(at);
        out.extend_from_slice(fine);
        if let Some((byte, after)) = foreign.split_first() {
            out.push(b'%');
            out.extend_from_slice(hex::encode_upper([*byte]).as_bytes());
            rest = after;
        }
    }
    out.extend_from_slice(rest);
}

/// Whether a key stands for itself as one path segment. Any other would have to be encoded, and a
/// server that decodes `%2F` before it routes would be led past the path that was judged.
pub fn is_key_segment(key: &str) -> bool {
    !matches!(key, "" | "." | "..") && key.bytes().all(is_key_byte)
}

#[cfg(test)]
mod tests;
