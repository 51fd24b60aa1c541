//! What is carried through a reading: the source, its surroundings, and the problems so far.

use std::path::{Path, PathBuf};

use super::{
    Place, Problem, Severity, Span, Surroundings, known_presets::KnownPresets, known_sets::Sets,
    mask,
};

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
    /// Read before everything else: their names may stand wherever nets do.
    pub(super) sets: Sets,
    pub(super) presets: KnownPresets,
    problems: Vec<Problem>,
    /// Part of the tree was lost to a syntax error, so what seems missing may only be unread.
    incomplete: bool,
}

impl<'t> Reading<'t> {
    pub(super) fn new(text: &'t str, around: Surroundings<'t>) -> Self {
        let after_newline = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(after_newline.map(|(at, _)| at + 1)).collect();
        let (sets, presets) = (Sets::default(), KnownPresets::default());
        let (problems, incomplete) = (Vec::new(), false);
        Self { text, line_starts, around, sets, presets, problems, incomplete }
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
        let (line, start) = self.line_of(span.start);
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

    /// How many problems there are so far.
    pub(super) fn problems_so_far(&self) -> usize {
        self.problems.len()
    }

    /// The problems in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
        self.problems
    }

    /// The number of the line that a byte is in, and where it begins.
    fn line_of(&self, at: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= at).max(1);
        (line, self.line_starts.get(line - 1).copied().unwrap_or(0))
    }

    /// Whether the text at a place is the value of a secret for whoever reads the file by its lines:
    /// behind a bracket that was never closed, `upstream_key = "..."` is an element of another list.
    fn looks_secret(&self, at: &Span) -> bool {
        let (_, start) = self.line_of(at.start);
        let lines = self.text.get(start..at.end).unwrap_or("");
        let mut before = at.start - start;
        lines.lines().any(|line| {
            let meant = line.get(before..).map_or(0, |meant| meant.chars().count());
            before = 0;
            mask::hides_value(line, meant)
        })
    }

    #[expect(clippy::indexing_slicing, reason = "the index of what was pushed on the line before")]
    fn add(&mut self, severity: Severity, at: &Span, message: String) -> &mut Problem {
        let repeats = message.contains('"') && self.looks_secret(at);
        let message = if repeats { mask::quoted(message) } else { message };
        let place = Some(self.place(at));
        let (hint, related, concealed) = (None, None, None);
        let problem = Problem { severity, place, message, hint, related, concealed };
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }
}
