//! How many calls of tools somebody has a day.
//!
//! A call takes its place before anything goes upstream, under one lock, and keeps it once it may have
//! been done: so a budget is exact however many calls come at once. Only what is used of today takes
//! memory. What is refused or given back leaves nothing behind.

mod day;
mod purse;
mod text;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use day::{Day, Turn, today};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use purse::Contents;
pub use purse::{Purse, Spender};
pub use text::{BadBudget, read_used, write_used};

use super::Glob;

/// How many calls a day all tools have together that a glob matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The tools.
    pub tools: Glob,
    /// The calls.
    pub calls: NonZeroU32,
}

/// What is used of a budget today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Whose it is.
    pub purse: Purse,
    /// The tools, ...
    pub tools: Glob,
    /// ... how many calls of them count, ...
    pub used: u32,
    /// ... and how many there are.
    pub calls: u32,
}

/// Whose budgets a call is taken from, and which.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Whose they are.
    pub purse: &'a Purse,
    /// Those that there are.
    pub budgets: &'a Arc<[Budget]>,
    /// A key of a stranger that the upstream has accepted before.
    pub is_proven: bool,
}

/// Why a call isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// A budget has no more.
    Spent {
        /// Which of the calls asked for too much.
        call: usize,
        /// How many the budget has a day.
        calls: u32,
        /// When the next day begins.
        retry_after: Duration,
    },
    /// There is no room for another key that no consumer has.
    Full,
}

/// The budgets of all, as far as they are used today.
pub struct Budgets(Arc<Mutex<Table>>);

/// Calls that have taken their place. Given back by drop, until they were sent.
#[derive(Default)]
pub struct Spending(Option<Taken>);

struct Table {
    day: Day,
    /// Counts the days that began, so that nothing of an older one is given back.
    days: u64,
    purses: HashMap<Purse, Contents>,
    /// How many of them are strangers'.
    strangers: usize,
    /// How many strangers' there is room for.
    room: usize,
    changes: u64,
}

struct Taken {
    table: Arc<Mutex<Table>>,
    days: u64,
    purse: Purse,
    budgets: Arc<[Budget]>,
    /// How many calls of each.
    counts: Vec<u32>,
    is_sent: bool,
}

impl Budgets {
    /// Budgets of which nothing is used, with room for so many keys that no consumer has.
    pub fn new(room: usize, zone: &TimeZone, now: Timestamp) -> Self {
        let day = Day::new(today(zone, now));
        let purses = HashMap::new();
        let table = Table { day, days: 0, purses, strangers: 0, room, changes: 0 };
        Self(Arc::new(Mutex::new(table)))
    }

    /// Takes one from every budget for each call that it matches; a call without a name that could be
    /// read, from all. All calls or none.
    ///
    /// # Errors
    /// Where a budget has no more, or where there is no room to count.
    pub fn take<'n>(
        &self,
        account: Account<'_>,
        calls: impl Iterator<Item = (usize, Option<&'n str>)>,
        (zone, now): (&TimeZone, Timestamp),
    ) -> Result<Spending, Shortage> {
        let matches = |name: Option<&str>, budget: &Budget| {
            name.is_none_or(|name| budget.tools.matches(name))
        };
        let wanted: Vec<(usize, usize)> = calls
            .flat_map(|(call, name)| {
                let all = account.budgets.iter().enumerate();
                let of_it = all.filter(move |(_, budget)| matches(name, budget));
                of_it.map(move |(at, _)| (call, at))
            })
            .collect();
        if wanted.is_empty() {
            return Ok(Spending::default());
        }
        let mut table = lock(&self.0);
        table.turn(today(zone, now));
        let counts = table.counts(account, &wanted).map_err(|short| match short {
            Some((call, calls)) => {
                Shortage::Spent { call, calls, retry_after: table.day.left(zone, now) }
            }
            None => Shortage::Full,
        })?;
        table.add(account, &counts);
        let (days, budgets) = (table.days, Arc::clone(account.budgets));
        let (table, purse) = (Arc::clone(&self.0), account.purse.clone());
        Ok(Spending(Some(Taken { table, days, purse, budgets, counts, is_sent: false })))
    }

    /// Puts back what was used of a day, before anything is taken. Of a day that is over nothing is.
    pub fn restore(&self, day: Date, used: &Used) {
        let mut table = lock(&self.0);
        if day < table.day.date() {
            return;
        }
        // A day ahead of the clock is the clock's mistake, or was: it counts until that has come.
        table.turn(day);
        table.restore(used);
    }

