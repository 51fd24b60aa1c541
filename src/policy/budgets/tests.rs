use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::types::{FingerprintKey, Name, Secret};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-25T12:00:00Z")
}

fn budgets(list: &[(&str, u32)]) -> Arc<[Budget]> {
    let one = |(tools, calls): &(&str, u32)| Budget {
        tools: Glob::parse(tools).unwrap(),
        calls: NonZeroU32::new(*calls).unwrap(),
    };
    list.iter().map(one).collect()
}

fn consumer() -> Purse {
    Purse::Consumer(Name::parse("scheduler").unwrap())
}

fn stranger(key: &str) -> Purse {
    let mark = FingerprintKey::new(b"salt").mark(&Secret::new(key.to_owned()).digest());
    Purse::OnRoute(Name::parse("mcp").unwrap(), Spender::Key(mark))
}

fn table(room: usize) -> Budgets {
    Budgets::new(room, &TimeZone::UTC, noon())
}

/// Takes a batch of calls of these tools.
fn take(
    table: &Budgets,
    (purse, budgets): (&Purse, &Arc<[Budget]>),
    tools: &[&str],
    now: Timestamp,
) -> Result<Spending, Shortage> {
    let account = Account { purse, budgets, is_proven: false };
    let calls = tools.iter().map(|tool| Some(*tool)).enumerate();
    table.take(account, calls, (&TimeZone::UTC, now))
}

fn counts(table: &Budgets) -> Vec<(String, u32)> {
    let mut used: Vec<_> =
        table.used().1.iter().map(|used| (used.tools.as_str().to_owned(), used.used)).collect();
    used.sort();
    used
}

