use super::Used;
use crate::{
    policy::Glob,
    types::{KeyMark, Name},
};

/// Whose budgets they are, and what they are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Purse {
    /// A consumer's own, over all routes.
    Consumer(Name),
    /// Those of a route, for each who uses it.
    OnRoute(Name, Spender),
}

/// Who uses a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Spender {
    /// A consumer, by its name: two keys of one must not have two budgets.
    Consumer(Name),
    /// A key that no consumer has. The key itself is kept nowhere.
    Key(KeyMark),
}

impl Purse {
    /// Whether it is of a key that no consumer has.
    pub const fn is_a_strangers(&self) -> bool {
        matches!(self, Self::OnRoute(_, Spender::Key(_)))
    }

    /// The route, where it is a route's.
    pub const fn route(&self) -> Option<&Name> {
        match self {
            Self::Consumer(_) => None,
            Self::OnRoute(route, _) => Some(route),
        }
    }

    /// The consumer, where it is one's.
    pub const fn consumer(&self) -> Option<&Name> {
        match self {
            Self::Consumer(name) | Self::OnRoute(_, Spender::Consumer(name)) => Some(name),
            Self::OnRoute(_, Spender::Key(_)) => None,
        }
    }
}

/// What is used of the budgets of one purse: of few, so a list.
#[derive(Default)]
pub(super) struct Contents(Vec<Entry>);

struct Entry {
    tools: Glob,
    used: u32,
    calls: u32,
    /// It was told that it is nearly used up.
    is_told: bool,
}

impl Used {
    /// Whether four fifths of it are gone.
    pub fn is_nearly_all(&self) -> bool {
        u64::from(self.used) * 5 >= u64::from(self.calls) * 4
    }
}

impl Contents {
    pub(super) fn used_of(&self, tools: &Glob) -> u32 {
        self.0.iter().find(|entry| entry.tools == *tools).map_or(0, |entry| entry.used)
    }

    pub(super) fn add(&mut self, tools: &Glob, count: u32, calls: u32) {
        let entry = match self.0.iter().position(|entry| entry.tools == *tools) {
            Some(at) => self.0.get_mut(at),
            None => {
                self.0.push(Entry { tools: tools.clone(), used: 0, calls, is_told: false });
                self.0.last_mut()
            }
        };
        if let Some(entry) = entry {
            entry.used = entry.used.saturating_add(count);
            entry.calls = calls;
        }
    }

    pub(super) fn take_off(&mut self, tools: &Glob, count: u32) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.tools == *tools) {
            entry.used = entry.used.saturating_sub(count);
        }
        self.0.retain(|entry| entry.used > 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts back what a file has. Who was told of it before isn't told again.
    pub(super) fn restore(&mut self, kept: &Used) {
        let is_told = kept.is_nearly_all();
        let Used { tools, used, calls, .. } = kept.clone();
        self.0.retain(|entry| entry.tools != tools);
        self.0.push(Entry { tools, used, calls, is_told });
    }

    pub(super) fn used(&self, purse: &Purse) -> impl Iterator<Item = Used> {
        self.0.iter().map(|entry| entry.of(purse))
    }

    /// Those that are nearly used up and of which nobody was told; from now on somebody was.
    pub(super) fn nearly_used_up(&mut self, purse: &Purse) -> Vec<Used> {
        let untold = self.0.iter_mut().filter(|entry| !entry.is_told);
        let told = untold.filter_map(|entry| {
            let used = entry.of(purse);
            entry.is_told = used.is_nearly_all();
            entry.is_told.then_some(used)
        });
        told.collect()
    }
}

impl Entry {
    fn of(&self, purse: &Purse) -> Used {
        let Self { tools, used, calls, .. } = self;
        Used { purse: purse.clone(), tools: tools.clone(), used: *used, calls: *calls }
    }
}
