use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{observe::EndpointHealth, snapshot::HealthCheck};

/// How long an endpoint is out that couldn't be connected to: first so long, each time twice as
/// long, and no longer than that.
const FIRST_OUT: Duration = Duration::from_secs(1);
const LONGEST_OUT: Duration = Duration::from_secs(30);

/// How long one request has to find out whether an endpoint is back, before another one tries.
const TRIAL: Duration = Duration::from_secs(5);

/// Whether an endpoint is in, for all workers.
///
/// Two things take it out. That no connection can be made to it, where there are others: for a time
/// that grows, at whose end one request tries it. And answers to the questions of `health`, where that
/// is configured, until they are good again. What it answers to clients never does: by a request that
/// a server can't bear one client could take it from all others.
pub(super) struct Standing {
    state: Mutex<State>,
    shown: Option<EndpointHealth>,
}

#[derive(Default)]
struct State {
    asked: Asked,
    /// Answers in a row that speak against what is believed.
    row: u32,
    missed: Option<Missed>,
    /// What was said last: in, but for the beginning.
    said_out: bool,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing yet, or nobody asks.
    #[default]
    Nothing,
    Well,
    Ill,
}

/// No connection could be made.
struct Missed {
    /// So often in a row.
    times: u32,
    until: Instant,
    /// A request has been let through to try it.
    tried: bool,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    In,
    Out,
}

impl Standing {
    /// In, until something speaks against it.
    pub(super) fn new(shown: Option<EndpointHealth>) -> Self {
        if let Some(shown) = &shown {
            shown.set(true);
        }
        Self { state: Mutex::default(), shown }
    }

    /// Whether it is in.
    pub(super) fn is_in(&self) -> bool {
        self.state().is_in()
    }

    /// What came of asking it.
    pub(super) fn asked(&self) -> Asked {
        self.state().asked
    }

    /// Whether a request that has a choice may go there: it is in, or its time is over and this is
    /// the request that tries it.
    pub(super) fn may_be_tried(&self, now: Instant) -> bool {
        let mut state = self.state();
        if state.asked == Asked::Ill {
            return false;
        }
        let Some(missed) = &mut state.missed else { return true };
        let over = now >= missed.until;
        if over {
            missed.until = now + TRIAL;
            missed.tried = true;
        }
        over
    }

    /// A connection was made.
    pub(super) fn reached(&self) -> Option<Change> {
        let mut state = self.state();
        state.missed = None;
        self.changed(&mut state)
    }

    /// No connection could be made. Of many requests that see it at once the first counts.
    pub(super) fn missed(&self, now: Instant) -> Option<Change> {
        let mut state = self.state();
        let times = match &state.missed {
            Some(missed) if missed.tried || now >= missed.until => missed.times.saturating_add(1),
            Some(_) => return None,
            None => 1,
        };
        let longer = 1_u32.checked_shl(times - 1).unwrap_or(u32::MAX);
        let until = now + FIRST_OUT.saturating_mul(longer).min(LONGEST_OUT);
        state.missed = Some(Missed { times, until, tried: false });
        self.changed(&mut state)
    }

    /// It was asked, and its answer was good or not. The first one counts at once. A good one is one
    /// that came: it is connected to again.
    pub(super) fn answered(&self, well: bool, check: &HealthCheck) -> Option<Change> {
        let mut state = self.state();
        let (said, after) = match well {
            true => (Asked::Well, check.healthy_after),
            false => (Asked::Ill, check.unhealthy_after),
        };
        state.row = if state.asked == said { 0 } else { state.row.saturating_add(1) };
        if state.asked == Asked::Nothing || state.row >= after {
            (state.asked, state.row) = (said, 0);
        }
        if state.asked == Asked::Well && well {
            state.missed = None;
        }
        self.changed(&mut state)
    }

    fn changed(&self, state: &mut State) -> Option<Change> {
        let out = !state.is_in();
        if std::mem::replace(&mut state.said_out, out) == out {
            return None;
        }
        if let Some(shown) = &self.shown {
            shown.set(!out);
        }
        Some(if out { Change::Out } else { Change::In })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_in(&self) -> bool {
        self.asked != Asked::Ill && self.missed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn check(healthy_after: u32, unhealthy_after: u32) -> HealthCheck {
        let (interval, timeout) = (SECOND, SECOND);
        HealthCheck { path: "/".into(), interval, timeout, healthy_after, unhealthy_after }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_is_out_for_ever_longer_and_then_one_request_tries_it() {
        let standing = Standing::new(None);
        for (time, seconds) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
            let said = standing.missed(Instant::now());
            assert_eq!(said, (time == 0).then_some(Change::Out));
            // A crowd that saw the same moment is one.
            assert_eq!(standing.missed(Instant::now()), None);
            advance(SECOND * seconds - Duration::from_millis(1)).await;
            assert!(!standing.may_be_tried(Instant::now()), "{seconds}");
            advance(Duration::from_millis(1)).await;
            assert!(standing.may_be_tried(Instant::now()), "{seconds}");
            assert!(!standing.may_be_tried(Instant::now()), "one, and not all");
        }
        assert_eq!(standing.reached(), Some(Change::In));
        assert!(standing.may_be_tried(Instant::now()) && standing.is_in());
        assert_eq!(standing.missed(Instant::now()), Some(Change::Out));
        advance(SECOND).await;
        assert!(standing.may_be_tried(Instant::now()), "it begins with a second again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_nobody_ends_is_followed_by_another() {
        let standing = Standing::new(None);
        standing.missed(Instant::now());
        advance(SECOND).await;
        assert!(standing.may_be_tried(Instant::now()));
        advance(TRIAL).await;
        assert!(standing.may_be_tried(Instant::now()));
    }

    #[tokio::test]
    async fn answers_count_in_rows_and_the_first_at_once() {
        let standing = Standing::new(None);
        let check = check(2, 3);
        let out = |answers: &str| {
            let say = |answer| standing.answered(answer == '+', &check);
            answers.chars().filter_map(say).last()
        };
        assert_eq!((standing.asked(), out("-")), (Asked::Nothing, Some(Change::Out)));
        assert_eq!(out("+-+-+"), None);
        assert_eq!(out("+"), Some(Change::In));
        assert_eq!(out("--+--+--"), None);
        assert_eq!(out("-"), Some(Change::Out));
        assert!(!standing.may_be_tried(Instant::now()), "no time brings it back");
    }

    #[tokio::test]
    async fn a_good_answer_brings_back_what_could_not_be_reached() {
        let standing = Standing::new(None);
        assert_eq!(standing.answered(true, &check(1, 1)), None);
        assert_eq!(standing.missed(Instant::now()), Some(Change::Out));
        assert_eq!(standing.answered(true, &check(1, 1)), Some(Change::In));
    }
}
