use std::sync::Arc;

use super::{Path, Segment, is_unreserved};

/// A configured path: fixed segments, at most one of them `{key}`. It matches itself and what
/// follows it on a segment border, or itself alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Arc<str>,
    segments: Vec<Part>,
    exact: bool,
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
        (keys <= 1).then(|| Self { text: text.into(), segments, exact: false })
    }

    /// The same for no path that goes on behind it.
    pub fn exactly(self) -> Self {
        Self { exact: true, ..self }
    }

    /// Whether no path goes on behind it.
    pub const fn is_exact(&self) -> bool {
        self.exact
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

    /// Whether it is the other one with `{key}` put in somewhere.
    pub fn adds_key_to(&self, other: &Self) -> bool {
        let lower = |part: &str| part.to_ascii_lowercase();
        let fixed = self.parts().flatten().map(lower);
        self.has_key() && !other.has_key() && fixed.eq(other.parts().flatten().map(lower))
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
        if self.exact && !rest.is_empty() {
            return None;
        }
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