#[test]
fn not_one_call_over_a_budget_passes_from_many_threads_at_once() {
    const BUDGET: u32 = 1_000;
    let (table, whose, budgets) = (table(8), consumer(), budgets(&[("post*", BUDGET)]));
    let (kept, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (table, whose, budgets, kept, refused) =
                (&table, &whose, &budgets, &kept, &refused);
            scope.spawn(move || {
                for turn in 0..500_u32 {
                    let Ok(mut spending) = take(table, (whose, budgets), &["post"], noon()) else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    // Some never go, some are told that they weren't done.
                    match (turn + thread) % 5 {
                        0 => {}
                        1 => {
                            spending.sent();
                            spending.give_back();
                        }
                        _ => {
                            spending.sent();
                            kept.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(kept.load(Ordering::Relaxed), BUDGET, "exactly, not one over or under");
    assert!(refused.load(Ordering::Relaxed) > 0);
    assert_eq!(counts(&table), [("post*".to_owned(), BUDGET)]);
}

#[test]
fn a_batch_takes_all_or_nothing_and_a_tool_is_held_to_each_budget() {
    let (table, whose) = (table(8), consumer());
    let budgets = budgets(&[("post*", 3), ("*", 4)]);
    let take = |tools: &[&str]| {
        take(&table, (&whose, &budgets), tools, noon()).map(|mut spending| spending.sent())
    };
    take(&["post", "postList"]).unwrap();
    let half_a_day = Duration::from_secs(12 * 3600);
    let spent = |call, calls| Err(Shortage::Spent { call, calls, retry_after: half_a_day });
    assert_eq!(take(&["list", "post", "post"]), spent(2, 3));
    assert_eq!(counts(&table), [("*".to_owned(), 2), ("post*".to_owned(), 2)], "none of it");
    take(&["list", "list"]).unwrap();
    assert_eq!(take(&["post"]), spent(0, 4), "one is left of its own, none of all");
}

#[test]
fn a_call_without_a_name_pays_from_every_budget() {
    let (table, whose, budgets) = (table(8), consumer(), budgets(&[("a", 1), ("b", 1)]));
    let account = Account { purse: &whose, budgets: &budgets, is_proven: false };
    let nameless = || [(0, None)].into_iter();
    table.take(account, nameless(), (&TimeZone::UTC, noon())).unwrap().sent();
    assert_eq!(counts(&table), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
}

#[test]
fn what_is_not_sent_or_not_done_is_given_back_and_leaves_nothing_behind() {
    let (table, whose, budgets) = (table(1), stranger("k"), budgets(&[("*", 2)]));
    let take = || take(&table, (&whose, &budgets), &["a"], noon());
    // Half of the room is for keys that nobody has accepted, and half of one is none.
    assert_eq!(take().err(), Some(Shortage::Full));
    let account = Account { purse: &whose, budgets: &budgets, is_proven: true };
    let proven = || table.take(account, [(0, Some("a"))].into_iter(), (&TimeZone::UTC, noon()));
    drop(proven().unwrap());
    assert_eq!(counts(&table), []);
    let mut spending = proven().unwrap();
    spending.sent();
    spending.give_back();
    drop(spending);
    assert_eq!(counts(&table), []);
    let table = lock(&table.0);
    assert!(table.purses.is_empty() && table.strangers == 0);
}

#[test]
fn strangers_keys_have_so_much_room_and_no_used_budget_makes_way() {
    let (table, budgets) = (table(4), budgets(&[("*", 1)]));
    let take = |key: &str, is_proven| {
        let purse = stranger(key);
        let account = Account { purse: &purse, budgets: &budgets, is_proven };
        let taken = table.take(account, [(0, Some("a"))].into_iter(), (&TimeZone::UTC, noon()));
        taken.map(|mut spending| spending.sent())
    };
    assert_eq!((take("a", false), take("b", false)), (Ok(()), Ok(())));
    assert_eq!(take("c", false), Err(Shortage::Full), "made-up keys have half of it");
    assert_eq!((take("d", true), take("e", true)), (Ok(()), Ok(())));
    assert_eq!(take("f", true), Err(Shortage::Full));
    assert!(matches!(take("a", false), Err(Shortage::Spent { .. })), "it is still counted");
}

#[test]
fn a_new_day_has_new_budgets_and_gets_nothing_back_of_the_last() {
    let (table, whose, budgets) = (table(8), consumer(), budgets(&[("*", 1)]));
    let take = |now| take(&table, (&whose, &budgets), &["a"], at(now));
    let yesterdays = take("2026-11-25T23:59:59Z").unwrap();
    assert!(take("2026-11-25T23:59:59Z").is_err());
    let mut todays = take("2026-11-26T00:00:00Z").unwrap();
    todays.sent();
    drop(yesterdays);
    assert_eq!(counts(&table), [("*".to_owned(), 1)]);
    assert!(take("2026-11-25T23:59:00Z").is_err(), "a clock set back gives it no second time");
    table.turn(&TimeZone::UTC, at("2026-11-27T00:00:00Z"));
    assert_eq!(counts(&table), []);
}

#[test]
fn somebody_is_told_once_a_day_that_a_budget_is_nearly_used_up() {
    let (table, whose, budgets) = (table(8), consumer(), budgets(&[("*", 5)]));
    let told = |table: &Budgets| {
        let mut spending = take(table, (&whose, &budgets), &["a"], noon()).unwrap();
        spending.sent();
        spending.nearly_used_up().len()
    };
    let told_of: Vec<usize> = (0..3).map(|_| told(&table)).collect();
    assert_eq!(told_of, [0, 0, 0]);
    // Not of what isn't sent, or comes back.
    let mut spending = take(&table, (&whose, &budgets), &["a"], noon()).unwrap();
    assert!(spending.nearly_used_up().is_empty());
    spending.sent();
    spending.give_back();
    assert!(spending.nearly_used_up().is_empty());
    assert_eq!((told(&table), told(&table)), (1, 0));
    // Not again by the next process either.
    let (day, used) = table.used();
    let next = self::table(8);
    next.restore(day, &Used { used: 4, ..used[0].clone() });
    assert_eq!(told(&next), 0);
}

#[test]
fn what_was_used_today_is_put_back_and_what_was_used_before_is_not() {
    let (table, whose, budgets) = (table(8), consumer(), budgets(&[("*", 2)]));
    let tools = Glob::parse("*").unwrap();
    let used = Used { purse: whose.clone(), tools, used: 1, calls: 2 };
    table.restore("2026-11-24".parse().unwrap(), &used);
    assert_eq!(counts(&table), []);
    table.restore("2026-11-25".parse().unwrap(), &used);
    table.restore("2026-11-25".parse().unwrap(), &used);
    assert_eq!(counts(&table), [("*".to_owned(), 1)], "a line that stands twice counts once");
    take(&table, (&whose, &budgets), &["a"], noon()).unwrap().sent();
    assert!(take(&table, (&whose, &budgets), &["a"], noon()).is_err());
}

#[test]
fn counts_of_a_day_ahead_hold_until_the_clock_has_come_there() {
    let (table, whose, budgets) = (table(8), consumer(), budgets(&[("*", 1)]));
    let tools = Glob::parse("*").unwrap();
    let used = Used { purse: whose.clone(), tools, used: 1, calls: 1 };
    table.restore("2026-11-26".parse().unwrap(), &used);
    for now in ["2026-11-25T12:00:00Z", "2026-11-26T12:00:00Z"] {
        assert!(take(&table, (&whose, &budgets), &["a"], at(now)).is_err(), "{now}");
    }
    assert!(take(&table, (&whose, &budgets), &["a"], at("2026-11-27T00:00:00Z")).is_ok());
}
