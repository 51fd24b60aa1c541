//! The chain as it is read.

use std::io::{self, Write};

use super::{
    chain::{Case, Gate, Verdict},
    logged::Line,
    question::Asked,
};
use crate::{config::Place, types::Untrusted};

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[1;31m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// How it is written.
pub(super) struct Page<'p> {
    /// What to call the file.
    pub(super) label: &'p str,
    pub(super) color: bool,
}

impl Page<'_> {
    /// A request that was put to the page.
    pub(super) fn heard(
        &self,
        case: &Case<'_>,
        asked: &Asked,
        out: &mut impl Write,
    ) -> io::Result<()> {
        self.head(case, out)?;
        self.gates(case, out)?;
        let Some((denial, status)) = asked.refusal() else {
            let then = if asked.heard.is_redirected { ": it is redirected to https" } else { "" };
            return writeln!(out, "{}{then}", self.paint("passes", GREEN));
        };
        let (reason, code) = (denial.face().reason, denial.face().code);
        writeln!(out, "{} as `{reason}`: {}", self.paint("refused", RED), denial.face().text)?;
        match status {
            Some(status) => writeln!(out, "The client gets HTTP {status}, JSON-RPC code {code}."),
            None => writeln!(out, "The connection is closed before a byte of it is read."),
        }
    }

    /// A request that a log tells of.
    pub(super) fn logged(
        &self,
        case: &Case<'_>,
        line: &Line,
        out: &mut impl Write,
    ) -> io::Result<()> {
        self.head(case, out)?;
        self.gates(case, out)?;
        let at = line.field("ts").unwrap_or("then");
        let status = line.field("status").unwrap_or("no status");
        match &case.reason {
            Some(reason) => {
                writeln!(out, "{} as `{reason}` at {at}: {status}", self.paint("refused", RED))?;
            }
            None => {
                let outcome = line.field("outcome").unwrap_or("ended");
                writeln!(out, "not refused; {outcome} at {at}: {status}")?;
            }
        }
        if let Some(observed) = line.field("observed") {
            writeln!(out, "What only observes would have refused it as `{observed}`.")?;
        }
        writeln!(out, "The lines are those of the file as it is now.")
    }

    fn head(&self, case: &Case<'_>, out: &mut impl Write) -> io::Result<()> {
        let Case { method, path, client, .. } = case;
        let path = if path.is_empty() { "a path that isn't shown" } else { path };
        write!(out, "{method} {path} from {client}")?;
        match &case.tool {
            Some(tool) => {
                writeln!(out, ", tool {}\n", Untrusted::new(tool).shown())
            }
            None => writeln!(out, "\n"),
        }
    }

    fn gates(&self, case: &Case<'_>, out: &mut impl Write) -> io::Result<()> {
        for (gate, verdict) in case.gates() {
            if verdict == Verdict::Unreached {
                continue;
            }
            self.gate(gate, verdict, case.fact(gate), out)?;
        }
        writeln!(out)
    }

    fn gate(
        &self,
        gate: Gate,
        verdict: Verdict,
        (text, place): (String, Option<Place>),
        out: &mut impl Write,
    ) -> io::Result<()> {
        let word = match verdict {
            Verdict::Refuses => self.paint("refuses", RED),
            Verdict::Passes => self.paint("passes ", GREEN),
            Verdict::Unasked | Verdict::Unreached => self.paint("unasked", DIM),
        };
        write!(out, "  {word}  {:<11} {text}", gate.name())?;
        match place {
            Some(Place { line, column, .. }) => {
                let at = format!("{}:{line}:{column}", self.label);
                writeln!(out, "  {}", self.paint(&at, DIM))
            }
            None => writeln!(out),
        }
    }

    fn paint(&self, text: &str, color: &str) -> String {
        if self.color { format!("{color}{text}{PLAIN}") } else { text.to_owned() }
    }
}
