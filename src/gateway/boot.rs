use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted. The kernel cuts it to `somaxconn`.
const BACKLOG: i32 = 4096;

/// Why the gateway can't start, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A socket that can't be bound.
    #[error("listener `{listener}`: can't listen on {address}: {}", hint(.source))]
    Bind {
        /// The listener's name.
        listener: String,
        /// Its address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A socket that can't be bound while another listener of this process is open.
    #[error(
        "listener `{listener}`: can't listen on {address} while this process listens on {other}; an \
         address and all addresses of one port follow one another by a restart or an upgrade alone, \
         or by way of a file without either"
    )]
    OwnPort {
        /// The listener's name.
        listener: String,
        /// Its address.
        address: SocketAddr,
        /// That of the one that is open.
        other: SocketAddr,
    },
    /// A bound socket that can't be used.
    #[error("a listening socket can't be used: {0}")]
    Socket(io::Error),
    /// A TLS listener that can't be set up.
    #[error("listener `{listener}`: TLS can't be set up: {source}")]
    Tls {
        /// The listener's name.
        listener: String,
        /// What the TLS library said.
        source: rustls::Error,
    },
    /// The state directory can't be used.
    #[error("[state] dir: {}: {source}; it has to exist and be writable by this user", .path.display())]
    State {
        /// The file in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A kept file that keeps somebody out can't be read whole.
    #[error(
        "[state] dir: {}: {source}; mend the file, or remove it and revoke again who has to be",
        .path.display()
    )]
    Kept {
        /// The file in question.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// Who is revoked was marked by another salt.
    #[error(
        "[state] dir: {}: the file `fingerprint-salt` beside it is another than when these keys were \
         revoked, so none of them would be known again; put the old one back, or remove this file and \
         revoke again who has to be",
        .0.display()
    )]
    Salt(PathBuf),
    /// The admin socket can't be made.
    #[error("[admin] socket: {}: {source}", .path.display())]
    AdminSocket {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The audit can't be written.
    #[error(
        "[audit] file: {file}: {source}; it has to be a plain file, or none yet, in a directory that exists and is writable by this user"
    )]
    Audit {
        /// The file.
        file: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Nobody could be found to take over from.
    #[error(
        "--upgrade: the running process is found by its admin socket; add to [admin]: \
         socket = \"/run/portcullis/admin.sock\", and restart once"
    )]
    NoFamily,
    /// The running process can't be taken over from.
    #[error("--upgrade: {0}; the running process goes on")]
    Upgrade(String),
    /// There is no randomness to be had.
    #[error("the system gives no random bytes")]
    Random,
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use; `ss -ltnp` tells by whom".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "no permission; ports below 1024 need CAP_NET_BIND_SERVICE (the systemd unit has it)"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine doesn't have that address".to_owned(),
        _ => error.to_string(),
    }
}

/// Binds a listening socket.
pub(super) fn bind(listener: &str, address: SocketAddr) -> Result<TcpListener, BootError> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for connections of the last process to time out.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    bound().map_err(|source| BootError::Bind { listener: listener.to_owned(), address, source })
}
