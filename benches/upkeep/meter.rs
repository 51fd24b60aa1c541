//! What became of streams and calls.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{changes::Change, progress};

pub(crate) struct Meter {
    start: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Whether something changes.
    changing: bool,
    quiet: Took,
    busy: Took,
    failed: BTreeMap<String, u32>,
    cut: BTreeMap<String, u32>,
    made: Vec<(Change, Duration)>,
}

/// How long calls and events took.
#[derive(Default)]
struct Took {
    calls: Vec<Duration>,
    events: Vec<Duration>,
}

impl Counts {
    const fn took(&mut self) -> &mut Took {
        if self.changing { &mut self.busy } else { &mut self.quiet }
    }
}

impl Meter {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, counts: Mutex::default() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// From here on something changes.
    pub(crate) fn begins(&self) {
        self.lock().changing = true;
    }

    pub(crate) fn answered(&self, took: Duration) {
        self.lock().took().calls.push(took);
    }

    /// An event came that was sent then.
    pub(crate) fn event(&self, sent: Duration) {
        let took = self.elapsed().saturating_sub(sent);
        self.lock().took().events.push(took);
    }

    pub(crate) fn failed(&self, why: &str) {
        progress(&format!("{:4} s: a call failed: {why}", self.elapsed().as_secs()));
        *self.lock().failed.entry(why.to_owned()).or_default() += 1;
    }

    pub(crate) fn cut(&self, why: &str) {
        *self.lock().cut.entry(why.to_owned()).or_default() += 1;
    }

    pub(crate) fn made(&self, change: Change, took: Duration) {
        self.lock().made.push((change, took));
    }

    pub(crate) fn report(&self, alive: usize) -> Report {
        let counts = std::mem::take(&mut *self.lock());
        Report { counts, alive }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Report {
    counts: Counts,
    alive: usize,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.counts.failed.is_empty() && self.counts.cut.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { quiet, busy, failed, cut, made, .. } = &self.counts;
        writeln!(f, "streams: {} live to the end, cut: {cut:?}", self.alive)?;
        writeln!(
            f,
            "calls:   {} answered, failed: {failed:?}",
            quiet.calls.len() + busy.calls.len()
        )?;
        for change in [Change::Reload, Change::Swap, Change::Upgrade] {
            let took = made.iter().filter(|(made, _)| *made == change).map(|(_, took)| *took);
            let took: Vec<_> = took.collect();
            if !took.is_empty() {
                let (count, half) = (took.len(), at(&took, 50));
                let most = at(&took, 100);
                writeln!(
                    f,
                    "{:8} {count} times, {half:.1?} in the middle, {most:.1?} at most",
                    change.name()
                )?;
            }
        }
        let of = |what, quiet, busy| (what, quiet, busy);
        for (what, quiet, busy) in
            [of("a call", &quiet.calls, &busy.calls), of("an event", &quiet.events, &busy.events)]
        {
            writeln!(
                f,
                "{what:8} p50 {:.2?} quiet, {:.2?} while something changes; p99 {:.2?}, {:.2?}",
                at(quiet, 50),
                at(busy, 50),
                at(quiet, 99),
                at(busy, 99)
            )?;
        }
        Ok(())
    }
}

fn at(all: &[Duration], percent: usize) -> Duration {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or_default()
}
