use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use portcullis::{
    gateway::{self, Stop},
    observe::LogSink,
    snapshot::Snapshot,
    wire::Transport,
};
use rustls::pki_types::CertificateDer;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::oneshot,
};

use super::{
    Answer, Call, Client, PATIENCE, Setup, Stopping, audit, setup::MARKER_HOST, sinks,
    sinks::Received, within,
};

/// The host that clients ask for unless they say otherwise.
pub(crate) const HOST: &str = "gateway.test";

/// How long a drain may take where nothing is open.
const DRAIN: Duration = Duration::from_secs(1);

/// A gateway that runs. Its drop is the last test of every scenario.
pub(crate) struct Gateway {
    running: Option<Running>,
    configuration: gateway::Running,
    addresses: HashMap<String, SocketAddr>,
    log: LogSink,
    received: Arc<Received>,
    setup: Setup,
}

struct Running {
    stop: oneshot::Sender<()>,
    ended: mpsc::Receiver<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Setup {
    /// Compiles, binds and runs.
    pub(crate) fn start(self) -> Gateway {
        std::fs::create_dir(self.dir().join(audit::DIR)).unwrap();
        let snapshot = self.compile(|text| text);
        let log = LogSink::memory();
        let bound = gateway::Gateway::bind(snapshot, log.clone()).unwrap();
        let addresses = bound.addresses().iter();
        let addresses = addresses.map(|(name, address)| (name.to_string(), *address)).collect();
        let configuration = bound.running();
        let (stop, told) = oneshot::channel();
        let (ending, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            bound.run(Stop::Told(told));
            let _ = ending.send(());
        });
        Gateway {
            running: Some(Running { stop, ended, thread }),
            configuration,
            addresses,
            log,
            received: Arc::default(),
            setup: self,
        }
    }
}

impl Gateway {
    /// What its TLS listener shows.
    pub(super) fn authority(&self) -> CertificateDer<'static> {
        self.setup.authority.clone().expect("a TLS listener")
    }

    /// Puts another configuration into the place of its own: its text, edited, and then what no text
    /// says.
    pub(crate) fn apply(
        &self,
        edit: impl FnOnce(String) -> String,
        alter: impl FnOnce(&mut Snapshot),
    ) {
        let mut snapshot = self.setup.compile(edit);
        alter(&mut snapshot);
        self.configuration.apply(snapshot).unwrap();
    }

    /// Its admin socket.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.setup.admin_socket()
    }

    /// The directory of its configuration.
    pub(crate) fn dir(&self) -> &Path {
        self.setup.dir()
    }

    /// Where everything that clients receive is noted.
    pub(super) const fn received(&self) -> &Arc<Received> {
        &self.received
    }

    /// A client on a transport to it.
    pub(crate) fn client_on(&self, transport: Transport) -> Client {
        Client::new(transport, Arc::clone(&self.received))
    }

    /// Where a listener is.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.addresses[listener]
    }

    /// A connection to the listener in clear.
    pub(crate) async fn client(&self) -> Client {
        self.client_of("http", Ipv4Addr::LOCALHOST).await
    }

    /// A connection to a listener in clear from an address of the loopback net.
    pub(crate) async fn client_of(&self, listener: &str, from: Ipv4Addr) -> Client {
        let socket = self.socket(listener, from).await;
        self.client_on(Transport::Plain(socket))
    }

    /// A bare socket to a listener.
    pub(crate) async fn socket(&self, listener: &str, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((IpAddr::V4(from), 0))).unwrap();
        let mut to = self.address(listener);
        // A listener on every address of IPv6 takes IPv4 too.
        if to.ip().is_unspecified() {
            to.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let connect = socket.connect(to);
        within("a connection to the gateway", connect).await.unwrap()
    }

    /// Asks on a connection of its own. For what the gateway answers itself.
    pub(crate) async fn ask(&self, call: &Call) -> Answer {
        self.client().await.ask(call).await
    }

    /// A call to `/api/marker` or below it, so that it always passes.
    pub(super) fn marked(&self, call: Call) -> Call {
        call.host(MARKER_HOST).bearer(&self.setup.marker)
    }

    /// The lines of the log so far.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        let text = self.log.contents();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Lets a panic be told in its log, as `main` does for the process.
    pub(crate) fn tells_of_panics(&self) {
        portcullis::observe::install_panic_hook(&self.log);
    }

    /// Waits for a line of the log: an exchange is noted a moment after its answer was sent.
    pub(crate) async fn logged(
        &self,
        what: &str,
        line: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let find = async {
            loop {
                if let Some(line) = self.log().into_iter().find(&line) {
                    return line;
                }
                tokio::task::yield_now().await;
            }
        };
        within(&format!("a line of the log: {what}"), find).await
    }

    /// The sum of a metric's series that have all these labels, each written `name="value"`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.admin("/metrics");
        let series = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits for a metric to reach a value: counts move a moment after the answer was sent.
    pub(crate) async fn metric_becomes(&self, name: &str, labels: &[&str], value: f64) {
        let reach = async {
            while (self.metric(name, labels) - value).abs() > f64::EPSILON {
                tokio::task::yield_now().await;
            }
        };
        within(&format!("{name} {labels:?} becomes {value}"), reach).await;
    }

    /// What the admin address answers, head and body.
    pub(crate) fn admin(&self, path: &str) -> String {
        let mut socket = std::net::TcpStream::connect(self.addresses["admin"]).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = self.addresses["admin"];
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Begins the drain. What is asked of the gateway later than that is up to the test.
    pub(crate) fn begin_to_stop(&mut self) -> Stopping {
        let running = self.running.take().expect("it runs");
        let _ = running.stop.send(());
        Stopping::new(running.ended, running.thread)
    }

    /// Everything that must not be. Asked while the gateway still runs.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let patient = Instant::now();
        for gauge in ["portcullis_connections_open", "portcullis_streams_open"] {
            while self.metric(gauge, &[]) != 0.0 {
                if patient.elapsed() > PATIENCE {
                    faults.push(format!("{gauge} stays at {}", self.metric(gauge, &[])));
                    break;
                }
                std::thread::yield_now();
            }
        }
        for path in ["/metrics", "/readyz", "/nothing"] {
            faults.extend(sinks::canary("an admin answer", self.admin(path).as_bytes()));
        }
        let masked = self.metric("portcullis_redactions_total", &["sink=\"log\""]);
        if masked != 0.0 {
            faults.push(format!("the second net caught something {masked} times"));
        }
        faults
    }

    fn leaks(&self) -> Vec<String> {
        let mut faults: Vec<String> =
            sinks::canary("the log", self.log.contents().as_bytes()).into_iter().collect();
        faults.extend(sinks::canary("the audit", &self.audit_bytes()));
        faults.extend(self.received.faults(&self.setup.upstream_keys));
        let sent: Vec<u8> = self.setup.records.iter().flat_map(|record| record.bytes()).collect();
        for key in &self.setup.client_keys {
            faults.extend(sinks::found("what the upstream received", &sent, key));
        }
        faults
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        let running = self.running.is_some();
        let mut faults = if failing || !running { Vec::new() } else { self.faults() };
        if running {
            let stopping = self.begin_to_stop();
            if failing {
                return;
            }
            let took = stopping.ended();
            if took > DRAIN {
                faults.push(format!("an idle drain took {took:?}"));
            }
        }
        if !failing {
            faults.extend(self.leaks());
            assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
        }
    }
}
