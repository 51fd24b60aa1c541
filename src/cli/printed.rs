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

/// Two units are enough to know how long.
pub(super) fn shown_time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_two_units() {
        for (seconds, shown) in
            [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_660, "1h 1m"), (90_000, "1d 1h")]
        {
            assert_eq!(shown_time(seconds), shown);
        }
    }
}
