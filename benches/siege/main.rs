//! The siege at length: what the gateway is attacked by, and a friend who is answered meanwhile.
//!
//! `cargo bench --bench siege` does all of it in about twenty minutes; after `--`, a number is how
//! many seconds the first round of an attack takes, and any other word chooses the attacks whose
//! names have it. Every row says how many connections and operations there were, how the friend
//! fared when nobody attacked and during, and what the gateway held before, at most and after each
//! of two rounds. It ends with 1 where a row failed.

#[path = "../../tests/siege/mod.rs"]
mod siege;
mod table;

use std::{
    env,
    process::ExitCode,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use siege::{Force, INTERRUPTED, Outcome, attacks::Attack};

const LONG: Force = Force {
    quiet: Duration::from_secs(3),
    rounds: [Duration::from_secs(30), Duration::from_secs(12)],
    sockets: 2000,
    pace: Duration::from_secs(2),
    keys: [1_000_000, 100_000],
    strangers: 30_000,
    forwarded_addresses: 70_000,
    // Just under the 4 MiB that a route takes.
    body: (4 << 20) - 1024,
    streams: 2000,
    slowhttptest: true,
    is_timed: true,
};

fn main() -> Outcome<ExitCode> {
    raise_descriptor_limit()?;
    heed_signals()?;
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let (force, attacks) = chosen(&words);
    let begun = Instant::now();
    let mut rows = Vec::new();
    for (at, attack) in attacks.iter().enumerate() {
        table::progress(&format!("{}/{} {}", at + 1, attacks.len(), attack.name()));
        let row = siege::lay(*attack, &force)?;
        table::progress(&row.to_string());
        rows.push(row);
    }
    table::print(&rows, begun.elapsed());
    let all_held = rows.iter().all(|row| row.faults().is_empty());
    Ok(if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How hard, and what: all of it where nothing is said.
fn chosen(words: &[String]) -> (Force, Vec<Attack>) {
    let mut force = LONG;
    if let Some(seconds) = words.iter().find_map(|word| word.parse().ok()) {
        let first = Duration::from_secs(seconds);
        force.rounds = [first, first * 2 / 5];
        // Counted attacks take their share of the full count.
        let share = |count: u32| (u64::from(count) * seconds / 30).clamp(1, count.into());
        force.keys = force.keys.map(|count| share(count).try_into().unwrap_or(count));
    }
    let is_word = |word: &&String| word.parse::<u64>().is_err();
    let is_named = |attack: &Attack| {
        words.iter().filter(is_word).any(|word| attack.name().contains(word.as_str()))
    };
    let mut attacks: Vec<Attack> = Attack::ALL.into_iter().filter(is_named).collect();
    if attacks.is_empty() {
        attacks = Attack::ALL.to_vec();
    }
    (force, attacks)
}

/// Ctrl-C ends the siege by way of its own code, so that everything that it started ends too.
fn heed_signals() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return };
            let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            INTERRUPTED.store(true, Ordering::Relaxed);
        });
    });
    Ok(())
}

/// Slow sockets and streams take a descriptor each here, and slowhttptest inherits the limit.
fn raise_descriptor_limit() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}
