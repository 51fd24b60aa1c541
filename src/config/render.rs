//! Problems for eyes: place, what is wrong, the line with a caret under it, and how to mend it.

use std::fmt::Write;

use super::{Place, Problem, Severity, Span, mask};

/// The longest piece of a line that is shown, in characters.
const WIDTH: usize = 160;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// Renders problems, each beginning `FILE:LINE:COLUMN:` and ending with an empty line.
///
/// `source` is the text that they were found in and `label` what to call its file. `color` adds
/// terminal colors.
pub fn render(problems: &[Problem], source: &str, label: &str, color: bool) -> String {
    let concealed = joined(problems.iter().filter_map(|problem| problem.concealed.clone()));
    let lines = source.lines().collect();
    let page = Page { source, lines, label, color, concealed };
    let mut out = String::new();
    for problem in problems {
        page.problem(&mut out, problem);
        out.push('\n');
    }
    out
}

struct Page<'a> {
    source: &'a str,
    lines: Vec<&'a str>,
    label: &'a str,
    color: bool,
    /// In order, none touching another.
    concealed: Vec<Span>,
}

impl Page<'_> {
    fn problem(&self, out: &mut String, problem: &Problem) {
        let (word, color) = match problem.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        let at = problem.place.as_ref();
        self.head(out, at, &self.paint(word, color), &problem.message);
        if let Some(place) = at {
            self.excerpt(out, place, color);
        }
        if let Some((place, label)) = &problem.related {
            self.head(out, Some(place), &self.paint("note", CYAN), label);
            self.excerpt(out, place, CYAN);
        }
        if let Some(hint) = &problem.hint {
            line(out, format_args!("{}: {hint}", self.paint("help", CYAN)));
        }
    }

    fn head(&self, out: &mut String, place: Option<&Place>, word: &str, message: &str) {
        let label = self.label;
        match place {
            Some(Place { line: row, column, .. }) => {
                line(out, format_args!("{label}:{row}:{column}: {word}: {message}"));
            }
            None => line(out, format_args!("{label}: {word}: {message}")),
        }
    }

    /// The line and, below it, a caret for each character that is meant.
    fn excerpt(&self, out: &mut String, place: &Place, color: &str) {
        let Some(text) = self.lines.get(place.line - 1) else { return };
        let before = place.column - 1;
        let start = place.span.start - text.chars().take(before).map(char::len_utf8).sum::<usize>();
        let mut shown = mask::line(text);
        for (c, at) in shown.iter_mut().zip(text.char_indices().map(|(at, _)| start + at)) {
            if self.is_concealed(at) && !c.is_whitespace() {
                *c = '*';
            }
        }
        let meant = self.source.get(place.span.clone()).unwrap_or("");
        let carets = meant.lines().next().map_or(1, |first| first.chars().count().max(1));
        let skipped = if before > WIDTH * 3 / 4 { before - WIDTH / 4 } else { 0 };
        let visible: String = shown.into_iter().skip(skipped).take(WIDTH).collect();
        let indent = " ".repeat(before - skipped);
        let marks = "^".repeat(carets.min(WIDTH - (before - skipped).min(WIDTH - 1)));
        line(out, format_args!("{:>5} | {}", place.line, visible.trim_end()));
        line(out, format_args!("      | {indent}{}", self.paint(&marks, color)));
    }

    fn is_concealed(&self, at: usize) -> bool {
        let behind = self.concealed.partition_point(|span| span.start <= at);
        behind.checked_sub(1).and_then(|last| self.concealed.get(last)).is_some_and(|s| s.end > at)
    }

    fn paint(&self, text: &str, color: &str) -> String {
        if self.color { format!("{color}{text}{PLAIN}") } else { text.to_owned() }
    }
}

/// Spans in order, those that overlap made one.
fn joined(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut spans: Vec<Span> = spans.collect();
    spans.sort_by_key(|span| span.start);
    spans.dedup_by(|next, last| {
        let overlaps = next.start <= last.end;
        if overlaps {
            last.end = last.end.max(next.end);
        }
        overlaps
    });
    spans
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "{text}");
}
