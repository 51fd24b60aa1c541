use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::{
    boot::BootError,
    entrance::{Entrance, Speaks, Way},
    sockets::Sockets,
    turnstile::Turnstile,
};
use crate::{
    edge::{Certificates, ClientAuthorities, Handshakes},
    host::Socket,
    policy::Places,
    snapshot::{Listener, Snapshot, Tls},
    types::Name,
};

/// The listeners that are open. A reload opens some, closes others, and gives those that stay other
/// certificates or another name; whoever is inside notices nothing.
pub(super) struct Doors {
    /// In the order of the file.
    open: Mutex<Vec<(Key, Open)>>,
    /// To whom accepts on them.
    opening: mpsc::UnboundedSender<Entrance>,
    places: Places,
    handshakes: Arc<Handshakes>,
    sockets: Sockets,
    turnstile: Turnstile,
}

/// Which socket it is. Of those whose port the system chooses, the name tells.
#[derive(Clone, PartialEq, Eq)]
struct Key(SocketAddr, Option<Name>);

struct Open {
    way: Arc<ArcSwap<Way>>,
    address: SocketAddr,
    socket: Socket,
    /// Dropped, it closes the listener.
    _keeps: oneshot::Sender<()>,
}

/// What a configuration asks of the doors, all of which can be done.
pub(super) struct Change {
    /// With the certificates that they are to show, where they go on speaking TLS.
    stay: Vec<(Key, Way, Option<Tls>)>,
    come: Vec<(Key, Open, Entrance)>,
}

impl Change {
    /// The listeners that open.
    pub(super) fn opens(&self) -> impl Iterator<Item = (Name, SocketAddr)> {
        self.come.iter().map(|(_, door, _)| (door.way.load().name().clone(), door.address))
    }
}

impl Doors {
    /// No doors yet, and who is told of those that open.
    pub(super) fn new(
        (places, handshakes): (Places, Arc<Handshakes>),
        (sockets, turnstile): (Sockets, Turnstile),
    ) -> (Self, mpsc::UnboundedReceiver<Entrance>) {
        let (opening, opened) = mpsc::unbounded_channel();
        let open = Mutex::default();
        (Self { open, opening, places, handshakes, sockets, turnstile }, opened)
    }

    /// Binds what isn't bound yet, and changes nothing.
    ///
    /// # Errors
    /// Where a socket can't be bound, or TLS not be set up.
    pub(super) fn prepare(&self, snapshot: &Snapshot) -> Result<Change, BootError> {
        let open = self.lock();
        let mut change = Change { stay: Vec::new(), come: Vec::new() };
        // Another process has the listeners; here are only those who are inside.
        if self.turnstile.is_gone() {
            return Ok(change);
        }
        for listener in &snapshot.listeners {
            let key = Key::of(listener);
            let before = open.iter().find(|(other, _)| *other == key);
            let before = before.map(|(_, door)| door.way.load());
            let shared = (&self.places, &self.handshakes);
            let way = Way::new(listener, shared, before.as_deref().map(|way| &**way))?;
            if before.is_some() {
                change.stay.push((key, way, listener.tls().cloned()));
                continue;
            }
            let way = Arc::new(ArcSwap::from_pointee(way));
            let (keeps, closed) = oneshot::channel();
            let entrance = Entrance::bind(listener, (Arc::clone(&way), closed), &self.sockets);
            let entrance = entrance.map_err(|error| explained(error, listener, &open))?;
            let (address, socket) = (entrance.address()?, entrance.socket());
            change.come.push((key, Open { way, address, socket, _keeps: keeps }, entrance));
        }
        Ok(change)
    }

    /// Opens, closes and renames.
    pub(super) fn change(&self, change: Change) {
        let mut open = self.lock();
        let stays = |key: &Key| change.stay.iter().any(|(stays, ..)| stays == key);
        open.retain(|(key, door)| {
            if !stays(key) {
                self.sockets.withdraw(key.called(&door.way.load()));
            }
            stays(key)
        });
        for (key, way, tls) in change.stay {
            if let Some((speaks, tls)) = way.tls().zip(tls.as_ref()) {
                speaks.replace(tls);
            }
            let door = open.iter().find(|(other, _)| *other == key);
            if let Some((_, door)) = door {
                let before = door.way.swap(Arc::new(way));
                let now = door.way.load();
                let goes_on = |before: &&Speaks| now.tls().is_some_and(|now| now.is(before));
                if let Some(gone) = before.tls().filter(|before| !goes_on(before)) {
                    gone.retire();
                }
            }
        }
        for (key, door, entrance) in change.come {
            let lent = self.sockets.lend(key.called(&door.way.load()), &entrance.handle());
            if let Err(error) = lent {
                let address = door.address;
                tracing::error!(%address, %error, "no other process can take this listener over");
            }
            open.push((key, door));
            // Nobody accepts any more once the drain has begun.
            let _ = self.opening.send(entrance);
        }
    }

    /// The listeners' names and the addresses that they are bound to.
    pub(super) fn addresses(&self) -> Vec<(Name, SocketAddr)> {
        self.lock().iter().map(|(_, door)| (door.way.load().name().clone(), door.address)).collect()
    }

    /// What each TLS listener shows.
    pub(super) fn certificates(&self) -> Vec<(Name, Certificates)> {
        let shown = |(_, door): &(Key, Open)| {
            let way = door.way.load();
            Some((way.name().clone(), way.tls()?.certificates.clone()))
        };
        self.lock().iter().filter_map(shown).collect()
    }

    /// Who answers for the clients of each listener that asks for their certificates.
    pub(super) fn client_authorities(&self) -> Vec<(Name, ClientAuthorities)> {
        let asked = |(_, door): &(Key, Open)| {
            let way = door.way.load();
            Some((way.name().clone(), way.tls()?.clients.clone()?))
        };
        self.lock().iter().filter_map(asked).collect()
    }

    /// The sockets.
    pub(super) fn sockets(&self) -> Vec<Socket> {
        self.lock().iter().map(|(_, door)| door.socket.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Key, Open)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is a listener of our own that has the port: every address of it, or one where all are
/// wanted. The old one is closed once the new one is there, or a file that can't be put in force would
/// leave nobody listening; so the two can't follow one another.
fn explained(error: BootError, listener: &Listener, open: &[(Key, Open)]) -> BootError {
    let in_use = matches!(&error, BootError::Bind { source, .. }
        if source.kind() == std::io::ErrorKind::AddrInUse);
    let wanted = listener.address;
    let meets = |(_, door): &&(Key, Open)| {
        let (has, wants) = (door.address.ip(), wanted.ip());
        door.address.port() == wanted.port() && (has.is_unspecified() || wants.is_unspecified())
    };
    match open.iter().find(meets).filter(|_| in_use) {
        Some((_, door)) => BootError::OwnPort {
            listener: listener.name.to_string(),
            address: wanted,
            other: door.address,
        },
        None => error,
    }
}

impl Key {
    fn of(listener: &Listener) -> Self {
        let Listener { address, name, .. } = listener;
        Self(*address, (address.port() == 0).then(|| name.clone()))
    }

    /// What its socket is called between processes.
    fn called<'w>(&self, way: &'w Way) -> (&'w str, SocketAddr) {
        (way.name().as_str(), self.0)
    }
}
