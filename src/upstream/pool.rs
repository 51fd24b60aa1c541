use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::wire::{Connection, Transport};

/// Node closes an idle connection after 5 s. One kept longer is a request sent into a closing
/// socket, and a `tools/call` can't be sent twice.
const MAX_IDLE: Duration = Duration::from_secs(4);

/// Idle connections kept to one server. More than this came from a burst and aren't worth keeping.
const MAX_KEPT: usize = 256;

/// Connections that wait for their next request, the freshest last.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection<Transport>,
    since: Instant,
}

impl Pool {
    /// The freshest connection that is still quiet.
    pub(super) fn take(&self) -> Option<Connection<Transport>> {
        loop {
            let Idle { connection, since } = self.lock().pop()?;
            if since.elapsed() < MAX_IDLE && connection.stream().is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn keep(&self, mut connection: Connection<Transport>) {
        // Bytes behind the answer belong to no request; the next one would read them as its own.
        if !connection.buffer().is_empty() {
            return;
        }
        let mut idle = self.lock();
        // The oldest would be closed first anyway.
        let surplus = (idle.len() >= MAX_KEPT).then(|| idle.remove(0));
        idle.push(Idle { connection, since: Instant::now() });
        drop((idle, surplus));
    }

    /// Closes what was idle for too long.
    pub(super) fn sweep(&self) {
        let mut idle = self.lock();
        let stale = idle.partition_point(|entry| entry.since.elapsed() >= MAX_IDLE);
        let closed: Vec<Idle> = idle.drain(..stale).collect();
        drop(idle);
        // Closing sockets outside the lock: it may take a system call each.
        drop(closed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
