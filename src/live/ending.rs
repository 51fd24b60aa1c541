use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::types::Denial;

/// Where something that lives is told to end, and waits for that. One task waits.
#[derive(Default)]
pub(super) struct Ending(Mutex<State>);

#[derive(Default)]
struct State {
    why: Option<Denial>,
    waiter: Option<Waker>,
}

impl Ending {
    /// Ends it. `false` where it has been told before: the first reason stays.
    pub(super) fn end(&self, why: Denial) -> bool {
        let mut state = self.state();
        let first = state.why.is_none();
        if first {
            state.why = Some(why);
        }
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        first
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Denial> {
        let mut state = self.state();
        if let Some(why) = state.why {
            return Poll::Ready(why);
        }
        if !state.waiter.as_ref().is_some_and(|waiter| waiter.will_wake(cx.waker())) {
            state.waiter = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Nobody waits any more. A waiter that stayed would keep the memory of its task.
    pub(super) fn forget(&self) {
        self.state().waiter = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
