//! Servers that have everything that MCP knows, with the gateway before them.

use std::{fs, net::SocketAddr, process::Command, time::Instant};

use serde_json::Value;

use crate::{gateway::Gateway, process::Process, programs};

/// The key that the server knows, and only the gateway besides.
const SERVER_KEY: &str = "a-key-of-the-server-alone-51c0ffee90";
/// The key that the suite has in its URL.
const SUITE_KEY: &str = "a-key-of-the-suite-7d40b2e8c6";

/// Which server it is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Ours, on the official Python SDK: all that the scenarios ask for, in both eras.
    Ours,
    /// `@modelcontextprotocol/server-everything`: other tools, and anybody's `Host`.
    Official,
}

/// What the gateway lets the suite do.
#[derive(Clone, Copy)]
pub(crate) enum Policy {
    /// Whatever the server does: no message is judged.
    None,
    /// Every tool, prompt and resource by its name, so that each message is judged, and let in.
    Everything,
}

impl Kind {
    /// Its name in the table of what was found.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Official => "server-everything",
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Ours => programs::python("python", "everything/server.py"),
            Self::Official => programs::node("conformance", "server-everything.mjs"),
        }
    }
}

impl Policy {
    /// Its name in the table of what was found.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Everything => "allows everything",
        }
    }

    const fn settings(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Everything => {
                r#"
                tools = { allow = ["*"] }
                prompts = { allow = ["*"] }
                resources = { allow = ["*"] }
                "#
            }
        }
    }
}

/// A server, and the gateway before it.
pub(crate) struct Pair {
    address: SocketAddr,
    gateway: Gateway,
    _server: Process,
}

impl Pair {
    /// Starts both.
    pub(crate) fn start(kind: Kind, policy: Policy, deadline: Instant) -> Self {
        let server = Process::start(kind.command().env("KEY", SERVER_KEY));
        let address = server.wait_for(deadline, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line.get("address")?.as_str()?.parse().ok()
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("server.key"), SERVER_KEY).expect("the folder is ours");
        let gateway = Gateway::start(folder, &configuration(address, policy), deadline);
        Self { address, gateway, _server: server }
    }

    /// Where the server is reached without the gateway.
    pub(crate) fn direct(&self) -> String {
        url(self.address, SERVER_KEY)
    }

    /// Where it is reached through the gateway.
    pub(crate) fn through(&self) -> String {
        url(self.gateway.listener, SUITE_KEY)
    }

    /// Ends both: no key may be in what the gateway wrote, nor in its metrics.
    pub(crate) fn end(self, deadline: Instant) {
        let metrics = self.gateway.metrics();
        let log = self.gateway.stop(deadline);
        for key in [SERVER_KEY, SUITE_KEY] {
            assert!(!log.contains(key), "the log shows a key:\n{log}");
            assert!(!metrics.contains(key), "the metrics show a key:\n{metrics}");
        }
    }
}

/// The suite can't send a head with a key, and one scenario is only for servers on localhost that
/// speak plain HTTP.
fn url(address: SocketAddr, key: &str) -> String {
    format!("http://localhost:{}/mcp/{key}", address.port())
}

/// A gateway that refuses what it can, and nothing that the suite does.
fn configuration(server: SocketAddr, policy: Policy) -> String {
    format!(
        r#"
        [[listeners]]
        name = "http"
        address = "127.0.0.1:0"

        [access]
        allow = ["127.0.0.0/8"]

        [upstreams.server]
        endpoints = ["http://{server}"]

        [[routes]]
        name = "mcp"
        hosts = ["localhost"]
        paths = ["/mcp/{{key}}", "/mcp"]
        upstream = "server"
        rate = "1000/s"
        refusals = "in_band"

        [[consumers]]
        name = "suite"
        key_sha256 = "{digest}"
        upstream_key = "file:server.key"
        routes = ["mcp"]
        expires = 2999-12-31
        {policy}

        [log]
        level = "trace"
        "#,
        digest = hex::encode(aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            SUITE_KEY.as_bytes()
        )),
        policy = policy.settings(),
    )
}
