//! One process takes over from another: nobody is refused, no call fails, streams live on in the older one,
//! and where the newer one fails the older one goes on as if nothing had been.

mod calls;
mod failing;
mod family;
mod following;
mod manager;
mod state;
mod streams;
mod tls;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    PATIENCE, collect, command, free,
    house::{CALL, House, Resident, Wire, ban, bans, until},
};
