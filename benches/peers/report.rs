//! The table at the end.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::time::Duration;

use crate::proxies::Kind;

/// Rows in the order in which they were measured.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    what: &'static str,
    /// One sample a block.
    samples: Vec<(Kind, f64)>,
}

impl Report {
    /// One more block's number for a row; says it at once, for whoever watches.
    pub(crate) fn add(&mut self, what: &'static str, kind: Kind, sample: f64) {
        println!("{what}: {} {sample:.1}", kind.name());
        match self.rows.iter_mut().find(|row| row.what == what) {
            Some(row) => row.samples.push((kind, sample)),
            None => self.rows.push(Row { what, samples: vec![(kind, sample)] }),
        }
    }

    /// Something to know that isn't a proxy's number.
    pub(crate) fn say(&mut self, what: &str) {
        println!("{what}");
        self.notes.push(what.to_owned());
    }

    /// The medians, and the ratios to the peers.
    pub(crate) fn print(&self, versions: &str, took: Duration) {
        println!("\n{versions}; {} s\n", took.as_secs());
        let [ours, nginx, haproxy] = Kind::ALL.map(Kind::name);
        println!(
            "{:<46}{ours:>12}{nginx:>10}{haproxy:>10}{:>10}{:>12}",
            "median of 3 blocks", "to nginx", "to HAProxy"
        );
        for row in &self.rows {
            let [ours, nginx, haproxy] = Kind::ALL.map(|kind| row.median(kind));
            println!(
                "{:<46}{:>12}{:>10}{:>10}{:>10}{:>12}",
                row.what,
                number(ours),
                number(nginx),
                number(haproxy),
                number(nginx.and_then(|peer| Some(ours? / peer))),
                number(haproxy.and_then(|peer| Some(ours? / peer))),
            );
        }
        println!();
        self.notes.iter().for_each(|note| println!("{note}"));
    }
}

impl Row {
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
