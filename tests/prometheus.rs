//! A real Prometheus scrapes the built gateway, and `promtool` has nothing to say.
//!
//! Needs Debian's `prometheus` package, which holds both programs.

#![expect(clippy::expect_used, reason = "a test ends at the line where its ground gives way")]
#![expect(clippy::panic, reason = "a test ends at the line where its ground gives way")]

#[path = "clients/certificates.rs"]
mod certificates;
#[path = "clients/gateway.rs"]
#[expect(dead_code, reason = "nobody asks here which server was found")]
mod gateway;
#[expect(dead_code, reason = "the talk with a program is for the clients of `real_clients.rs`")]
#[path = "clients/process.rs"]
mod process;

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{gateway::Gateway, process::Process};

/// How long a test may take, the start of all programs included.
const LIMIT: Duration = Duration::from_secs(30);

/// A gateway whose upstream nobody calls.
const CONFIGURATION: &str = include_str!("clients/nobody_calls.toml");

#[test]
fn prometheus_scrapes_the_gateway() {
    let deadline = Instant::now() + LIMIT;
    let gateway = start_gateway(deadline);
    // A visit, so that there is something to count.
    TcpStream::connect(gateway.listener).expect("the listener is open");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (prometheus, address) = start_prometheus(folder.path(), gateway.admin, deadline);
    for expression in [
        "up == 1",
        "portcullis_build_info{version!=\"\"} == 1",
        "portcullis_connections_total",
        "process_resident_memory_bytes > 0",
    ] {
        wait_for_sample(address, expression, deadline);
    }
    drop(prometheus);
    gateway.stop(deadline);
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let deadline = Instant::now() + LIMIT;
    let gateway = start_gateway(deadline);
    let metrics = gateway.metrics();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: run `make test`");
    let mut input = promtool.stdin.take().expect("it was piped");
    input.write_all(metrics.as_bytes()).expect("promtool reads all");
    drop(input);
    let said = promtool.wait_with_output().expect("promtool is ours");
    let said = (said.status.code(), text(said.stdout), text(said.stderr));
    assert_eq!(said, (Some(0), String::new(), String::new()), "of:\n{metrics}");
    gateway.stop(deadline);
}

fn start_gateway(deadline: Instant) -> Gateway {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let configuration = certificates::listener(folder.path()) + CONFIGURATION;
    Gateway::start(folder, &configuration, deadline)
}

fn start_prometheus(folder: &Path, target: SocketAddr, end: Instant) -> (Process, SocketAddr) {
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
         scrape_configs: [{{ job_name: gateway, static_configs: [{{ targets: ['{target}'] }}] }}]\n",
    );
    fs::write(&config, text).expect("the folder is ours");
    assert!(Path::new("/usr/bin/prometheus").exists(), "prometheus is missing: run `make test`");
    let prometheus = Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0"),
    );
    let address = prometheus.wait_for(end, |line| {
        let rest = line.split_once("msg=\"Listening on\" address=")?.1;
        rest.split(' ').next()?.parse().ok()
    });
    (prometheus, address)
}

/// Asks until the answer holds a sample. Each question is a program of its own, which is pause enough.
fn wait_for_sample(address: SocketAddr, expression: &str, deadline: Instant) {
    loop {
        let answer = Command::new("promtool")
            .args(["query", "instant", &format!("http://{address}"), expression])
            .output()
            .expect("promtool is missing: run `make test`");
        let (samples, errors) = (text(answer.stdout), text(answer.stderr));
        if answer.status.success() && samples.contains("=>") {
            return;
        }
        assert!(Instant::now() < deadline, "no sample of {expression}: {samples}{errors}");
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("promtool writes text")
}
