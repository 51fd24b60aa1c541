//! The gateway as a process, what the kernel says of it, and its end.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use portcullis::types::Secret;
use tempfile::TempDir;

use super::{
    Outcome,
    door::{Door, FRIEND, FRIENDS_KEY, INSIDERS_KEY, TRUSTED_PROXY, Trust},
    rest,
};

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(20);
/// How long it may take until memory and descriptors are back.
const SETTLE: Duration = Duration::from_secs(15);

/// What differs in its configuration, for an attack that would else end at a cap.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) connections_per_address: u32,
    pub(crate) max_streams: u32,
    /// How long a client may not read; the default is half a minute.
    pub(crate) write_stall: &'static str,
}

/// A running gateway. It ends when this is dropped.
pub(crate) struct Gateway {
    child: Child,
    addresses: [SocketAddr; 3],
    trust: Trust,
    errors: PathBuf,
    _folder: TempDir,
}

/// What it holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resources {
    /// Resident memory in KiB.
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
}

impl Gateway {
    pub(crate) fn start(upstream: SocketAddr, terms: &Terms) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let trust = Trust::write_to(folder.path())?;
        let file = folder.path().join("portcullis.toml");
        fs::write(&file, config(folder.path(), upstream, terms))?;
        let errors = folder.path().join("stderr");
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "--config"])
            .arg(&file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()?;
        let out = child.stdout.take().ok_or("no standard output")?;
        // From here on it ends with this value, whatever goes wrong.
        let nowhere = SocketAddr::from(([0; 4], 0));
        let mut gateway = Self { child, addresses: [nowhere; 3], trust, errors, _folder: folder };
        gateway.addresses = listening(out)?;
        let begun = Instant::now();
        while !gateway.is_ready() {
            if begun.elapsed() > START {
                return Err("the gateway doesn't come up".into());
            }
            rest(Duration::from_millis(10))?;
        }
        Ok(gateway)
    }

    fn is_ready(&self) -> bool {
        self.ask_admin("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn ask_admin(&self, path: &str) -> Outcome<String> {
        let [_, _, admin] = self.addresses;
        let mut socket = TcpStream::connect(admin)?;
        socket.set_read_timeout(Some(START))?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn door(&self) -> Outcome<Door> {
        let [https, http, _] = self.addresses;
        self.trust.door(https, http)
    }

    pub(crate) fn resources(&self) -> Outcome<Resources> {
        let memory = self.status("VmRSS:")?;
        let all = fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        Ok(Resources { memory, descriptors: all.count().try_into()? })
    }

    /// The most memory that was resident so far, in KiB.
    pub(crate) fn peak(&self) -> Outcome<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Outcome<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path)?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let size = line.and_then(|rest| rest.split_whitespace().next());
        Ok(size.ok_or("the gateway is dead")?.parse()?)
    }

    /// Waits until what it holds is as it should be, or long enough. Gives what it holds then.
    pub(crate) fn settles(&self, is_back: impl Fn(Resources) -> bool) -> Outcome<Resources> {
        let begun = Instant::now();
        loop {
            let now = self.resources()?;
            if is_back(now) || begun.elapsed() > SETTLE {
                return Ok(now);
            }
            rest(Duration::from_millis(50))?;
        }
    }

    /// What it wrote to standard error about panics. Fails where it has nothing to say to the
    /// admin any more.
    pub(crate) fn said_of_itself(&self) -> Outcome<String> {
        if !self.is_ready() || !self.ask_admin("/metrics")?.contains("portcullis_requests_total") {
            return Err("the gateway shows no metrics any more".into());
        }
        let said = fs::read_to_string(&self.errors)?;
        Ok(if said.contains("panicked") { said } else { String::new() })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where it listens, by its log. The rest of the log is read away, as whoever collects logs does it.
fn listening(out: ChildStdout) -> Outcome<[SocketAddr; 3]> {
    let (says, said) = mpsc::channel();
    thread::spawn(move || {
        let mut out = BufReader::with_capacity(1 << 16, out);
        let mut line = String::new();
        while out.read_line(&mut line).is_ok_and(|count| count > 0) {
            if says.send(std::mem::take(&mut line)).is_err() {
                // Nobody listens any more: all is known.
                let _ = std::io::copy(&mut out, &mut std::io::sink());
            }
        }
    });
    let names = ["https", "http", "admin"];
    let mut found = [None; 3];
    while found.contains(&None) {
        let line = said.recv_timeout(START).map_err(|_| "the gateway doesn't say where it is")?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        let text = |name: &str| line.get(name).and_then(serde_json::Value::as_str);
        let (Some(name), Some(at)) = (text("listener"), text("address")) else { continue };
        for (place, _) in found.iter_mut().zip(names).filter(|(_, wanted)| *wanted == name) {
            *place = Some(at.parse()?);
        }
    }
    let [Some(https), Some(http), Some(admin)] = found else { return Err("no address".into()) };
    Ok([https, http, admin])
}

fn config(folder: &Path, upstream: SocketAddr, terms: &Terms) -> String {
    let folder = folder.display();
    let digest = |key: &str| hex::encode(Secret::new(key.to_owned()).digest().as_bytes());
    let (friend, insider) = (digest(FRIENDS_KEY), digest(INSIDERS_KEY));
    let Terms { connections_per_address, max_streams, write_stall } = terms;
    format!(
        r#"
[[listeners]]
name = "https"
address = "127.0.0.1:0"
tls = {{ certificates = [{{ cert = "{folder}/cert.pem", key = "{folder}/key.pem" }}] }}

[[listeners]]
name = "http"
address = "127.0.0.1:0"

[admin]
address = "127.0.0.1:0"

[access]
trusted_proxies = ["{TRUSTED_PROXY}"]

[limits]
connections_per_address = {connections_per_address}

[timeouts]
write_stall = "{write_stall}"

[upstreams.server]
endpoints = ["http://{upstream}"]

[[routes]]
name = "open"
paths = ["/mcp/{{key}}", "/mcp"]
upstream = "server"
unknown_keys = "forward"
rate = "1000000/s"
max_streams = {max_streams}

[[routes]]
name = "closed"
paths = ["/closed/{{key}}", "/closed"]
upstream = "server"

[[routes]]
name = "site"
kind = "web"
paths = ["/files"]
upstream = "server"

[[consumers]]
name = "friend"
key_sha256 = "{friend}"
allow = ["{FRIEND}"]

[[consumers]]
name = "insider"
key_sha256 = "{insider}"
"#
    )
}
