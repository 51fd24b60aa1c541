//! The gateway, and what is done to it.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};
use tokio_rustls::TlsConnector;

use crate::{Outcome, trust};

/// The key of the one consumer, and its digest.
pub(crate) const KEY: &str = "a";
const KEY_SHA256: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

/// How long a change may take until it is in force.
const PATIENCE: Duration = Duration::from_secs(30);

/// Processes, the newest last.
pub(crate) struct Gateway {
    family: Vec<Child>,
    folder: PathBuf,
    server: SocketAddr,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    turn: u32,
    /// Nets, and consumers, of every other file.
    large: (String, String),
}

impl Gateway {
    pub(crate) async fn start(folder: &Path, server: SocketAddr, large: bool) -> Outcome<Self> {
        trust::write(folder)?;
        let (address, admin) = (free()?, free()?);
        let mut gateway = Self {
            family: Vec::new(),
            folder: folder.to_owned(),
            server,
            address,
            admin,
            turn: 0,
            large: if large { crowd() } else { (String::new(), String::new()) },
        };
        gateway.write()?;
        gateway.spawn(&[])?;
        gateway.until(async |gateway| Ok(gateway.ask("/readyz").await?.contains(" 200 "))).await?;
        Ok(gateway)
    }

    /// Another configuration each time.
    fn write(&mut self) -> Outcome<()> {
        self.turn += 1;
        let Self { address, admin, server, folder, turn, large: (nets, consumers), .. } = self;
        let (nets, consumers) = if *turn % 2 == 0 { (&**nets, &**consumers) } else { ("", "") };
        let text = format!(
            r#"
[[listeners]]
name = "https"
address = "{address}"
tls = {{ certificates = [{{ cert = "cert.pem", key = "key.pem" }}] }}

[admin]
address = "{admin}"
socket = "{}/admin.sock"

[limits]
connections = 9500
connections_per_address = 9500
streams_per_address = 9500

[upstreams.server]
endpoints = ["http://{server}"]

[[routes]]
name = "mcp"
paths = ["/api/mcp"]
upstream = "server"
rate = "{turn}000000/s"
max_streams = 9500

[[consumers]]
name = "bench"
key_sha256 = "{KEY_SHA256}"

[access]
deny = [{nets}]
{consumers}
"#,
            folder.display()
        );
        Ok(fs::write(folder.join("portcullis.toml"), text)?)
    }

    fn spawn(&mut self, more: &[&str]) -> Outcome<()> {
        let log = fs::File::create(self.folder.join(format!("log-{}", self.family.len())))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("run").arg("--config").arg(self.folder.join("portcullis.toml")).args(more);
        let child = command.stdin(Stdio::null()).stdout(log).stderr(Stdio::inherit()).spawn()?;
        self.family.push(child);
        Ok(())
    }

    /// By SIGHUP, until it is counted.
    pub(crate) async fn reload(&mut self) -> Outcome<()> {
        let before = self.reloads().await?;
        self.write()?;
        if let Some(newest) = self.family.last() {
            kill_process(Pid::from_child(newest), Signal::HUP)?;
        }
        self.until(async |gateway| Ok(gateway.reloads().await? > before)).await
    }

    async fn reloads(&self) -> Outcome<u64> {
        let metrics = self.ask("/metrics").await?;
        let series = "portcullis_config_reloads_total{outcome=\"applied\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        Ok(line.ok_or("reloads aren't counted")?.parse()?)
    }

    /// Renews the certificate, until a client is shown it.
    pub(crate) async fn swap(&mut self) -> Outcome<()> {
        let new = trust::write(&self.folder)?;
        self.until(async |gateway| {
            let socket = TcpStream::connect(gateway.address).await?;
            let client = TlsConnector::from(trust::client()?);
            let stream = client.connect(ServerName::try_from("localhost")?, socket).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            Ok(shown == Some(&new))
        })
        .await
    }

    /// Another process takes over, until the old one says that it drains.
    pub(crate) async fn upgrade(&mut self) -> Outcome<()> {
        let id = |text: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix("process_start_time_seconds "));
            line.map(str::to_owned)
        };
        let before = id(&self.ask("/metrics").await?);
        self.spawn(&["--upgrade"])?;
        self.until(async |gateway| {
            let ready = gateway.ask("/readyz").await?.contains(" 200 ");
            Ok(ready && id(&gateway.ask("/metrics").await?) != before)
        })
        .await
    }

    /// Revokes the key of all streams, until the last of them has ended.
    pub(crate) async fn revoke(&self, alive: impl Fn() -> usize) -> Outcome<Duration> {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["revoke", "bench", "--socket"]).arg(self.folder.join("admin.sock"));
        let mut child = command.stdout(Stdio::null()).spawn()?;
        while alive() > 0 {
            if begun.elapsed() > PATIENCE {
                return Err("revoked streams go on".into());
            }
            time::sleep(Duration::from_millis(1)).await;
        }
        let took = begun.elapsed();
        child.wait()?;
        Ok(took)
    }

    /// What the newest holds, in KiB.
    pub(crate) fn memory(&self) -> Outcome<u64> {
        let id = self.family.last().ok_or("nobody runs")?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB").parse()?)
    }

    async fn ask(&self, path: &str) -> Outcome<String> {
        let mut socket = TcpStream::connect(self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.admin);
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    async fn until(&self, is_so: impl AsyncFn(&Self) -> Outcome<bool>) -> Outcome<()> {
        let begun = Instant::now();
        loop {
            let last = is_so(self).await;
            match last {
                Ok(true) => return Ok(()),
                _ if begun.elapsed() < PATIENCE => time::sleep(Duration::from_millis(20)).await,
                Ok(false) => return Err("a change doesn't come into force".into()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends all of it.
    pub(crate) async fn end(self) -> Outcome<()> {
        for child in &self.family {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for child in &mut self.family {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A hundred thousand nets and consumers.
fn crowd() -> (String, String) {
    let nets =
        (0..100_000_u32).map(|n| format!("\"10.{}.{}.{}/32\",", n >> 16, n >> 8 & 255, n & 255));
    let consumers = (0..100_000_u32)
        .map(|n| format!("[[consumers]]\nname = \"c{n}\"\nkey_sha256 = \"{n:064x}\"\n"));
    (nets.collect(), consumers.collect())
}

fn free() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
