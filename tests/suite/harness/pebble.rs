use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{Gateway, Pair, Setup};

/// Pebble, the ACME server that the authors of Boulder test clients against. It refuses one nonce in
/// twenty, as it does by itself.
pub(crate) struct Pebble {
    address: SocketAddr,
    files: TempDir,
    pair: Pair,
    running: Option<Child>,
}

/// A port that nobody listens on.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Pebble {
    /// Where one will be.
    pub(crate) fn to_be() -> Self {
        let (address, files) = (free(), TempDir::new().unwrap());
        Self { address, files, pair: Pair::of(&["localhost"]), running: None }
    }

    /// Starts it: certificates live for so many seconds, and proofs are looked for at these ports.
    pub(crate) fn start(&mut self, seconds: u32, tls: u16, http: u16) {
        let path = |name: &str| self.files.path().join(name);
        std::fs::write(path("cert.pem"), &self.pair.cert).unwrap();
        std::fs::write(path("key.pem"), &self.pair.key).unwrap();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.address.to_string(),
            "managementListenAddress": free().to_string(),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": http,
            "tlsPort": tls,
            "certificateValidityPeriod": seconds,
        } });
        std::fs::write(path("pebble.json"), config.to_string()).unwrap();
        let child = Command::new("pebble")
            .args(["-strict", "-config"])
            .arg(path("pebble.json"))
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.running = Some(child.expect("pebble, which `make test-tools` installs"));
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Setup {
    /// Adds a TLS listener, `https`, whose certificate is ordered there, and a state directory.
    pub(crate) fn acme(self, pebble: &Pebble) -> Self {
        let port = pebble.address.port();
        self.file("pebble.pem", &pebble.pair.cert).https(&format!(
            "acme = {{ domains = [\"localhost\"], contact = \"mailto:ops@example.com\", \
             directory = \"https://localhost:{port}/dir\", ca = \"pebble.pem\", retry = \"1s\" }}"
        ))
    }
}

impl Gateway {
    /// How many orders of its TLS listener ended so.
    pub(crate) fn orders(&self, outcome: &str) -> f64 {
        self.metric("portcullis_acme_orders_total", &["https", outcome])
    }
}
