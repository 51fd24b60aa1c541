//! What is asked of the gateway after each round, and how it answered.

use std::{fmt, time::Duration};

use super::{Force, attacks::Attack, field::Field, friend::Calls, gateway::Resources};

/// A friend is answered within this, or within three times what it takes when nobody attacks.
const SOON: Duration = Duration::from_millis(250);
/// What a second round may add in KiB: pages that the allocator happens to touch, and no leak.
const NOISE: u64 = 8 << 10;

/// How the gateway fared in one attack.
pub(crate) struct Row {
    pub(crate) attack: Attack,
    is_timed: bool,
    /// Keys that were to be tried, where it is keys.
    wanted: u64,
    pub(crate) quiet: Calls,
    pub(crate) during: Calls,
    pub(crate) connections: u64,
    pub(crate) operations: u64,
    /// How often the gateway ended a connection or refused a request.
    pub(crate) cut: u64,
    pub(crate) before: Resources,
    /// After each round.
    pub(crate) after: Vec<Resources>,
    /// The most memory that was resident, in KiB.
    pub(crate) peak: u64,
    /// What it wrote to standard error.
    pub(crate) said: String,
}

impl Row {
    pub(super) fn new(attack: Attack, force: &Force, (before, quiet): (Resources, Calls)) -> Self {
        let wanted =
            if attack == Attack::MadeUpKeys { force.keys.map(u64::from).iter().sum() } else { 1 };
        Self {
            attack,
            is_timed: force.is_timed,
            wanted,
            quiet,
            during: Calls::default(),
            connections: 0,
            operations: 0,
            cut: 0,
            before,
            after: Vec::new(),
            peak: 0,
            said: String::new(),
        }
    }

    pub(super) fn add(&mut self, calls: Calls, field: &Field, after: Resources) {
        self.during.add(calls);
        let [connections, operations, cut] = field.count();
        self.connections += connections;
        self.operations += operations;
        self.cut += cut;
        self.after.push(after);
    }

    /// Whether the gateway holds no more than it may once a round is over.
    pub(super) fn is_back(&self, now: Resources) -> bool {
        // Connections upstream are kept for some seconds: they are waited for once, at the end.
        let is_last = !self.after.is_empty();
        now.memory <= self.most_memory(self.after.len())
            && (!is_last || now.descriptors <= self.before.descriptors)
    }

    /// The most memory in KiB that may be resident after a round.
    fn most_memory(&self, round: usize) -> u64 {
        let share = |memory: u64, over: u64| (memory + memory / 10).max(memory + over);
        let most = share(self.before.memory, self.attack.memory());
        // What the first round took may stay. What the second adds to that would grow with each.
        let first = if round == 0 { None } else { self.after.first() };
        first.map_or(most, |after| most.min(share(after.memory, NOISE)))
    }

    /// All that is wrong.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for calls in [&self.quiet, &self.during] {
            if let Some(why) = calls.failed.first() {
                faults.push(format!("{} calls of the friend failed: {why}", calls.failed.len()));
            }
        }
        if self.during.ok == 0 {
            faults.push("the friend never called".to_owned());
        }
        let soon = SOON.max(self.quiet.within(99) * 3);
        if self.is_timed && self.during.within(99) > soon {
            faults.push(format!("p99 of {:?}, over {soon:?}", self.during.within(99)));
        }
        for (round, now) in self.after.iter().enumerate() {
            let most = self.most_memory(round);
            if now.memory > most {
                faults.push(format!("round {}: {} KiB, over {most}", round + 1, now.memory));
            }
        }
        let left = self.after.last().map_or(0, |now| now.descriptors);
        if left > self.before.descriptors {
            faults.push(format!("{left} descriptors are left of {}", self.before.descriptors));
        }
        if self.operations < self.wanted {
            faults.push(format!("{} operations of {}: no attack", self.operations, self.wanted));
        }
        if self.cut == 0 && self.attack.is_cut() {
            faults.push("nothing of it was refused".to_owned());
        }
        if !self.said.is_empty() {
            faults.push(format!("it said: {}", self.said));
        }
        faults
    }
}

/// As the tests show it, in one line.
impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attack, connections, operations, cut, before, after, peak, .. } = self;
        write!(
            out,
            "{}: {connections} connections, {operations} operations, cut {cut} times; ",
            attack.name()
        )?;
        write!(
            out,
            "{} calls, memory {} to {peak} KiB, after {after:?}; ",
            self.during.ok, before.memory
        )?;
        match self.faults() {
            faults if faults.is_empty() => write!(out, "held"),
            faults => write!(out, "FAILED: {}", faults.join("; ")),
        }
    }
}
