//! A client that is given nothing but a URL, and logs in at Postiz by what it is told.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{certificates, gateway::Gateway, process::Process, programs};

const SCENARIO: Duration = Duration::from_secs(60);

/// What the page of consent would give.
const CODE: &str = "c0de5ca1ab1e0ddba11c0ffeedecade0";
/// A token of Postiz.
const TOKEN: &str = "pos_0123456789abcdefghijABCDEFGHIJ0123456789";

/// Starts a stand-in for Postiz with its OAuth and the gateway before it, and lets the client log in.
pub(crate) fn tell() {
    let deadline = Instant::now() + SCENARIO;
    let mut command = programs::node("node", "postiz-oauth.mjs");
    let upstream = Process::start(command.env("CODE", CODE).env("TOKEN", TOKEN));
    let address = upstream.wait_for(deadline, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("address")?.as_str()?.parse().ok()
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = folder.path().join("ca.pem");
    let configuration = certificates::listener(folder.path()) + &configuration(address);
    let gateway = Gateway::start(folder, &configuration, deadline);
    let place = format!("https://localhost:{}/mcp-oauth", gateway.listener.port());
    let mut command = programs::node("node", "oauth.mjs");
    command.env("PLACE", place).env("CODE", CODE).env("NODE_EXTRA_CA_CERTS", authority);
    let (status, output) = Process::start(&mut command).finish(deadline);
    let saw: Vec<Value> =
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let seen = |what: &str| saw.iter().find(|line| line["saw"] == what).map(|line| &line["detail"]);
    assert!(status.success() && seen("connected").is_some(), "{output}");
    assert_eq!(seen("consent"), Some(&"/oauth/authorize".into()), "{output}");
    assert!(seen("listed").and_then(Value::as_u64) > Some(0), "{output}");
    let metrics = gateway.metrics();
    let log = gateway.stop(deadline);
    for secret in [CODE, TOKEN] {
        assert!(!log.contains(secret) && !metrics.contains(secret), "{secret} is shown:\n{log}");
    }
}

fn configuration(upstream: SocketAddr) -> String {
    format!(
        r#"
        [upstreams.postiz]
        endpoints = ["http://{upstream}"]
        strip_prefix = "/api"

        [[routes]]
        name = "mcp"
        paths = ["/api/mcp/{{key}}", "/api/mcp"]
        upstream = "postiz"
        unknown_keys = "forward"
        rate = "100/min"
        oauth = "upstream"

        [log]
        level = "trace"
        "#
    )
}
