//! The three proxies, each told to do the same work.

use std::{
    fmt::Write as _,
    fs::{self, File},
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
}

/// A running proxy before the server.
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    /// Where it speaks TLS.
    pub(crate) address: SocketAddr,
    pub(crate) tree: Tree,
    _log_sink: Option<UdpSocket>,
    _folder: TempDir,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Portcullis, Self::Nginx, Self::Haproxy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// How it is called on a command line.
    pub(crate) const fn program_name(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Portcullis => env!("CARGO_BIN_EXE_portcullis"),
            Self::Nginx | Self::Haproxy => self.program_name(),
        }
    }

    /// What was compared, in one line.
    pub(crate) fn versions() -> Outcome<String> {
        let cores = std::thread::available_parallelism()?;
        let mut line = format!("portcullis {}", env!("CARGO_PKG_VERSION"));
        for peer in [Self::Nginx, Self::Haproxy] {
            let said = Command::new(peer.program()).arg("-v").output()?;
            let said = String::from_utf8([said.stdout, said.stderr].concat())?;
            let is_version = |word: &&str| word.contains('.') && word.contains(char::is_numeric);
            let version = said.split_whitespace().find(is_version).unwrap_or("?");
            let version = version.trim_start_matches("nginx/");
            write!(line, ", {} {version}", peer.name())?;
        }
        Ok(format!("{line}; {cores} cores"))
    }
}

impl Proxy {
    /// Starts a fresh one, and waits until it accepts.
    pub(crate) async fn start(kind: Kind, Ground { server, trust, .. }: &Ground) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let (own, address, sink) = (folder.path(), free_address()?, UdpSocket::bind(LOCAL)?);
        let config = own.join("config");
        let text = match kind {
            Kind::Portcullis => portcullis(address, server.address, trust),
            Kind::Nginx => nginx(address, server.address, (trust, own)),
            Kind::Haproxy => haproxy(address, server.address, (trust, sink.local_addr()?)),
        };
        fs::write(&config, text)?;
        let mut command = Command::new(kind.program());
        match kind {
            Kind::Portcullis => command.arg("run").arg("--config").arg(&config),
            Kind::Nginx => command.arg("-e").arg(own.join("error.log")).arg("-c").arg(&config),
            Kind::Haproxy => command.arg("-db").arg("-f").arg(&config),
        };
        let (log, errors) = (own.join("output.log"), own.join("errors.log"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::create(&errors)?)
            .spawn()
            .map_err(|error| format!("{}: {error}: is it installed?", kind.program()))?;
        let tree = Tree::new(child);
        if let Err(late) = time::timeout(START, accepts(address)).await {
            let said = fs::read_to_string(errors)? + &fs::read_to_string(log)?;
            return Err(format!("{} doesn't accept ({late}); it said:\n{said}", kind.name()).into());
        }
        let _log_sink = (kind == Kind::Haproxy).then_some(sink);
        Ok(Self { kind, address, tree, _log_sink, _folder: folder })
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

fn portcullis(address: SocketAddr, server: SocketAddr, trust: &Trust) -> String {
    let (cert, key) = (trust.certificate.display(), trust.key.display());
    format!(
        r#"
[[listeners]]
name = "https"
address = "{address}"
tls = {{ certificates = [{{ cert = "{cert}", key = "{key}" }}] }}

[access]
allow = ["0.0.0.0/0", "::/0"]
deny = ["192.0.2.0/24", "198.51.100.0/24"]

[limits]
connections_per_address = 9000
handshakes = 1024

[upstreams.server]
endpoints = ["http://{server}"]
strip_prefix = "/api"

[[routes]]
name = "mcp"
paths = ["/api/mcp/{{key}}"]
kind = "mcp"
upstream = "server"
allow = ["127.0.0.0/8"]
rate = "1000000/s"
burst = 1000000
max_streams = 9000

[[consumers]]
name = "bench"
key_sha256 = "{KEY_SHA256}"
allow = ["127.0.0.0/8"]
rate = "1000000/s"
"#
    )
}

fn nginx(address: SocketAddr, server: SocketAddr, (trust, own): (&Trust, &Path)) -> String {
    let (cert, key, own) = (trust.certificate.display(), trust.key.display(), own.display());
    format!(
        r#"
daemon off;
worker_processes auto;
pid {own}/pid;
error_log {own}/error.log;
events {{ worker_connections 8000; }}
http {{
    access_log {own}/access.log combined;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    map $uri $mcp_key {{ "~^/api/mcp/(?<segment>[^/]+)" $segment; }}
    limit_req_zone $mcp_key zone=keys:10m rate=1000000r/s;
    upstream server {{
        server {server};
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen {address} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        keepalive_requests 100000000;
        location /api/mcp/ {{
            deny 192.0.2.0/24;
            deny 198.51.100.0/24;
            allow all;
            limit_req zone=keys burst=100000 nodelay;
            proxy_pass http://server/mcp/;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_buffering off;
            proxy_cache off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"#
    )
}

fn haproxy(address: SocketAddr, server: SocketAddr, (trust, log): (&Trust, SocketAddr)) -> String {
    let pair = trust.pair.display();
    format!(
        r#"
global
    log {log} local0
    maxconn 8000
defaults
    mode http
    log global
    option httplog
    option http-keep-alive
    option forwardfor
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
backend keys
    stick-table type string len 80 size 100k expire 1m store http_req_rate(10s)
frontend https
    bind {address} ssl crt {pair} ssl-min-ver TLSv1.2
    acl refused src 192.0.2.0/24 198.51.100.0/24
    tcp-request connection reject if refused
    http-request track-sc0 path,field(4,/) table keys
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 100000000 }}
    http-request set-header X-Forwarded-Proto https
    http-request replace-path /api/(.*) /\1
    default_backend server
backend server
    http-reuse always
    server one {server}
"#
    )
}
