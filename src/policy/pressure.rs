use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::types::Limit;

/// How much of what the process has is in use: descriptors, and memory. Clones know the same.
#[derive(Clone)]
pub struct Pressure(Arc<Known>);

struct Known {
    descriptors: Descriptors,
    memory_is_short: AtomicBool,
}

/// Which numbers of descriptors are too high. The system gives the lowest that is free, so the number
/// of a new socket says how many are in use: at least as many as it is. Nothing has to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// From here on the connections of clients are too many.
    pub clients: u64,
    /// From here on those to upstreams are too: who was let in shall be served.
    pub upstreams: u64,
    /// How many the process may have.
    pub all: u64,
}

impl Pressure {
    /// Nothing is short yet.
    pub fn new(descriptors: Descriptors) -> Self {
        Self(Arc::new(Known { descriptors, memory_is_short: AtomicBool::new(false) }))
    }

    /// Nothing is ever short.
    pub fn none() -> Self {
        Self::new(Descriptors { clients: u64::MAX, upstreams: u64::MAX, all: u64::MAX })
    }

    /// What is short, as a client's new socket of that number shows.
    pub fn at_the_door(&self, descriptor: i32) -> Option<Limit> {
        if is_from(descriptor, self.0.descriptors.clients) {
            return Some(Limit::Descriptors);
        }
        self.memory_is_short().then_some(Limit::Memory)
    }

    /// How many clients' connections have to go where no descriptor is left. A burst can go past the
    /// mark before those that make way are gone, and from then on new sockets get their low numbers.
    pub fn beyond_the_mark(&self) -> u64 {
        self.0.descriptors.all.saturating_sub(self.0.descriptors.clients)
    }

    /// Whether a new socket to an upstream shows by its number that descriptors are short.
    pub fn of_upstream(&self, descriptor: i32) -> bool {
        is_from(descriptor, self.0.descriptors.upstreams)
    }

    /// Whether memory is short.
    pub fn memory_is_short(&self) -> bool {
        self.0.memory_is_short.load(Ordering::Relaxed)
    }

    /// So much memory is in use, in bytes: short is it from `mark` on, and until it is below `calm`.
    /// Whether that has changed.
    pub fn memory(&self, in_use: u64, (mark, calm): (u64, u64)) -> bool {
        let before = self.memory_is_short();
        let short = if before { in_use >= calm } else { in_use >= mark };
        self.0.memory_is_short.store(short, Ordering::Relaxed);
        short != before
    }
}

fn is_from(descriptor: i32, mark: u64) -> bool {
    u64::try_from(descriptor).is_ok_and(|descriptor| descriptor >= mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_number_shows_that_descriptors_are_short_for_clients_first() {
        let pressure = Pressure::new(Descriptors { clients: 90, upstreams: 95, all: 100 });
        assert_eq!(pressure.at_the_door(89), None);
        assert_eq!(pressure.at_the_door(90), Some(Limit::Descriptors));
        assert_eq!(pressure.beyond_the_mark(), 10);
        assert!(!pressure.of_upstream(94) && pressure.of_upstream(95));
    }

    #[test]
    fn memory_is_short_until_it_is_well_below_the_mark() {
        let pressure = Pressure::none();
        for (in_use, short) in
            [(89, false), (90, true), (89, true), (85, true), (84, false), (89, false)]
        {
            let before = pressure.memory_is_short();
            assert_eq!(pressure.memory(in_use, (90, 85)), before != short, "{in_use}");
            assert_eq!(pressure.at_the_door(3), short.then_some(Limit::Memory), "{in_use}");
        }
    }
}
