//! The built gateway as its own process, with a configuration made on the spot.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// `portcullis run` with one listener and the admin address, both on ports it chose.
pub(crate) struct Gateway {
    /// The listener.
    pub(crate) listener: SocketAddr,
    /// `/metrics` and health.
    pub(crate) admin: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Gateway {
    /// Starts it with a configuration that has one listener, on port 0, and no admin address.
    /// The folder is for the files that this names, and lives as long.
    ///
    /// # Panics
    /// When it doesn't listen by the deadline, with its whole log.
    pub(crate) fn start(folder: TempDir, configuration: &str, deadline: Instant) -> Self {
        let file = folder.path().join("portcullis.toml");
        let admin = "[admin]\naddress = \"127.0.0.1:0\"\n\n";
        fs::write(&file, format!("{admin}{configuration}")).expect("the folder is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let process = Process::start(command.arg("run").arg("--config").arg(file));
        let (mut listener, mut admin) = (None, None);
        while listener.is_none() || admin.is_none() {
            match process.wait_for(deadline, listening) {
                (name, address) if name == "admin" => admin = Some(address),
                (_, address) => listener = Some(address),
            }
        }
        let (listener, admin) = listener.zip(admin).expect("the loop ends with both");
        Self { listener, admin, process, _folder: folder }
    }

    /// The body of `GET /metrics`.
    pub(crate) fn metrics(&self) -> String {
        let mut admin = TcpStream::connect(self.admin).expect("the admin address is open");
        admin.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        admin.write_all(request.as_bytes()).expect("it reads a short head");
        let mut answer = String::new();
        admin.read_to_string(&mut answer).expect("text, then the end");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        body.to_owned()
    }

    /// The dialect of the server behind, once the gateway has found it out.
    pub(crate) fn found(&self, deadline: Instant) -> String {
        self.process.wait_for(deadline, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let found = line.get("event")?.as_str()? == "Postiz found";
            found.then(|| line.get("dialect")?.as_str().map(str::to_owned)).flatten()
        })
    }

    /// Ends it as an operator does, and hands back all that it wrote.
    ///
    /// # Panics
    /// When it isn't gone by the deadline, or its exit code isn't 0.
    pub(crate) fn stop(self, deadline: Instant) -> String {
        self.process.signal("TERM");
        let (status, output) = self.process.finish(deadline);
        assert!(status.success(), "{status} after SIGTERM; its log:\n{output}");
        output
    }
}

/// Name and address of a listener, from the line that the gateway writes when it is open.
fn listening(line: &str) -> Option<(String, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let is_ours = line.get("event")?.as_str()? == "listening";
    let address = line.get("address")?.as_str()?.parse().ok()?;
    is_ours.then_some((line.get("listener")?.as_str()?.to_owned(), address))
}
