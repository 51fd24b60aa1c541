//! The reading of a path on a `web` route, where ordinary percent-encoding is fine: the raw path
//! goes on as it came, and every way in which a server could read it has to lead to one place.

use std::borrow::Cow;

use super::{Template, hex_pair};
use crate::types::Malformation;

/// How many times a path may be encoded over. Pages encode once, and now and then a text that was.
const MAX_READINGS: usize = 4;

/// A path that was read in every way in which servers read one. It may hold a key, so it can't be
/// shown.
pub struct WebPath<'a> {
    raw: &'a str,
    query: Option<&'a str>,
    /// Undecoded, decoded, decoded again; each in lower case and its slashes merged, with the
    /// parameters of its segments and without.
    readings: Vec<Cow<'a, [u8]>>,
}

impl<'a> WebPath<'a> {
    /// Reads a target in origin form: visible ASCII without `#`.
    ///
    /// # Errors
    /// Dot segments in any spelling, `\`, control characters and broken triplets: browsers send
    /// none of them, and servers part ways on them.
    pub fn read(target: &'a str) -> Result<Self, Malformation> {
        let (raw, query) = match target.split_once('?') {
            Some((raw, query)) => (raw, Some(query)),
            None => (target, None),
        };
        if !raw.starts_with('/') {
            return Err(Malformation::Target);
        }
        let mut spelled = Cow::Borrowed(raw.as_bytes());
        let mut readings = Vec::with_capacity(1);
        for decodings in 0..MAX_READINGS {
            let triplets = check(&spelled)?;
            readings.push(normal(&spelled, without_parameters)?);
            // To who knows no parameters, `/;x` has a segment more.
            if spelled.iter().any(|byte| ENDS_A_NAME.contains(byte)) {
                readings.push(normal(&spelled, whole)?);
            }
            let decoded = if triplets { decode(&spelled, decodings == 0)? } else { Vec::new() };
            if !triplets || decoded == *spelled {
                return Ok(Self { raw, query, readings });
            }
            spelled = Cow::Owned(decoded);
        }
        Err(Malformation::Path)
    }

    /// The path as it came, without the query.
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// What follows the `?`, as it came.
    pub const fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The segments as they came, the first one behind the first slash.
    pub fn segments(&self) -> impl Iterator<Item = &'a str> {
        self.raw.split('/').skip(1)
    }

    /// What a segment holds for who decodes it: one piece, or several where slashes were encoded.
    pub fn pieces(segment: &str) -> Vec<Vec<u8>> {
        let spelled = Self::decoded(segment);
        let border = |byte: &u8| matches!(byte, b'/' | b';' | b'?' | b'#');
        spelled.split(border).map(<[u8]>::to_vec).collect()
    }

    /// A text for who decodes it as often as it can be, in lower case.
    pub fn decoded(text: &str) -> Vec<u8> {
        let mut spelled = text.to_ascii_lowercase().into_bytes();
        for _ in 0..MAX_READINGS {
            spelled = decode(&spelled, false).unwrap_or(spelled);
        }
        spelled.make_ascii_lowercase();
        spelled
    }

    /// The segments of the last reading: lower-case, as the most thorough of servers sees them.
    pub fn resolved(&self) -> impl Iterator<Item = &[u8]> {
        let last = self.readings.last().map_or(&[][..], |reading| reading);
        last.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty())
    }

    /// Whether some reading of it lies under the template.
    pub fn touches(&self, template: &Template) -> bool {
        self.touches_below(0, (template, 0))
    }

    /// The same once so many segments were taken off the path, and so many off the template.
    pub fn touches_below(&self, taken: usize, template: (&Template, usize)) -> bool {
        self.readings.iter().any(|reading| lies_under(reading, taken, template))
    }

    /// Whether every reading of it lies under the template, and the raw path too, spelled plainly.
    pub fn is_under(&self, template: &Template) -> bool {
        let mut raw = self.segments();
        let plainly = template.parts().all(|part| match (part, raw.next()) {
            (Some(fixed), Some(segment)) => segment.eq_ignore_ascii_case(fixed),
            _ => false,
        });
        plainly && self.readings.iter().all(|reading| lies_under(reading, 0, (template, 0)))
    }
}

