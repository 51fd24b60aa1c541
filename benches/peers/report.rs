//! Every block's number on standard error as it comes, and the table on standard output at the end.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::print_stderr, reason = "whoever waits for the table sees what is going on")]

use std::time::Duration;

use crate::{BLOCKS, measure::Measure, proxies::Kind};

/// Rows in the order in which they were measured.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    what: Measure,
    /// One sample a block.
    samples: Vec<(Kind, f64)>,
}

impl Report {
    /// One more block's number for a row.
    pub(crate) fn add(&mut self, what: Measure, kind: Kind, sample: f64) {
        eprintln!("{}: {} {}", what.name(), kind.name(), number(Some(sample)));
        match self.rows.iter_mut().find(|row| row.what == what) {
            Some(row) => row.samples.push((kind, sample)),
            None => self.rows.push(Row { what, samples: vec![(kind, sample)] }),
        }
    }

    /// Something to know that isn't a proxy's number.
    pub(crate) fn say(&mut self, what: &str) {
        eprintln!("{what}");
        self.notes.push(what.to_owned());
    }

    /// How one of our own rows compares with another, of the same run.
    pub(crate) fn compare(&mut self, what: Measure, with: Measure) {
        let median =
            |of: Measure| self.rows.iter().find(|row| row.what == of)?.median(Kind::Portcullis);
        if let (Some(this), Some(that)) = (median(what), median(with)) {
            self.say(&format!("{}: {:.2} of {}", what.name(), this / that, with.name()));
        }
    }

    /// The medians, the ratios to the peers, and what those are to be.
    pub(crate) fn print(&self, versions: &str, took: Duration) {
        println!("{versions}; {} s\n", took.as_secs());
        let [ours, nginx, haproxy, envoy] = Kind::ALL.map(Kind::name);
        println!(
            "{:<41}{ours:>12}{nginx:>9}{haproxy:>9}{envoy:>9}{:>10}{:>12}{:>10}{:>15}",
            format!("median of {BLOCKS} blocks"),
            "to nginx",
            "to HAProxy",
            "to Envoy",
            "goals"
        );
        self.rows.iter().for_each(Row::print);
        println!("\nThe goals are the most that the ratios to nginx and to HAProxy are to be.");
        self.notes.iter().for_each(|note| println!("{note}"));
    }
}

impl Row {
    fn print(&self) {
        let [ours, nginx, haproxy, envoy] = Kind::ALL.map(|kind| self.median(kind));
        let compared = ours.filter(|_| self.what.is_compared());
        let ratio = |peer: Option<f64>| number(peer.and_then(|peer| Some(compared? / peer)));
        let goal = self.what.goal();
        println!(
            "{:<41}{:>12}{:>9}{:>9}{:>9}{:>10}{:>12}{:>10}{:>9}{:>6}",
            self.what.name(),
            number(ours),
            number(nginx),
            number(haproxy),
            number(envoy),
            ratio(nginx),
            ratio(haproxy),
            ratio(envoy),
            number(goal.to_nginx),
            number(goal.to_haproxy),
        );
    }

    fn median(&self, kind: Kind) -> Option<f64> {
        let of_kind = self.samples.iter().filter(|(whose, _)| *whose == kind);
        let mut numbers: Vec<f64> = of_kind.map(|(_, number)| *number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied()
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        Some(large) if large.abs() >= 1000.0 => format!("{large:.0}"),
        Some(small) if small.abs() < 10.0 => format!("{small:.2}"),
        Some(middle) => format!("{middle:.1}"),
        None => "-".to_owned(),
    }
}
