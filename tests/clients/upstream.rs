//! A stand-in for Postiz as its own process, which tells what reached it.

use std::{net::SocketAddr, time::Instant};

use serde_json::Value;

use crate::{dialect::Dialect, process::Process};

/// A running stand-in.
pub(crate) struct Upstream {
    /// Where it listens; the same after a restart.
    pub(crate) address: SocketAddr,
    process: Process,
    dialect: Dialect,
    key: &'static str,
}

impl Upstream {
    /// Starts it on a port of the system's choice, with the key that it shall know.
    pub(crate) fn start(dialect: Dialect, key: &'static str, deadline: Instant) -> Self {
        let (process, address) = listen(dialect, key, 0, deadline);
        Self { address, process, dialect, key }
    }

    /// Kills it, and starts it again on its port.
    pub(crate) fn restart(&mut self, deadline: Instant) {
        self.process.kill();
        let (process, address) = listen(self.dialect, self.key, self.address.port(), deadline);
        assert_eq!(address, self.address);
        self.process = process;
    }

    /// Waits until a call of the tool has reached it: the id of the call.
    pub(crate) fn called(&self, tool: &str, deadline: Instant) -> Value {
        self.event(deadline, |event| is_call(event, tool).then(|| event["id"].clone()))
    }

    /// Whether a call of the tool has reached it so far.
    pub(crate) fn was_called(&self, tool: &str) -> bool {
        let output = self.process.output();
        let mut events = output.lines().filter_map(|line| serde_json::from_str(line).ok());
        events.any(|event| is_call(&event, tool))
    }

    /// Waits until it is told that the call is cancelled.
    pub(crate) fn cancelled(&self, id: &Value, deadline: Instant) {
        self.event(deadline, |event| {
            (event["event"] == "cancelled" && event["id"] == *id).then_some(())
        });
    }

    /// Waits until a connection is gone on which an answer was due: of a tool, or a `stream`.
    pub(crate) fn left(&self, what: &str, deadline: Instant) {
        self.event(deadline, |event| {
            (event["event"] == "left" && event["what"] == what).then_some(())
        });
    }

    fn event<T>(&self, deadline: Instant, wanted: impl Fn(&Value) -> Option<T>) -> T {
        self.process.wait_for(deadline, |line| wanted(&serde_json::from_str(line).ok()?))
    }
}

fn is_call(event: &Value, tool: &str) -> bool {
    event["event"] == "called" && event["tool"] == tool
}

fn listen(dialect: Dialect, key: &str, port: u16, deadline: Instant) -> (Process, SocketAddr) {
    let mut command = dialect.command();
    command.env("KEY", key).env("PORT", port.to_string());
    // Postiz tells its own public URL; another origin than the one that the client connects to.
    command.env("PUBLIC_URL", "https://postiz.example.com/api");
    let process = Process::start(&mut command);
    let address = process.wait_for(deadline, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("address")?.as_str()?.parse().ok()
    });
    (process, address)
}
