//! The one reading of a path on an `mcp` route. Routing, limits, policy, logging and forwarding all
//! use what stands here; nobody looks at the raw target again.

use std::sync::Arc;

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

/// A configured path: fixed segments, at most one of them `{key}`. It matches itself and what
/// follows it on a segment border.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Arc<str>,
    segments: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Fixed(Box<str>),
    Key,
}

/// How a path lies under a template.
pub struct TemplateMatch<'p, 'a> {
    /// The segment at `{key}`.
    pub key: Option<Segment<'a>>,
    /// The segments that follow the template.
    pub rest: &'p [Segment<'a>],
}

impl Template {
    /// Reads `/api/mcp/{key}`. `None` unless it starts with `/`, its fixed segments are plain, and
    /// `{key}` stands at most once.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('/')?;
        let mut segments = Vec::new();
        if !inner.is_empty() {
            for part in inner.split('/') {
                let plain = !part.is_empty() && part != "." && part != "..";
                segments.push(match part {
                    "{key}" => Part::Key,
                    _ if plain && part.bytes().all(is_unreserved) => Part::Fixed(part.into()),
                    _ => return None,
                });
            }
        }
        let keys = segments.iter().filter(|part| **part == Part::Key).count();
        (keys <= 1).then(|| Self { text: text.into(), segments })
    }

    /// The template as configured; what a log shows of a path under it.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The fixed segments, `None` where `{key}` stands.
    pub fn parts(&self) -> impl Iterator<Item = Option<&str>> {
        self.segments.iter().map(|part| match part {
            Part::Fixed(text) => Some(&**text),
            Part::Key => None,
        })
    }

    /// Whether a segment of it is `{key}`.
    pub fn has_key(&self) -> bool {
        self.segments.contains(&Part::Key)
    }

    /// Orders templates by how specific they are: more segments first, then a fixed segment before
    /// `{key}`.
    pub fn specificity(&self) -> (usize, bool) {
        (self.segments.len(), !self.has_key())
    }

    /// Whether some path lies under both templates with equal specificity, so that the order in the
    /// file would decide.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.specificity() == other.specificity()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Part::Fixed(a), Part::Fixed(b)) => a.eq_ignore_ascii_case(b),
                // `/a/b/c` lies under `/a/{key}/c` and under `/a/b/{key}`.
                (Part::Key, _) | (_, Part::Key) => true,
            })
    }

    /// How the path lies under this template; `None` where it doesn't.
    pub fn matches<'p, 'a>(&self, path: &'p Path<'a>) -> Option<TemplateMatch<'p, 'a>> {
        let (head, rest) = path.segments.split_at_checked(self.segments.len())?;
        let mut key = None;
        for (part, segment) in self.segments.iter().zip(head) {
            match part {
                Part::Fixed(fixed) if !segment.is(fixed) => return None,
                Part::Fixed(_) => {}
                Part::Key => key = Some(*segment),
            }
        }
        Some(TemplateMatch { key, rest })
    }
}

impl TemplateMatch<'_, '_> {
    /// Whether what follows the template is plain. If not it is refused: only `{key}` may hold
    /// triplets and delimiters.
    pub fn rest_is_plain(&self) -> bool {
        self.rest.iter().all(|segment| segment.plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(template: &str, target: &str) -> Option<String> {
        let path = Path::read(target).ok()?;
        Template::parse(template)?.matches(&path)?.key.map(|segment| segment.decoded())
    }

    #[test]
    fn every_spelling_of_a_key_is_one_key() {
        for spelling in ["/api/mcp/abc/sse", "/API/Mcp/%61bc/sse", "/api/mcp/%61%62%63"] {
            assert_eq!(key_of("/api/mcp/{key}", spelling).as_deref(), Some("abc"), "{spelling}");
        }
        assert_eq!(key_of("/api/mcp/{key}", "/api/mcp/a=b+c,d").as_deref(), Some("a=b+c,d"));
    }

    #[test]
    fn what_two_readers_could_resolve_differently_is_refused() {
        for path in [
            "//p",
            "/a//b",
            "/a/../p",
            "/a/..",
            "/./a",
            "/a/%2e%2e/p",
            "/a/..%2fp",
            "/a%252fp",
            "/a;x=/p",
            "/a\\b",
            "/%zz",
            "/%0",
            "/%00",
            "/a%5cb",
            "/a/%2E",
            "/a/%3d",
            "a",
            "",
            "*",
            "/a//",
            "//",
        ] {
            assert!(Path::read(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_template_matches_itself_and_what_follows_on_a_border() {
        let template = Template::parse("/api/mcp").unwrap();
        let matches = |target| template.matches(&Path::read(target).unwrap()).is_some();
        assert!(matches("/api/mcp") && matches("/api/mcp/") && matches("/api/mcp/x?y=1"));
        assert!(!matches("/api/mcp-oauth") && !matches("/api") && !matches("/"));
        assert!(!matches("/%61pi/mcp"), "a fixed segment has one spelling but for its case");
    }

    #[test]
    fn a_template_is_refused_unless_every_reader_agrees_on_it() {
        for text in ["", "api", "/api//x", "/{key}/{key}", "/a%20b", "/a/{other}", "/a/../b"] {
            assert!(Template::parse(text).is_none(), "{text}");
        }
        assert!(Template::parse("/").unwrap().matches(&Path::read("/x").unwrap()).is_some());
    }

    #[test]
    fn templates_overlap_where_only_their_order_could_choose() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (Template::parse(a).unwrap(), Template::parse(b).unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(overlap("/a/{key}", "/A/{key}") && overlap("/a/b", "/a/B"));
        assert!(overlap("/a/{key}/c", "/a/b/{key}") && overlap("/{key}/b", "/a/{key}"));
        assert!(!overlap("/a/{key}", "/a/b"), "the fixed one is more specific");
        assert!(!overlap("/a/{key}", "/a/b/{key}"), "the longer one is more specific");
        assert!(!overlap("/a/{key}/c", "/b/{key}/c") && !overlap("/a/{key}/c", "/b/c/{key}"));
    }

    #[test]
    fn a_key_is_written_as_one_segment_whatever_it_holds() {
        let mut out = Vec::new();
        write_key_segment(&mut out, "a/b;c%d é=");
        assert_eq!(out, b"a%2Fb%3Bc%25d%20%C3%A9=");
    }
}
