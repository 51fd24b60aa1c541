//! What a command prints: a table for eyes on a terminal, else an object a line for programs.

use std::io::{self, IsTerminal, Stdout, Write};

use serde::Serialize;

/// Where it is printed.
pub(super) struct Printed<W> {
    pub(super) out: W,
    /// Somebody looks at it.
    pub(super) eyes: bool,
}

impl Printed<Stdout> {
    pub(super) fn stdout() -> Self {
        Self { out: io::stdout(), eyes: io::stdout().is_terminal() }
    }
}

impl<W: Write> Printed<W> {
    /// For programs.
    pub(super) fn lines(&mut self, all: &[impl Serialize]) -> io::Result<()> {
        all.iter().try_for_each(|one| writeln!(self.out, "{}", serde_json::to_string(one)?))
    }

    /// For eyes: the head first. No column is wider than what stands in it.
    pub(super) fn table<const N: usize>(&mut self, rows: &[[String; N]]) -> io::Result<()> {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(self.out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}
