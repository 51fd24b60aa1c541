use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// What the service manager is told (sd_notify(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It serves, or does again after a reload.
    Ready,
    /// It reads its configuration anew.
    Reloading,
    /// It ends.
    Stopping,
    /// Another process is the service from now on.
    MainProcess(i32),
}

/// Tells the service manager, where there is one. Nobody waits for it, and what can't be told changes
/// nothing.
pub fn notify(notice: Notice) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    let told = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text(notice).as_bytes(), &address)
    });
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager can't be told");
    }
}

fn text(notice: Notice) -> String {
    match notice {
        Notice::Ready => "READY=1\n".to_owned(),
        // It takes no answer to a reload that was told before the reload began.
        Notice::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}\n", microseconds()),
        Notice::Stopping => "STOPPING=1\n".to_owned(),
        Notice::MainProcess(pid) => format!("MAINPID={pid}\n"),
    }
}

fn microseconds() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