fn lies_under(reading: &[u8], taken: usize, (template, less): (&Template, usize)) -> bool {
    let segments = reading.split(|byte| *byte == b'/').skip(1).filter(|s| !s.is_empty());
    let mut segments = segments.skip(taken);
    let begins = template.parts().skip(less).all(|part| match (part, segments.next()) {
        (Some(fixed), Some(segment)) => segment.eq_ignore_ascii_case(fixed.as_bytes()),
        (None, Some(_)) => true,
        (_, None) => false,
    });
    begins && (!template.is_exact() || segments.next().is_none())
}

/// Holds one spelling to the bytes that are read alike everywhere. Whether there are triplets.
fn check(spelled: &[u8]) -> Result<bool, Malformation> {
    let foreign = |byte: &u8| matches!(byte, b'\\' | 0..=0x1f | 0x7f);
    // Some take parameters off before they decode, and some after: what is encoded in one would be
    // a part of the path to the latter alone.
    let in_parameter = |segment: &[u8]| {
        let behind = segment.iter().position(|byte| *byte == b';').map(|at| segment.get(at..));
        behind.flatten().is_some_and(|parameter| parameter.contains(&b'%'))
    };
    // `//x` is the authority x to who resolves the path as a reference (RFC 3986 4.2).
    let authority = spelled.starts_with(b"//");
    if authority
        || spelled.iter().any(foreign)
        || spelled.split(|byte| *byte == b'/').any(in_parameter)
    {
        return Err(Malformation::Path);
    }
    Ok(spelled.contains(&b'%'))
}

/// In lower case, slashes merged, each segment as its name has it.
fn normal<'a>(
    spelled: &Cow<'a, [u8]>,
    name_of: fn(&[u8]) -> &[u8],
) -> Result<Cow<'a, [u8]>, Malformation> {
    let mut plain = true;
    for segment in spelled.split(|byte| *byte == b'/').skip(1) {
        let name = name_of(segment);
        if matches!(name, b"." | b"..") {
            return Err(Malformation::Path);
        }
        plain &= name.len() == segment.len() && !segment.iter().any(u8::is_ascii_uppercase);
    }
    let merged = !spelled.windows(2).any(|pair| pair == b"//");
    if plain && merged {
        return Ok(spelled.clone());
    }
    let mut out = Vec::with_capacity(spelled.len());
    for segment in spelled.split(|byte| *byte == b'/').skip(1) {
        let name = name_of(segment);
        if !name.is_empty() {
            out.push(b'/');
            out.extend(name.iter().map(u8::to_ascii_lowercase));
        }
    }
    Ok(Cow::Owned(out))
}

fn whole(segment: &[u8]) -> &[u8] {
    segment
}

/// What ends the name of a segment, for some.
const ENDS_A_NAME: [u8; 3] = *b";?#";

/// Tomcat and its like end a segment at `;` (CVE-2026-73551). A decoded `?` or `#` ends a path for
/// who decodes before it looks for them.
fn without_parameters(segment: &[u8]) -> &[u8] {
    segment.split(|byte| ENDS_A_NAME.contains(byte)).next().unwrap_or_default()
}

