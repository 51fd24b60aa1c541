//! The siege: what the gateway is attacked by, and a friend who is answered meanwhile.
//!
//! Each attack has a gateway of its own, the real binary as a process, so that what is left of the
//! memory is that attack's. It is attacked twice: what a cache or an allocator keeps is kept after
//! the first round, and what grows again in the second is a leak. Attackers have one thread, all of
//! them together, and each waits for its own turn (a closed loop): on a small machine an attacker
//! without bound would measure the machine.
//!
//! `tests/siege.rs` does it in seconds, `make siege` at length; both include this file.

pub(crate) mod attacks;
mod door;
mod field;
mod friend;
mod gateway;
mod pouring;
mod upstream;
mod verdict;
mod wire;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::{
    attacks::Attack,
    field::Field,
    friend::{Calls, Friend},
    gateway::Gateway,
    upstream::Upstream,
};
#[allow(unused_imports, reason = "the table of `make siege` names them")]
pub(crate) use self::{gateway::Resources, verdict::Row};

/// What goes wrong with the siege itself ends it: half a proof is none.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How hard and how long.
#[derive(Clone, Debug)]
pub(crate) struct Force {
    /// How long the friend is timed alone.
    pub(crate) quiet: Duration,
    /// How long each round takes, where it isn't counted.
    pub(crate) rounds: [Duration; 2],
    /// Sockets that an attack holds at once.
    pub(crate) sockets: u32,
    /// How often a slow attacker says a little more.
    pub(crate) pace: Duration,
    /// Keys that are made up, in each round.
    pub(crate) keys: [u32; 2],
    /// Of these, so many come on a connection and from an address of their own; the others share
    /// the addresses that a trusted proxy names.
    pub(crate) strangers: u32,
    pub(crate) forwarded_addresses: u32,
    /// The size of a body that is a bomb, in bytes.
    pub(crate) body: usize,
    /// Event streams that are opened and abandoned at once.
    pub(crate) streams: u32,
    /// Whether slowhttptest attacks too, with 4,000 connections.
    pub(crate) slowhttptest: bool,
    /// Whether it matters how fast the friend is answered. It doesn't where tests share a machine.
    pub(crate) is_timed: bool,
}

/// Set when whoever waits has had enough. Everything that was started ends then.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Attacks a gateway, and says how it fared.
///
/// # Errors
/// Where the siege itself can't go on. What the gateway does wrong is in the row.
pub(crate) fn lay(attack: Attack, force: &Force) -> Outcome<Row> {
    let upstream = Upstream::start()?;
    let gateway = Gateway::start(upstream.address, &attack.terms())?;
    let begun = gateway.resources()?;
    let alone = Friend::begin(gateway.door()?, attack.has_guest());
    rest(force.quiet)?;
    let quiet = alone.end()?;
    // The friend's connections upstream are kept for a few seconds, and may stay.
    let before = gateway.settles(|now| now.descriptors <= begun.descriptors + 2)?;
    let mut row = Row::new(attack, force, (before, quiet));
    for round in 0..2 {
        let (calls, field) = one_round(attack, force, round, &gateway)?;
        row.peak = gateway.peak()?;
        let after = gateway.settles(|now| row.is_back(now))?;
        row.add(calls, &field, after);
    }
    row.said = gateway.said_of_itself()?;
    Ok(row)
}

/// One round: the attackers on a thread, the friend on another.
fn one_round(
    attack: Attack,
    force: &Force,
    round: usize,
    gateway: &Gateway,
) -> Outcome<(Calls, Arc<Field>)> {
    let friend = Friend::begin(gateway.door()?, attack.has_guest());
    let field = Arc::new(Field::new(gateway.door()?, force.clone(), round));
    let attackers = {
        let field = Arc::clone(&field);
        thread::spawn(move || attack.until_the_end(&field))
    };
    attackers.join().map_err(|_| "an attacker panicked")??;
    Ok((friend.end()?, field))
}

/// Waits, unless the siege is over.
fn rest(how_long: Duration) -> Outcome<()> {
    let begun = Instant::now();
    while begun.elapsed() < how_long {
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        thread::sleep(Duration::from_millis(20).min(how_long));
    }
    Ok(())
}