    /// Looks at the clock: where a new day has begun, nothing is used of it.
    pub fn turn(&self, zone: &TimeZone, now: Timestamp) {
        lock(&self.0).turn(today(zone, now));
    }

    /// How often anything has changed.
    pub fn changes(&self) -> u64 {
        lock(&self.0).changes
    }

    /// What is used, and of which day. Calls count that have their place and weren't sent yet.
    pub fn used(&self) -> (Date, Vec<Used>) {
        let table = lock(&self.0);
        let used = table.purses.iter().flat_map(|(purse, contents)| contents.used(purse));
        (table.day.date(), used.collect())
    }
}

impl Table {
    fn turn(&mut self, today: Date) {
        let (before, is_used) = (self.day, !self.purses.is_empty());
        if self.day.turn(today) == Turn::New {
            self.days += 1;
            self.purses.clear();
            self.strangers = 0;
        }
        self.changes += u64::from(is_used && self.day != before);
    }

    /// How many each budget would give. `None` where there is no room, else the call that is too many
    /// and what its budget has.
    fn counts(
        &self,
        account: Account<'_>,
        wanted: &[(usize, usize)],
    ) -> Result<Vec<u32>, Option<(usize, u32)>> {
        let contents = self.purses.get(account.purse);
        if contents.is_none() && account.purse.is_a_strangers() {
            // Whoever makes keys up, and leaves before they are judged, must not fill it for all.
            let room = if account.is_proven { self.room } else { self.room / 2 };
            if self.strangers >= room {
                return Err(None);
            }
        }
        let mut counts = vec![0_u32; account.budgets.len()];
        for (call, at) in wanted {
            let (Some(count), Some(budget)) = (counts.get_mut(*at), account.budgets.get(*at))
            else {
                continue;
            };
            *count += 1;
            let used = contents.map_or(0, |contents| contents.used_of(&budget.tools));
            if used.saturating_add(*count) > budget.calls.get() {
                return Err(Some((*call, budget.calls.get())));
            }
        }
        Ok(counts)
    }

    fn add(&mut self, Account { purse, budgets, .. }: Account<'_>, counts: &[u32]) {
        self.strangers += usize::from(self.is_new_stranger(purse));
        let contents = self.purses.entry(purse.clone()).or_default();
        for (budget, count) in budgets.iter().zip(counts).filter(|(_, count)| **count > 0) {
            contents.add(&budget.tools, *count, budget.calls.get());
        }
        self.changes += 1;
    }

    fn restore(&mut self, used: &Used) {
        let is_new = self.is_new_stranger(&used.purse);
        if is_new && self.strangers >= self.room {
            return;
        }
        self.strangers += usize::from(is_new);
        self.purses.entry(used.purse.clone()).or_default().restore(used);
    }

    fn is_new_stranger(&self, purse: &Purse) -> bool {
        purse.is_a_strangers() && !self.purses.contains_key(purse)
    }

    fn give_back(&mut self, taken: &Taken) {
        let Some(contents) = self.purses.get_mut(&taken.purse).filter(|_| self.days == taken.days)
        else {
            return;
        };
        for (budget, count) in taken.budgets.iter().zip(&taken.counts) {
            contents.take_off(&budget.tools, *count);
        }
        if contents.is_empty() {
            self.purses.remove(&taken.purse);
            self.strangers -= usize::from(taken.purse.is_a_strangers());
        }
        self.changes += 1;
    }
}

impl Spending {
    /// The calls go upstream now: from here on they may have been done, whatever becomes of them.
    pub fn sent(&mut self) {
        if let Some(taken) = &mut self.0 {
            taken.is_sent = true;
        }
    }

    /// The calls aren't there yet after all: who was asked first sent them elsewhere.
    pub fn not_sent(&mut self) {
        if let Some(taken) = &mut self.0 {
            taken.is_sent = false;
        }
    }

    /// The calls count. Gives the budgets that are nearly used up and of which nobody was told today.
    pub fn nearly_used_up(&self) -> Vec<Used> {
        let Some(taken) = self.0.as_ref().filter(|taken| taken.is_sent) else { return Vec::new() };
        let mut table = lock(&taken.table);
        let contents = table.purses.get_mut(&taken.purse);
        contents.map(|contents| contents.nearly_used_up(&taken.purse)).unwrap_or_default()
    }

    /// The calls weren't done, as the upstream says: they don't count.
    pub fn give_back(&mut self) {
        if let Some(taken) = self.0.take() {
            lock(&taken.table).give_back(&taken);
        }
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        if self.0.as_ref().is_some_and(|taken| !taken.is_sent) {
            self.give_back();
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // Counts are whole at every step: a panic in between leaves none half written.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
