//! What is carried through a reading: the source, its surroundings, and the problems so far.

use std::path::{Path, PathBuf};

use super::{Place, Problem, Severity, Span, Surroundings};

/// What the parser says, by its beginning, and what usually mends it.
const CURES: [(&str, &str); 10] = [
    ("duplicate key", "write a setting once; each of several tables has two brackets: [[routes]]"),
    ("string values must be quoted", "put the text in quotes: \"...\""),
    ("invalid boolean", "write true or false, or put a text in quotes"),
    ("invalid basic string", "close the quotes on the same line"),
    ("invalid literal string", "close the quotes on the same line"),
    ("missing escaped value", "write \\\\ for a backslash"),
    ("key with no value", "write NAME = VALUE on one line"),
    ("unclosed", "close the bracket or brace that was opened"),
    ("missing comma", "put a comma between the two"),
    ("leading zero", "write the number without zeros before it"),
];

pub(super) struct Reading<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    pub(super) around: Surroundings<'t>,
    problems: Vec<Problem>,
    /// Part of the tree was lost to a syntax error, so what seems missing may only be unread.
    incomplete: bool,
}

impl<'t> Reading<'t> {
    pub(super) fn new(text: &'t str, around: Surroundings<'t>) -> Self {
        let after_newline = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(after_newline.map(|(at, _)| at + 1)).collect();
        Self { text, line_starts, around, problems: Vec::new(), incomplete: false }
    }

    /// Something that keeps the configuration from running.
    pub(super) fn error(&mut self, at: &Span, message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Error, at, message.into())
    }

    /// Something that is allowed and probably not meant.
    pub(super) fn warning(&mut self, at: &Span, message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Warning, at, message.into())
    }

    /// Something that has to be there and isn't. Not said after a syntax error, which is likely
    /// to be the reason.
    pub(super) fn missing(&mut self, at: &Span, message: impl Into<String>, example: &str) {
        if !self.incomplete {
            self.error(at, message).hint(format!("add: {example}"));
        }
    }

    /// A fault of the TOML itself.
    pub(super) fn syntax(&mut self, fault: &toml::de::Error) {
        self.incomplete = true;
        let at = fault.span().unwrap_or(0..0);
        let cure = CURES.iter().find(|(said, _)| fault.message().contains(said));
        self.error(&at, fault.message()).hint = cure.map(|(_, hint)| (*hint).to_owned());
    }

    /// Line and column of a span.
    pub(super) fn place(&self, span: &Span) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= span.start).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or("");
        Place { line, column: before.chars().count() + 1, span: span.clone() }
    }

    /// A path of the configuration, from the directory of its file.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.around.base_dir.join(Path::new(text))
    }

    /// Seconds since 1970, 0 for a clock before that.
    pub(super) fn now(&self) -> u64 {
        let since = self.around.now.duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    /// The problems in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
        self.problems
    }

    #[expect(clippy::indexing_slicing, reason = "the index of what was pushed on the line before")]
    fn add(&mut self, severity: Severity, at: &Span, message: String) -> &mut Problem {
        let place = Some(self.place(at));
        let (hint, related, concealed) = (None, None, None);
        let problem = Problem { severity, place, message, hint, related, concealed };
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }
}
