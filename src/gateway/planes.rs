use std::{net::SocketAddr, os::unix::net::UnixListener, sync::Arc};

use tokio::{net, sync::mpsc};

use super::boot::{self, BootError};
use crate::{
    admin::{self, App, Control, Listening, Readiness, ReloadAsked, SocketFile},
    proxy::State,
    snapshot::Snapshot,
};

/// The address and the socket of the admin plane, bound and not served yet.
pub(super) struct Planes {
    address: Option<std::net::TcpListener>,
    socket: Option<UnixListener>,
}

impl Planes {
    /// Binds what the configuration has. The file of the socket is there as long as what comes with it.
    pub(super) fn bind(snapshot: &Snapshot) -> Result<(Self, Option<SocketFile>), BootError> {
        let address = snapshot.admin.map(|address| boot::bind("admin", address)).transpose()?;
        let bound = snapshot.admin_socket.as_ref().map(|path| {
            let failed = |source| BootError::AdminSocket { path: path.clone(), source };
            admin::bind(path).map_err(failed)
        });
        let (socket, file) = bound.transpose()?.unzip();
        Ok((Self { address, socket }, file))
    }

    /// Where the address is.
    pub(super) fn address(&self) -> Result<Option<SocketAddr>, BootError> {
        let address = self.address.as_ref().map(std::net::TcpListener::local_addr);
        address.transpose().map_err(BootError::Socket)
    }

    /// Both answer until the process ends, so that a drain can be watched.
    pub(super) fn serve(
        self,
        state: &State,
        readiness: Readiness,
        reload: mpsc::Sender<ReloadAsked>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let monitor = admin::monitor(state.metrics.clone(), readiness, Arc::clone(&state.world));
        let control = admin::control(Control {
            bans: Arc::clone(&state.bans),
            revocations: Arc::clone(&state.revocations),
            living: state.living.clone(),
            fingerprints: Arc::clone(&state.fingerprints),
            audit: state.audit.as_ref().map(|auditor| auditor.sink.clone()),
            world: Arc::clone(&state.world),
            reload,
            metrics: state.metrics.clone(),
        });
        async move {
            let address = self
                .address
                .map(|socket| net::TcpListener::from_std(socket).map(Listening::Address));
            let socket = self
                .socket
                .map(|socket| net::UnixListener::from_std(socket).map(Listening::Socket));
            tokio::join!(serve(address, monitor), serve(socket, control));
        }
    }
}

async fn serve(listening: Option<std::io::Result<Listening>>, app: App) {
    match listening {
        Some(Ok(listening)) => admin::serve(listening, app, std::future::pending()).await,
        Some(Err(error)) => tracing::error!(%error, "the admin plane can't be served"),
        None => {}
    }
}
