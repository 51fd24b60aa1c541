use std::{fmt, ops::Range};

use bytes::Bytes;

/// The field lines of a head, in order. Names are lower-case.
///
/// One allocation holds the text and one the places of the lines in it. Values may hold keys, so
/// `Debug` shows the names alone.
#[derive(Clone, Default)]
pub struct Fields {
    /// The head as it was read.
    text: Bytes,
    /// What was pushed later; its places count on from the end of `text`.
    added: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a field line stands in the text of its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

impl Line {
    pub(super) const fn new(name: &Range<usize>, value: &Range<usize>) -> Self {
        Self {
            name: Span { start: name.start, end: name.end },
            value: Span { start: value.start, end: value.end },
        }
    }

    pub(super) const fn name(self) -> Range<usize> {
        self.name.start..self.name.end
    }

    pub(super) const fn value(self) -> Range<usize> {
        self.value.start..self.value.end
    }
}

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) const fn from_lines(text: Bytes, lines: Vec<Line>) -> Self {
        Self { text, added: Vec::new(), lines }
    }

    /// The value of the first line of that name, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all lines of that name, which is given in lower case.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter(move |line| self.slice(line.name()) == name.as_bytes())
            .map(|line| self.slice(line.value()))
    }

    /// The media type of the body in lower case, without parameters (RFC 9110 8.3.1); empty where
    /// none is said.
    pub fn media_type(&self) -> Vec<u8> {
        let value = self.get("content-type").unwrap_or_default();
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().to_ascii_lowercase()
    }

    /// All lines, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (self.slice(line.name()), self.slice(line.value())))
    }

    /// Adds a line. The name is given in lower case.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let start = self.text.len() + self.added.len();
        let border = start + name.len();
        self.added.extend_from_slice(name.as_bytes());
        self.added.extend_from_slice(value);
        self.lines.push(Line::new(&(start..border), &(border..border + value.len())));
    }

    /// Removes all lines of that name, which is given in lower case.
    pub fn remove(&mut self, name: &str) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|line| self.slice(line.name()) != name.as_bytes());
        self.lines = lines;
    }

    /// How many lines there are.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether there is a line of that name, which is given in lower case.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        let read = self.text.len();
        let found = if range.start < read {
            self.text.get(range)
        } else {
            self.added.get(range.start - read..range.end - read)
        };
        // A line is made with its text, so its places always lie inside.
        found.unwrap_or_default()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name is a token, thus ASCII; the default is never taken.
        let names = self.iter().map(|(name, _)| str::from_utf8(name).unwrap_or_default());
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Fields {
        let text = Bytes::from_static(b"accept: a\r\nx: 1\r\naccept: b\r\n");
        let lines = [(0..6, 8..9), (11..12, 14..15), (17..23, 25..26)];
        Fields::from_lines(text, lines.iter().map(|(n, v)| Line::new(n, v)).collect())
    }

    #[test]
    fn lines_keep_their_order_and_the_first_of_a_name_is_found() {
        let mut fields = sample();
        fields.push("y", b"2");
        fields.push("empty", b"");
        assert_eq!(fields.get("accept"), Some(&b"a"[..]));
        assert_eq!(fields.get_all("accept").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(fields.get("y"), Some(&b"2"[..]));
        assert_eq!(fields.get("empty"), Some(&b""[..]));
        let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"accept"[..], b"x", b"accept", b"y", b"empty"]);
    }

    #[test]
    fn removing_takes_every_line_of_the_name() {
        let mut fields = sample();
        fields.push("accept", b"c");
        fields.remove("accept");
        assert!(!fields.contains("accept"));
        assert_eq!(fields.len(), 1);
        assert_eq!(fields.get("x"), Some(&b"1"[..]));
    }

    #[test]
    fn debug_shows_names_alone() {
        let mut fields = Fields::new();
        fields.push("authorization", b"canary");
        assert_eq!(format!("{fields:?}"), r#"["authorization"]"#);
    }
}
