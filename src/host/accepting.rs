use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{self, Instant},
};

use crate::types::Draining;

/// How long accepting rests when the process is out of descriptors or memory. What waits in the
/// backlog goes on waiting; spinning would only take the processor from those who could end.
const REST: Duration = Duration::from_millis(50);

/// How often it is said that accepting fails: it may for hours, 20 times a second.
const SAID: Duration = Duration::from_secs(10);

/// Accepts connections until the drain begins, and hands each over without waiting for it. `starved`
/// is called each time that the process couldn't have one more.
pub async fn accept_all(
    listener: &TcpListener,
    mut draining: Draining,
    (take, starved): (impl Fn(TcpStream, SocketAddr), impl Fn()),
) {
    let mut failures = Failures::default();
    loop {
        let accepted = tokio::select! {
            // First, or a socket that another process has by now would be accepted from.
            biased;
            () = draining.begun() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => take(socket, peer),
            // Gone before it was accepted: nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if let Some(times) = failures.one_more(Instant::now()) {
                    tracing::error!(%error, times, "can't accept");
                }
                starved();
                time::sleep(REST).await;
            }
        }
    }
}

/// What failed and wasn't said yet.
#[derive(Default)]
struct Failures {
    unsaid: u64,
    said: Option<Instant>,
}

impl Failures {
    /// One more; how many there were since the last time, where it is time to say so.
    fn one_more(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now - said < SAID) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_all_the_time_is_said_now_and_then_with_a_count() {
        let (mut failures, begin) = (Failures::default(), Instant::now());
        let said = (0..400_u32).filter_map(|turn| failures.one_more(begin + turn * REST));
        assert_eq!(said.collect::<Vec<_>>(), [1, 200]);
    }
}
