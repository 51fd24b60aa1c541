//! The table at the end.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what the program is for, and whoever waits is told"
)]

use crate::{
    Outcome,
    backend::Reached,
    cases::{Case, Must},
    peers::Kind,
};

/// What became of a case.
#[derive(Clone)]
pub(crate) struct Cell {
    text: String,
    /// What must be refused was passed on.
    bad: bool,
}

impl Cell {
    pub(crate) fn new(said: String, reached: &Reached, must: Must) -> Self {
        let passed = match (reached.heads, reached.wholes) {
            (0, _) => String::new(),
            (_, 0) => " H".to_owned(),
            (_, 1) => " F".to_owned(),
            (_, wholes) => format!(" Fx{wholes}"),
        };
        let bad = reached.heads > 0
            && match must {
                Must::Refuse => true,
                Must::Pass => false,
                Must::Withhold(text) => reached.text.contains(&text.to_lowercase()),
                // Node has passed nothing on.
                Must::Keep(text) => !reached.text.is_empty() && !reached.text.contains(text),
                Must::Requests(count) => reached.wholes > count,
            };
        Self { text: format!("{said}{passed}{}", if bad { " !" } else { "" }), bad }
    }
}

/// Tells whoever waits.
pub(crate) fn progress(what: &str) {
    eprintln!("{what}");
}

/// A row for each case, a column for each peer, and the sums.
pub(crate) fn print(cases: &[Case], kinds: &[Kind], columns: &[Vec<Cell>]) -> Outcome<()> {
    let versions: Vec<_> = kinds.iter().map(|kind| kind.version()).collect::<Outcome<_>>()?;
    println!("{}\n", versions.join(", "));
    println!("{LEGEND}\n");
    let names: String = kinds.iter().map(|kind| format!("{:<14}", kind.name())).collect();
    println!("{:<10}{:<32}{:<14}{}", "#", "request", "strict", names.trim_end());
    for (at, case) in cases.iter().enumerate() {
        let cells = columns.iter().filter_map(|column| column.get(at));
        let cells: String = cells.map(|cell| format!("{:<14}", cell.text)).collect();
        let cells = cells.trim_end();
        println!("{:<10}{:<32}{:<14}{cells}", case.number, case.what, case.strict);
    }
    let sums: Vec<_> = kinds.iter().zip(columns).map(|(kind, column)| sum(*kind, column)).collect();
    println!("\nPassed on what must not pass, of {} rows: {}", cases.len(), sums.join(", "));
    Ok(())
}

fn sum(kind: Kind, column: &[Cell]) -> String {
    format!("{} {}", kind.name(), column.iter().filter(|cell| cell.bad).count())
}

const LEGEND: &str = "\
The status that was answered; R1: RST_STREAM with that code, GA11: GOAWAY with that code; wait: no
answer in 1.3 s; close: closed without one; 0.9: an answer without a head. F: a whole request reached
the server behind it, Fx2: two did, H: a head and no whole request. !: what passed on must not pass.
Node is no proxy: there F means that its own server took the request for one.";