/// Decodes each triplet once. On the wire every percent sign begins one; what was decoded may hold
/// percent signs of its own.
fn decode(spelled: &[u8], on_the_wire: bool) -> Result<Vec<u8>, Malformation> {
    let mut decoded = Vec::with_capacity(spelled.len());
    let mut rest = spelled;
    while let Some((byte, after)) = rest.split_first() {
        let pair = || hex_pair(after.first().copied(), after.get(1).copied());
        match (byte, pair()) {
            (b'%', Some(value)) => {
                decoded.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'%', None) if on_the_wire => return Err(Malformation::Path),
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touches(template: &str, target: &str) -> bool {
        WebPath::read(target).unwrap().touches(&Template::parse(template).unwrap())
    }

    #[test]
    fn ordinary_paths_are_read() {
        for target in [
            "/",
            "/_next/static/chunks/app/(app)/%5Bslug%5D/page-1.js?v=[1]{2}|3",
            "/uploads/2026/a%20b%2Fc.png",
            "/caf%C3%A9//x;v=1",
            "/a%2520b",
            "/100%25",
        ] {
            assert!(WebPath::read(target).is_ok(), "{target}");
        }
    }

    #[test]
    fn what_servers_resolve_in_different_ways_is_refused() {
        for target in [
            "a",
            "*",
            "/a/../b",
            "/a/..",
            "/./a",
            "/%2e%2e/a",
            "/a/.%2E/b",
            "/..;x=1/a",
            "/a\\b",
            "/a%5cb",
            "//x/api",
            "/%2fx/api",
            "/%00",
            "/a;%2fb",
            "/a%3b%252fb",
            "/a%0a",
            "/%zz",
            "/%2",
            "/%252e%252e/a",
            "/%25252525252525",
        ] {
            assert!(WebPath::read(target).is_err(), "{target}");
        }
    }

    #[test]
    fn no_spelling_of_a_path_escapes_its_template() {
        for target in [
            "/api/mcp/k",
            "/API/Mcp/k",
            "/%61pi/mcp/k",
            "/api/%6dcp/k",
            "/api//mcp//k",
            "/api/mcp/;k",
            "/api/mcp/%3bk",
            "/api;a/mcp;b/k",
            "/api%2fmcp%2Fk",
            "/%2561pi/mcp/k",
            "/api/m%63p;/k",
            "/api/mcp%3Fx/k",
            "/api/mcp%23/k",
        ] {
            assert!(touches("/api/mcp/{key}", target), "{target}");
        }
        for target in ["/api/mcp", "/api/mcpx/k", "/x/api/mcp/k", "/apimcp/k"] {
            assert!(!touches("/api/mcp/{key}", target), "{target}");
        }
    }

    #[test]
    fn a_path_is_under_a_template_only_if_every_reader_sees_it_there() {
        let is_under = |template: &str, target: &str| {
            WebPath::read(target).unwrap().is_under(&Template::parse(template).unwrap())
        };
        assert!(is_under("/files", "/files/a%20b//c;d") && is_under("/files", "/FILES"));
        assert!(is_under("/", "/anything%2Fat/all") && is_under("/", "/"));
        for target in ["/%66iles/a", "/files;x/a", "/a/files"] {
            assert!(!is_under("/files", target), "{target}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        /// A server that decodes, merges and lowers as often as it likes never gets to a template
        /// that the path was not seen to touch.
        #[test]
        fn every_reading_of_a_server_is_one_that_was_judged(
            path in "/([aM/;.]|%4d|%2f|%25|%32|%66|%61|%3b){0,12}",
            decodings in 0..4_usize,
            cuts_first: bool,
        ) {
            let template = Template::parse("/a/m").unwrap();
            let Ok(read) = WebPath::read(&path) else { return Ok(()) };
            let mut seen = path.clone().into_bytes();
            let cut = |path: &[u8]| {
                let segments: Vec<_> = path.split(|b| *b == b'/').map(without_parameters).collect();
                segments.join(&b'/')
            };
            for _ in 0..decodings {
                if cuts_first {
                    seen = cut(&seen);
                }
                seen = decode(&seen, false).unwrap();
            }
            let Ok(text) = String::from_utf8(seen) else { return Ok(()) };
            let text = text.to_ascii_lowercase();
            let segments = text.split('/').map(|s| s.split(';').next().unwrap());
            let segments: Vec<_> = segments.filter(|s| !s.is_empty()).collect();
            if segments.first() == Some(&"a") && segments.get(1) == Some(&"m") {
                prop_assert!(read.touches(&template), "{path}");
            }
        }
    }
}
