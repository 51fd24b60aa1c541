use std::{io, net::SocketAddr, time::Duration};

use rustix::io::Errno;
use tokio::{task::JoinSet, time::timeout};

use super::Unreachable;

/// How long an attempt has to itself before the next address is tried beside it (RFC 8305 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Opens a connection to whichever address answers first, and says which that was, so that
/// a dead one costs a moment and not the whole deadline, which is the caller's. Every attempt ends with
/// the race, also where it is dropped.
///
/// # Errors
/// Where all fail: [`Unreachable::NoRoom`] if one did for want of a descriptor, which says nothing of
/// the peer; otherwise [`Unreachable::Refused`].
pub(super) async fn race<T, A>(
    addresses: Vec<SocketAddr>,
    open: impl Fn(SocketAddr) -> A,
) -> Result<(SocketAddr, T), Unreachable>
where
    T: Send + 'static,
    A: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut attempts = JoinSet::new();
    let mut untried = addresses.into_iter();
    let mut failed = Unreachable::Refused;
    loop {
        if let Some(address) = untried.next() {
            let attempt = open(address);
            attempts.spawn(async move { (address, attempt.await) });
        }
        match timeout(HEAD_START, attempts.join_next()).await {
            Ok(None) => return Err(failed),
            Ok(Some(Ok((address, Ok(opened))))) => return Ok((address, opened)),
            Ok(Some(Ok((address, Err(error))))) => {
                tracing::debug!(%address, %error, "no connection");
                if is_ours(&error) {
                    failed = Unreachable::NoRoom;
                }
            }
            // It takes its time, and goes on doing so beside the next one.
            Ok(Some(Err(_))) | Err(_) => {}
        }
    }
}

/// Whether this process or host has no descriptor left: the peer was never asked.
fn is_ours(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use tokio::{
        task::yield_now,
        time::{Instant, sleep},
    };

    use super::*;

    /// What becomes of an attempt to reach an address.
    #[derive(Clone, Copy, Debug)]
    enum Peer {
        /// It answers after so many milliseconds.
        Answers(u64),
        /// It refuses after so many.
        Refuses(u64),
        /// Packets to it are dropped.
        Silent,
    }
    use Peer::{Answers, Refuses, Silent};

    async fn reach(peer: Peer) -> io::Result<()> {
        let (after, result) = match peer {
            Answers(after) => (after, Ok(())),
            Refuses(after) => (after, Err(io::ErrorKind::ConnectionRefused.into())),
            Silent => pending().await,
        };
        sleep(Duration::from_millis(after)).await;
        result
    }

    /// Who wins, and after how many milliseconds. Peer `n` has port `n`.
    async fn run(peers: &[Peer]) -> (Option<u16>, u128) {
        let address = |(port, _)| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses = (0..).zip(peers).map(address).collect();
        let begun = Instant::now();
        let race = race(addresses, |address| reach(peers[usize::from(address.port())]));
        let won = timeout(Duration::from_secs(5), race).await.ok().and_then(Result::ok);
        (won.map(|(address, ())| address.port()), begun.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_answer_wins_and_a_dead_address_hides_no_living_one() {
        for (peers, winner, after) in [
            (&[Answers(10)][..], Some(0), 10),
            (&[Answers(249), Answers(0)], Some(0), 249),
            (&[Silent, Answers(10)], Some(1), 260),
            (&[Silent, Silent, Silent, Answers(10)], Some(3), 760),
            (&[Answers(300), Silent], Some(0), 300),
            (&[Answers(300), Answers(10)], Some(1), 260),
            (&[Refuses(5), Answers(10)], Some(1), 15),
            (&[Silent, Refuses(5), Answers(10)], Some(2), 265),
            (&[Refuses(300), Refuses(1000)], None, 1250),
            (&[Silent, Refuses(5)], None, 5000),
            (&[], None, 0),
        ] {
            let (won, took) = run(peers).await;
            assert_eq!(won, winner, "{peers:?}");
            // The timer's grain is a millisecond.
            assert!((after..after + 10).contains(&took), "{peers:?} took {took} ms, not {after}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_want_of_descriptors_is_not_taken_for_a_refusal() {
        let refused = Errno::CONNREFUSED;
        for (errors, why) in [
            (&[Errno::MFILE][..], Unreachable::NoRoom),
            (&[Errno::NFILE, refused], Unreachable::NoRoom),
            (&[refused, Errno::MFILE], Unreachable::NoRoom),
            (&[refused, refused], Unreachable::Refused),
        ] {
            let address = |(port, _)| SocketAddr::from(([127, 0, 0, 1], port));
            let addresses = (0..).zip(errors).map(address).collect();
            let fails = |address: SocketAddr| {
                let error = errors[usize::from(address.port())];
                async move { Err::<(), _>(io::Error::from(error)) }
            };
            assert_eq!(race(addresses, fails).await.err(), Some(why), "{errors:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_outlives_the_race() {
        let under_way = Arc::new(());
        let peers = [Silent, Answers(1000)];
        for deadline in [300, 5000] {
            let addresses = (0..2).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
            let race = race(addresses, |address| {
                let held = Arc::clone(&under_way);
                let reach = reach(peers[usize::from(address.port())]);
                async move { reach.await.inspect(|()| drop(held)) }
            });
            let won = timeout(Duration::from_millis(deadline), race).await;
            assert_eq!(won.is_ok(), deadline == 5000);
            while Arc::strong_count(&under_way) > 1 {
                yield_now().await;
            }
        }
    }
}
