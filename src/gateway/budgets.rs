use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::kept_file::{self, KeptFile, Line};
use crate::{
    observe::{BudgetLabels, Metrics},
    policy::{Budgets, Used, read_used, write_used},
    upstream::World,
};

/// How soon a change is written: with what the disk takes, within a second.
const TURN: Duration = Duration::from_millis(500);

/// The name of the file.
const FILE: &str = "budgets";

/// Keeps what is used of budgets over a restart, where there is a state directory, and shows it.
pub(super) struct BudgetKeeper {
    budgets: Arc<Budgets>,
    metrics: Metrics,
    world: Arc<ArcSwap<World>>,
    file: Option<KeptFile>,
    shown: Mutex<Shown>,
}

/// What the metrics show.
#[derive(Default)]
struct Shown {
    /// The changes that they have, once anything was shown.
    changes: Option<u64>,
    /// The series that aren't zero.
    series: HashMap<BudgetLabels, f64>,
}

impl BudgetKeeper {
    /// The keeper of these budgets, with what the file and the process before have of today put back.
    pub(super) fn new(
        budgets: &Arc<Budgets>,
        metrics: &Metrics,
        (world, taken): (&Arc<ArcSwap<World>>, &str),
    ) -> Self {
        let file = world.load().snapshot.state_dir.as_deref().map(|dir| {
            let is_whole = restore(budgets, dir) && taken.is_empty();
            KeptFile::new(dir, (FILE, is_whole.then(|| budgets.changes())), metrics)
        });
        kept_file::take_over(taken, line(budgets), FILE);
        let (budgets, world) = (Arc::clone(budgets), Arc::clone(world));
        let shown = Mutex::default();
        Self { budgets, metrics: metrics.clone(), world, file, shown }
    }

    /// Writes what has changed, again and again. Ends only when dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        kept_file::keep(self, TURN, Self::turn).await;
    }

    /// One turn; the last one is at the end of the drain.
    pub(super) fn turn(&self) {
        self.budgets.turn(&self.world.load().snapshot.time_zone, Timestamp::now());
        if let Some(file) = &self.file {
            file.write(|| self.budgets.changes(), || self.text());
        }
        self.show();
    }

    /// Writes no more, because another process does; or again, because it doesn't.
    pub(super) fn close(&self, is_closed: bool) {
        if let Some(file) = &self.file {
            file.close(is_closed);
        }
    }

    /// All that is kept.
    pub(super) fn text(&self) -> String {
        let (mut text, (day, all)) = (String::new(), self.budgets.used());
        for used in all {
            write_used(&mut text, day, &used);
        }
        text
    }

    /// Shows what is used. Of all keys that no consumer has the one that has used most.
    fn show(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = Some(self.budgets.changes());
        if shown.changes == changes {
            return;
        }
        let mut series = HashMap::new();
        for used in self.budgets.used().1 {
            let share = f64::from(used.used) / f64::from(used.calls);
            let most = series.entry(labels(&used)).or_insert(share);
            *most = f64::max(*most, share);
        }
        // What is used no more stays as a zero: a series that goes away is no answer.
        for labels in shown.series.keys().filter(|labels| !series.contains_key(labels)) {
            self.metrics.budget_used(labels, 0.0);
        }
        for (labels, share) in &series {
            self.metrics.budget_used(labels, *share);
        }
        *shown = Shown { changes, series };
    }
}

fn labels(Used { purse, tools, .. }: &Used) -> BudgetLabels {
    let (route, consumer) = (purse.route().cloned(), purse.consumer().cloned());
    BudgetLabels { route, consumer, budget: tools.as_str().into() }
}

/// Puts back what the file of a state directory has of today.
fn restore(budgets: &Budgets, dir: &Path) -> bool {
    kept_file::read_lines(dir, FILE, line(budgets))
}

fn line(budgets: &Budgets) -> impl FnMut(&str) -> Line {
    |line| match read_used(line) {
        Ok((day, used)) => {
            budgets.restore(day, &used);
            Line::Used
        }
        Err(_) => Line::Damaged,
    }
}

/// The same for who may write nothing there, and goes by what can be read.
pub(super) fn look_into(budgets: &Budgets, dir: &Path) {
    let text = std::fs::read_to_string(dir.join(FILE)).unwrap_or_default();
    for (day, used) in text.lines().filter_map(|line| read_used(line).ok()) {
        budgets.restore(day, &used);
    }
}

#[cfg(test)]
mod tests;
