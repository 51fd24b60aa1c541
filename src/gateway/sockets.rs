use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::boot::{self, BootError};
use crate::{
    admin::{self, SocketFile},
    host,
};

/// The listening sockets of a process by what the configuration calls them: those that an older one
/// has handed over, and those that it will hand over itself.
#[derive(Clone, Default)]
pub(super) struct Sockets {
    taken: Arc<Mutex<Vec<Named>>>,
    lent: Lent,
}

/// A listening socket and its address in the configuration.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) socket: OwnedFd,
}

/// Second handles of all that is listened on, for the process that takes over. While there are any, the
/// sockets are open.
#[derive(Clone, Default)]
pub(super) struct Lent(Arc<Mutex<Vec<Named>>>);

impl Sockets {
    /// With what was handed over.
    pub(super) fn taken(taken: Vec<Named>) -> Self {
        Self { taken: Arc::new(taken.into()), lent: Lent::default() }
    }

    /// The socket of an address: the older process's, or a new one. It isn't lent yet.
    pub(super) fn tcp(
        &self,
        listener: &str,
        address: SocketAddr,
    ) -> Result<TcpListener, BootError> {
        match self.take(&called(listener, address)) {
            Some(socket) => checked(socket, address),
            None => boot::bind(listener, address),
        }
    }

    /// The process that takes over gets this one too.
    pub(super) fn lend(
        &self,
        (listener, address): (&str, SocketAddr),
        socket: &impl AsFd,
    ) -> io::Result<()> {
        self.lent.add(called(listener, address), socket)
    }

    /// This one is closed: nobody gets it any more.
    pub(super) fn withdraw(&self, (listener, address): (&str, SocketAddr)) {
        self.lent.remove(&called(listener, address));
    }

    /// The same of a socket of this machine, with its file.
    pub(super) fn unix(&self, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        let name = path.display().to_string();
        let (socket, file) = match self.take(&name) {
            Some(socket) => {
                if !host::is_listening(socket.as_fd()) {
                    return Err(io::Error::other("what was handed over isn't listened on"));
                }
                (UnixListener::from(socket), SocketFile::of(path)?)
            }
            None => admin::bind(path)?,
        };
        self.lent.add(name, &socket)?;
        Ok((socket, file))
    }

    /// What is to be handed over.
    pub(super) fn lent(&self) -> Lent {
        self.lent.clone()
    }

    /// Closes what was handed over and isn't listened on any more.
    pub(super) fn close_rest(&self) {
        self.all_taken().clear();
    }

    fn take(&self, name: &str) -> Option<OwnedFd> {
        let mut taken = self.all_taken();
        let at = taken.iter().position(|taken| taken.name == name)?;
        Some(taken.remove(at).socket)
    }

    fn all_taken(&self) -> MutexGuard<'_, Vec<Named>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a listener's socket is called between processes. Where the system chooses the port, only the
/// listener's name tells it from another.
fn called(listener: &str, address: SocketAddr) -> String {
    if address.port() == 0 { format!("{address} {listener}") } else { address.to_string() }
}

/// A socket that was handed over, if it is what it is called.
fn checked(socket: OwnedFd, address: SocketAddr) -> Result<TcpListener, BootError> {
    let listens = host::is_listening(socket.as_fd());
    let socket = TcpListener::from(socket);
    let is_at = |bound: SocketAddr| {
        bound.ip() == address.ip() && (address.port() == 0 || bound.port() == address.port())
    };
    if listens && socket.local_addr().is_ok_and(is_at) {
        return Ok(socket);
    }
    Err(BootError::Upgrade(format!("what was handed over for {address} doesn't listen there")))
}

impl Lent {
    /// One more.
    fn add(&self, name: String, socket: &impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        self.all().push(Named { name, socket });
        Ok(())
    }

    /// One less.
    fn remove(&self, name: &str) {
        self.all().retain(|named| named.name != name);
    }

    /// Closes them.
    pub(super) fn close(&self) {
        self.all().clear();
    }

    /// What `hand` makes of their names and handles. `None` where there is nothing to hand over.
    pub(super) fn with<T>(
        &self,
        hand: impl FnOnce(Vec<&str>, &[BorrowedFd<'_>]) -> T,
    ) -> Option<T> {
        let all = self.all();
        let names = all.iter().map(|named| named.name.as_str()).collect();
        let handles: Vec<_> = all.iter().map(|named| named.socket.as_fd()).collect();
        (!all.is_empty()).then(|| hand(names, &handles))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Named>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
