//! What was seen, a file for each story of a client on a dialect; `make dialects` prints them as tables.

use std::{fmt::Write as _, fs, path::Path};

/// What the clients were shown that the gateway refused.
const KEY_REFUSED: &str = "A valid key is needed.";
const RATE_REFUSED: &str = "The rate limit is reached.";
const TOOL_REFUSED: &str = "Unknown tool: ";
const SESSION_REFUSED: &str = "This session isn't known here.";

/// The lines of one client on one dialect.
pub(crate) struct Sheet {
    story: &'static str,
    client: String,
    dialect: &'static str,
    lines: String,
}

impl Sheet {
    pub(crate) fn new(story: &'static str, client: String, dialect: &'static str) -> Self {
        Self { story, client, dialect, lines: String::new() }
    }

    /// Notes a step: a word for the table, and under it what the client showed in full.
    pub(crate) fn note(&mut self, step: &str, word: &str, shown: &str) {
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let (client, dialect) = (&self.client, self.dialect);
        writeln!(self.lines, "{client}\t{dialect}\t{step}\t{word}\t{shown}")
            .expect("a string grows");
    }

    /// Notes a refusal: does the client show the gateway's own sentence, or only the status?
    pub(crate) fn note_refusal(&mut self, step: &str, status: &str, shown: &str) -> &'static str {
        let sentences = [KEY_REFUSED, RATE_REFUSED, TOOL_REFUSED, SESSION_REFUSED];
        let word = match shown {
            _ if sentences.iter().any(|sentence| shown.contains(sentence)) => "sentence",
            _ if shown.contains(status) => "status",
            _ => "hidden",
        };
        self.note(step, word, shown);
        word
    }

    /// Writes the file, in the place of an earlier one.
    pub(crate) fn keep(self) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dialects");
        fs::create_dir_all(&folder).expect("the folder is ours");
        let file = folder.join(format!("{}.{}.{}.tsv", self.client, self.dialect, self.story));
        fs::write(file, self.lines).expect("the folder is ours");
    }
}
