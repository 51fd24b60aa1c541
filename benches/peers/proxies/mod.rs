//! The proxies, each told to do the same work; a file for each says how.

mod envoy;
mod haproxy;
mod nginx;
mod portcullis;

use std::{
    fmt::Write as _,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{net::TcpStream, time};

use crate::{Ground, Outcome, client::Trust, process::Tree};

/// The key in the path, of the shape that Postiz makes.
pub(crate) const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// Its SHA-256.
const KEY_SHA256: &str = "2a8abfa8cb9906290437854193ca6bca41d4d4e26d1d454bd66a35158095e737";
/// How long a proxy may take until it accepts.
const START: Duration = Duration::from_secs(10);

/// Which proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Portcullis,
    Nginx,
    Haproxy,
    Envoy,
}

/// A running proxy before the server.
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    /// Where it speaks TLS.
    pub(crate) address: SocketAddr,
    pub(crate) tree: Tree,
    _log_sink: UdpSocket,
    _folder: TempDir,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Portcullis, Self::Nginx, Self::Haproxy, Self::Envoy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Portcullis => portcullis::PROGRAM,
            Self::Nginx => nginx::PROGRAM,
            Self::Haproxy => haproxy::PROGRAM,
            Self::Envoy => envoy::PROGRAM,
        }
    }

    /// The command that runs it there, its configuration written.
    fn command(self, site: &Site<'_>) -> Outcome<Command> {
        // Envoy asks the name what language it is; the others don't care.
        let config = site.own.join("config.yaml");
        let text = match self {
            Self::Portcullis => portcullis::config(site),
            Self::Nginx => nginx::config(site),
            Self::Haproxy => haproxy::config(site),
            Self::Envoy => envoy::config(site),
        };
        fs::write(&config, text)?;
        Ok(match self {
            Self::Portcullis => portcullis::command(&config),
            Self::Nginx => nginx::command(&config, site.own),
            Self::Haproxy => haproxy::command(&config),
            Self::Envoy => envoy::command(&config)?,
        })
    }

    fn not_started(self, error: &io::Error) -> String {
        format!("{}: {error}: `make bench-tools` installs what is missing", self.program())
    }

    /// What was compared, in one line.
    pub(crate) fn versions(kinds: &[Self]) -> Outcome<String> {
        let mut line = String::new();
        for kind in kinds {
            write!(line, "{} {}, ", kind.name(), kind.version()?)?;
        }
        Ok(format!("{line}{} cores", std::thread::available_parallelism()?))
    }

    fn version(self) -> Outcome<String> {
        let flag = match self {
            Self::Portcullis => return Ok(env!("CARGO_PKG_VERSION").to_owned()),
            Self::Nginx | Self::Haproxy => "-v",
            Self::Envoy => "--version",
        };
        let said = match Command::new(self.program()).arg(flag).output() {
            Ok(said) => String::from_utf8([said.stdout, said.stderr].concat())?,
            Err(error) => return Err(self.not_started(&error).into()),
        };
        // "nginx version: nginx/1.22.1", "HAProxy version 2.6.12-1 2023/12/16 - ...", and
        // ".../bin/envoy  version: 9e55.../1.40.0/Clean/RELEASE/BoringSSL".
        let words = said.split_whitespace().skip_while(|word| !word.starts_with("version"));
        let mut numbers = words.flat_map(|word| word.split('/')).filter(|word| word.contains('.'));
        Ok(numbers.next().unwrap_or("of an unknown version").to_owned())
    }
}

/// What a proxy is asked to pass on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    /// MCP alone: a gateway for nothing else has no other route.
    Mcp,
    /// Files beside it.
    Files,
    /// MCP where rules say which tools may be called.
    Ruled,
}

/// Where a proxy stands: what it has to be told beside its work.
struct Site<'a> {
    /// Where it is to speak TLS.
    address: SocketAddr,
    server: SocketAddr,
    trust: &'a Trust,
    /// A folder for whatever it writes.
    own: &'a Path,
    /// A socket that takes log lines in and that nobody reads.
    log_sink: SocketAddr,
    serving: Serving,
}

impl Proxy {
    /// Starts a fresh one for MCP, and waits until it accepts.
    pub(crate) async fn start(kind: Kind, ground: &Ground) -> Outcome<Self> {
        Self::start_serving(Serving::Mcp, kind, ground).await
    }

    pub(crate) async fn start_serving(
        serving: Serving,
        kind: Kind,
        Ground { server, trust, .. }: &Ground,
    ) -> Outcome<Self> {
        let (folder, sink) = (tempfile::tempdir()?, UdpSocket::bind(LOCAL)?);
        let site = Site {
            address: free_address()?,
            server: server.address,
            trust,
            own: folder.path(),
            log_sink: sink.local_addr()?,
            serving,
        };
        let (log, errors) = (site.own.join("output.log"), site.own.join("errors.log"));
        let child = kind
            .command(&site)?
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::create(&errors)?)
            .spawn()
            .map_err(|error| kind.not_started(&error))?;
        let (address, tree) = (site.address, Tree::new(child));
        if let Err(late) = time::timeout(START, accepts(address)).await {
            let said = fs::read_to_string(errors)? + &fs::read_to_string(log)?;
            return Err(format!("{} doesn't accept ({late}); it said:\n{said}", kind.name()).into());
        }
        Ok(Self { kind, address, tree, _log_sink: sink, _folder: folder })
    }

    /// One fresh proxy of each kind that takes part.
    pub(crate) async fn start_all(ground: &Ground) -> Outcome<Vec<Self>> {
        let mut all = Vec::new();
        for kind in &ground.kinds {
            all.push(Self::start(*kind, ground).await?);
        }
        Ok(all)
    }
}

const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// An address that was free a moment ago: the peers can't be told to choose one and say which.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind(LOCAL)?.local_addr()?)
}

async fn accepts(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        time::sleep(Duration::from_millis(20)).await;
    }
}
