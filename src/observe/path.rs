use std::{fmt, sync::Arc};

use super::redact::{Syntax, redact};
use crate::types::{Segment, Template, WebPath};

/// A path that may stand in a log. This is the only builder of one; there is no way from a raw
/// target to it.
#[derive(Clone)]
pub struct LoggablePath {
    text: Text,
    /// How many bytes of the text come from the configuration or the program.
    trusted: usize,
}

#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Shared(Arc<str>),
}

/// Segments that servers of MCP use behind their mount point. Any other may be a misplaced key.
const KNOWN_SEGMENTS: [&str; 4] = ["sse", "message", "messages", "mcp"];

/// The most of a site's path that a line has room for, in bytes.
const MOST_SHOWN: usize = 512;

fn looks_secret(segment: &str) -> bool {
    redact(segment.as_bytes(), Syntax::Text, |_| false).masked > 0
}

impl LoggablePath {
    /// A path under a template: the template as configured, then what follows it. A following
    /// segment that is not one of a few known words shows as `*`, since it could be a key that
    /// somebody put in the wrong place.
    pub fn mcp(template: &Template, rest: &[Segment<'_>]) -> Self {
        let template = template.text();
        if rest.is_empty() {
            return Self { text: Text::Shared(Arc::clone(template)), trusted: template.len() };
        }
        let mut text = String::with_capacity(template.len() + 16);
        text.push_str(template);
        for segment in rest {
            if !text.ends_with('/') {
                text.push('/');
            }
            text.push_str(KNOWN_SEGMENTS.into_iter().find(|word| segment.is(word)).unwrap_or("*"));
        }
        Self { text: Text::Shared(text.into()), trusted: template.len() }
    }

    /// A path of a site as it came, without its query. A segment behind one that servers of MCP use
    /// shows as `*`, and so does one that looks like a credential: a page's address may hold one.
    pub fn web(path: &WebPath<'_>) -> Self {
        let mut text = String::with_capacity(path.raw().len().min(MOST_SHOWN) + 1);
        let mut behind_mcp = false;
        for segment in path.segments() {
            text.push('/');
            if text.len() + segment.len() > MOST_SHOWN {
                text.push('*');
                break;
            }
            let plain = !segment.contains(['%', ';']);
            let is_known = |piece: &[u8]| {
                KNOWN_SEGMENTS.iter().any(|word| piece.eq_ignore_ascii_case(word.as_bytes()))
            };
            let begins_mcp = match plain {
                true => is_known(segment.as_bytes()),
                false => WebPath::pieces(segment).iter().any(|piece| is_known(piece)),
            };
            // Spelled in another way, the word and what may be a key stand in one segment.
            let masked = behind_mcp || looks_secret(segment) || (begins_mcp && !plain);
            text.push_str(if masked && !segment.is_empty() { "*" } else { segment });
            behind_mcp |= begins_mcp;
        }
        Self { text: Text::Shared(text.into()), trusted: 0 }
    }

    /// The path of an exchange that never found a route: nothing of it is known to be harmless.
    pub const fn none() -> Self {
        Self::fixed("-")
    }

    /// A path that the program itself names.
    pub const fn fixed(text: &'static str) -> Self {
        Self { text: Text::Fixed(text), trusted: text.len() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.text {
            Text::Fixed(text) => text,
            Text::Shared(text) => text,
        }
    }

    /// Whether a segment of the configured part is exactly this text.
    pub(super) fn configured(&self, segment: &[u8]) -> bool {
        let trusted = self.as_str().get(..self.trusted).unwrap_or_default();
        trusted.split('/').any(|part| part.as_bytes() == segment)
    }
}

impl fmt::Display for LoggablePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LoggablePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Path;

    fn shown(template: &str, target: &str) -> String {
        let path = Path::read(target).unwrap();
        let template = Template::parse(template).unwrap();
        let matched = template.matches(&path).unwrap();
        LoggablePath::mcp(&template, matched.rest).to_string()
    }

    #[test]
    fn a_path_shows_its_template_and_known_words_only() {
        for (template, target, expected) in [
            ("/api/mcp/{key}", "/API/mcp/canary", "/api/mcp/{key}"),
            ("/api/mcp/{key}", "/api/mcp/canary/SSE?key=canary", "/api/mcp/{key}/sse"),
            ("/api/mcp/{key}", "/api/mcp/canary/sse/canary", "/api/mcp/{key}/sse/*"),
            ("/api/mcp", "/api/mcp/canary", "/api/mcp/*"),
            ("/", "/canary/messages", "/*/messages"),
        ] {
            assert_eq!(shown(template, target), expected, "{target}");
        }
    }

    #[test]
    fn a_path_of_a_site_shows_as_it_came_but_for_what_may_be_a_key() {
        let key = "5ca1ab1e0ddba11c0ffee000decade00feedface0badcafe5eed00000ab5ce55";
        let long = format!("/a/{}/b", "x-".repeat(300));
        for (target, expected) in [
            ("/", "/"),
            ("/launches/a%20b?code=canary", "/launches/a%20b"),
            ("/files/a.png/", "/files/a.png/"),
            ("/x/MCP/canary/y", "/x/MCP/*/*"),
            ("/x/mcp%2Fcanary", "/x/*"),
            ("/x/%256dcp/canary", "/x/*/*"),
            ("/x/mcp;a/canary", "/x/*/*"),
            (&format!("/auth/forgot/{key}"), "/auth/forgot/*"),
            (&long, "/a/*"),
        ] {
            let path = LoggablePath::web(&WebPath::read(target).unwrap());
            assert_eq!(path.to_string(), expected, "{target}");
        }
    }

    #[test]
    fn only_the_configured_part_counts_as_configured() {
        let path = Path::read("/api/tenant/x").unwrap();
        let template = Template::parse("/api/tenant").unwrap();
        let path = LoggablePath::mcp(&template, template.matches(&path).unwrap().rest);
        assert!(path.configured(b"tenant") && !path.configured(b"*") && !path.configured(b"x"));
    }
}
