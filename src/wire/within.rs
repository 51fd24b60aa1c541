use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::time::Sleep;

/// Runs a future, and `timer` beside it: `None` when the timer is first.
///
/// The timer is made when the future first has to wait, which most reads and writes never do: a timer
/// costs two readings of the clock and two turns of a lock.
pub async fn within<F: Future>(timer: impl FnOnce() -> Sleep, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut running = pin!(None);
    let mut timer = Some(timer);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        if let Some(timer) = timer.take() {
            running.set(Some(timer()));
        }
        match running.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_needs_no_timer_and_what_waits_has_until_it_ends() {
        let second = Duration::from_secs(1);
        let ready = within(|| panic!("no timer is needed"), async { 7 }).await;
        assert_eq!(ready, Some(7));
        let started = Instant::now();
        assert_eq!(within(|| sleep(second), pending::<()>()).await, None);
        assert_eq!(started.elapsed(), second);
        assert_eq!(within(|| sleep(2 * second), sleep(second)).await, Some(()));
    }
}
