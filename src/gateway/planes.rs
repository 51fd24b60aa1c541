use std::{io, net::SocketAddr, os::unix::net::UnixListener, sync::Arc};

use tokio::{net, sync::mpsc};
use tokio_util::task::TaskTracker;

use super::{boot::BootError, sockets::Sockets, turnstile::Turnstile, upgrade::Departure};
use crate::{
    admin::{self, App, Control, Listening, Readiness, ReloadAsked, SocketFile},
    proxy::State,
    snapshot::Snapshot,
};

/// The address and the socket of the admin plane, bound and not served yet.
pub(super) struct Planes {
    address: Option<std::net::TcpListener>,
    socket: Option<UnixListener>,
    /// What is being answered on the socket.
    pub(super) answering: TaskTracker,
}

impl Planes {
    /// Binds what the configuration has. The file of the socket is there as long as what comes with it.
    pub(super) fn bind(
        snapshot: &Snapshot,
        sockets: &Sockets,
    ) -> Result<(Self, Option<SocketFile>), BootError> {
        let bind = |address| {
            let socket = sockets.tcp("admin", address)?;
            sockets.lend(("admin", address), &socket).map_err(BootError::Socket)?;
            Ok(socket)
        };
        let address = snapshot.admin.map(bind).transpose()?;
        let bound = snapshot.admin_socket.as_ref().map(|path| {
            let failed = |source| BootError::AdminSocket { path: path.clone(), source };
            sockets.unix(path).map_err(failed)
        });
        let (socket, file) = bound.transpose()?.unzip();
        Ok((Self { address, socket, answering: TaskTracker::new() }, file))
    }

    /// Where the address is.
    pub(super) fn address(&self) -> Result<Option<SocketAddr>, BootError> {
        let address = self.address.as_ref().map(std::net::TcpListener::local_addr);
        address.transpose().map_err(BootError::Socket)
    }

    /// Both answer until the process ends, so that a drain can be watched, or until another process
    /// does. Where this one alone is asked, it always answers.
    pub(super) fn serve(
        self,
        state: &State,
        readiness: Readiness,
        (reload, departure): (mpsc::Sender<ReloadAsked>, &mut Departure),
    ) -> impl Future<Output = ()> + Send + 'static {
        let monitor = admin::monitor(state.metrics.clone(), readiness, Arc::clone(&state.world));
        let asked = Control {
            is_own: false,
            bans: Arc::clone(&state.bans),
            revocations: Arc::clone(&state.revocations),
            living: state.living.clone(),
            fingerprints: Arc::clone(&state.fingerprints),
            audit: state.audit.as_ref().map(|auditor| auditor.sink.clone()),
            world: Arc::clone(&state.world),
            reload,
            metrics: state.metrics.clone(),
            leases: state.leases.clone(),
        };
        let control = admin::control(Control { is_own: true, ..asked.clone() });
        let at_large = admin::control(asked);
        let for_all = match departure.family() {
            Some(family) => admin::for_all(at_large, family),
            None => at_large,
        };
        let (turnstile, own) = (departure.turnstile.clone(), departure.own_socket());
        async move {
            let address = self.address.map(Bound::Address);
            let socket = self.socket.map(Bound::Socket);
            let always = Turnstile::new();
            tokio::join!(
                serve(address, monitor, (&self.answering, &turnstile)),
                serve(socket, for_all, (&self.answering, &turnstile)),
                serve(own.map(Bound::Socket), control, (&self.answering, &always)),
            );
        }
    }
}

/// A socket of the admin plane.
enum Bound {
    Address(std::net::TcpListener),
    Socket(UnixListener),
}

impl Bound {
    /// A handle to listen with.
    fn listening(&self) -> io::Result<Listening> {
        Ok(match self {
            Self::Address(socket) => {
                Listening::Address(net::TcpListener::from_std(socket.try_clone()?)?)
            }
            Self::Socket(socket) => {
                Listening::Socket(net::UnixListener::from_std(socket.try_clone()?)?)
            }
        })
    }
}

async fn serve(bound: Option<Bound>, app: App, (answering, turnstile): (&TaskTracker, &Turnstile)) {
    let Some(bound) = bound else { return };
    while turnstile.opens().await {
        match bound.listening() {
            Ok(listening) => {
                admin::serve(listening, app.clone(), (answering, turnstile.shuts())).await;
            }
            Err(error) => return tracing::error!(%error, "the admin plane can't be served"),
        }
    }
}
