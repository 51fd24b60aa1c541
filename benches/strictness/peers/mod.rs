//! Who is asked, and how each is started: in clear and over TLS, before a server of its own.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{net::TcpStream, time};

use crate::{
    Outcome,
    backend::{Backend, Reached},
    trust::Trust,
};

/// How long a peer may take until it accepts.
const START: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Portcullis,
    Nginx,
    Haproxy,
    Envoy,
    Node,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Portcullis, Self::Nginx, Self::Haproxy, Self::Envoy, Self::Node];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "Portcullis",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Node => "Node",
        }
    }

    /// How it is called on a command line.
    pub(crate) const fn program_name(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Node => "node",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Portcullis => env!("CARGO_BIN_EXE_portcullis"),
            // Where `make bench-tools` puts it.
            Self::Envoy => concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/.venv/bin/envoy"),
            Self::Nginx | Self::Haproxy | Self::Node => self.program_name(),
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Self::Portcullis => include_str!("portcullis.toml"),
            Self::Nginx => include_str!("nginx.conf"),
            Self::Haproxy => include_str!("haproxy.cfg"),
            Self::Envoy => include_str!("envoy.yaml"),
            Self::Node => include_str!("node.js"),
        }
    }

    fn command(self, config: &Path) -> Command {
        let mut command = Command::new(self.program());
        match self {
            Self::Portcullis => command.arg("run").arg("--config"),
            Self::Nginx => command.args(["-e", "stderr", "-c"]),
            Self::Haproxy => command.args(["-db", "-f"]),
            Self::Envoy => command.args([
                "--log-level",
                "error",
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--config-path",
            ]),
            Self::Node => &mut command,
        };
        command.arg(config);
        command
    }

    /// What it says of its version, where it is somebody else's.
    pub(crate) fn version(self) -> Outcome<String> {
        let flag = match self {
            Self::Portcullis => return Ok(format!("Portcullis {}", env!("CARGO_PKG_VERSION"))),
            Self::Nginx | Self::Haproxy => "-v",
            Self::Envoy | Self::Node => "--version",
        };
        let said = Command::new(self.program()).arg(flag).output();
        let said = said.map_err(|error| self.not_started(&error))?;
        let said = String::from_utf8([said.stdout, said.stderr].concat())?;
        // "nginx/1.22.1", "2.6.12-1", "v20.20.2", and "9e55.../1.40.0/Clean/RELEASE/BoringSSL".
        let is_version = |part: &&str| {
            part.contains('.') && part.trim_start_matches('v').starts_with(char::is_numeric)
        };
        let found =
            said.split([' ', '/', '\n']).find(is_version).unwrap_or("of an unknown version");
        Ok(format!("{} {}", self.name(), found.trim_start_matches('v')))
    }

    fn not_started(self, error: &io::Error) -> String {
        format!("{}: {error}: `make bench-tools` installs what is missing", self.program())
    }
}

/// One that runs.
pub(crate) struct Peer {
    kind: Kind,
    /// Where it speaks HTTP/1.1 in clear.
    pub(crate) clear: SocketAddr,
    /// Where it speaks HTTP/2 over TLS.
    pub(crate) tls: SocketAddr,
    backend: Backend,
    child: Child,
    folder: TempDir,
    /// How many of Node's notes were read.
    read: usize,
}

impl Peer {
    /// Starts it, and waits until it accepts.
    pub(crate) async fn start(kind: Kind, trust: &Trust) -> Outcome<Self> {
        let (folder, backend) = (tempfile::tempdir()?, Backend::start().await?);
        let (clear, tls) = free_addresses()?;
        // Envoy and Node ask the name what language it is; the others don't care.
        let name = if kind == Kind::Node { "config.js" } else { "config.yaml" };
        let config = folder.path().join(name);
        let text = kind
            .template()
            .replace("@clear@", &clear.port().to_string())
            .replace("@tls@", &tls.port().to_string())
            .replace("@server@", &backend.address.port().to_string())
            .replace("@certificate@", &trust.certificate.display().to_string())
            .replace("@key@", &trust.key.display().to_string())
            .replace("@pair@", &trust.pair.display().to_string())
            .replace("@own@", &folder.path().display().to_string());
        fs::write(&config, text)?;
        let log = folder.path().join("output.log");
        let child = kind
            .command(&config)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()
            .map_err(|error| kind.not_started(&error))?;
        let peer = Self { kind, clear, tls, backend, child, folder, read: 0 };
        if let Err(late) = time::timeout(START, peer.accepts()).await {
            let said = fs::read_to_string(log)?;
            return Err(format!("{} doesn't accept ({late}); it said:\n{said}", kind.name()).into());
        }
        // Who checks what is behind it has done so.
        peer.backend.reached().await;
        Ok(peer)
    }

    async fn accepts(&self) {
        for address in [self.clear, self.tls] {
            while TcpStream::connect(address).await.is_err() {
                time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// What reached the server behind it since this was last asked.
    pub(crate) async fn reached(&mut self) -> Reached {
        let reached = self.backend.reached().await;
        if self.kind != Kind::Node {
            return reached;
        }
        let notes = fs::read(self.folder.path().join("notes")).unwrap_or_default();
        let new = notes.get(self.read..).unwrap_or_default();
        self.read = notes.len();
        let count = |what: u8| new.iter().filter(|note| **note == what).count();
        Reached { heads: count(b'H'), wholes: count(b'F'), ..Reached::default() }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two that were free a moment ago: the peers can't be told to choose and say which.
fn free_addresses() -> Outcome<(SocketAddr, SocketAddr)> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (free()?, free()?);
    Ok((one.local_addr()?, other.local_addr()?))
}
