//! Progress on standard error as it comes, and the table on standard output at the end.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::print_stderr, reason = "whoever waits for the table sees what is going on")]

use std::time::Duration;

use crate::siege::{Resources, Row};

pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

pub(crate) fn print(rows: &[Row], took: Duration) {
    println!(
        "| attack | connections | operations | cut or refused | friend's calls ok / failed \
         | p50 quiet / during, ms | p99 quiet / during, ms | memory before / peak / after 1 / after 2, MiB \
         | descriptors before / after | verdict |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for row in rows {
        let times = |percent| {
            let [quiet, during] = [&row.quiet, &row.during].map(|calls| calls.within(percent));
            format!("{} / {}", milliseconds(quiet), milliseconds(during))
        };
        let each = |shown: fn(&Resources) -> String| {
            row.after.iter().map(|now| format!(" / {}", shown(now))).collect::<String>()
        };
        let memory = each(|now| mebibytes(now.memory));
        let left = row.after.last().map_or(0, |now| now.descriptors);
        let faults = row.faults();
        println!(
            "| {} | {} | {} | {} | {} / {} | {} | {} | {} / {}{memory} | {} / {left} | {} |",
            row.attack.name(),
            row.connections,
            row.operations,
            row.cut,
            row.during.ok,
            row.during.failed.len(),
            times(50),
            times(99),
            mebibytes(row.before.memory),
            mebibytes(row.peak),
            row.before.descriptors,
            if faults.is_empty() { "held".to_owned() } else { faults.join("; ") },
        );
    }
    let held = rows.iter().filter(|row| row.faults().is_empty()).count();
    println!("\n{held} of {} held, in {} s.", rows.len(), took.as_secs());
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{}.{}", kibibytes / 1024, kibibytes % 1024 * 10 / 1024)
}
