//! Official clients through the built gateway, over TLS, to servers in the manner of Postiz.
//!
//! Every scenario is the same story, told by the client itself (`clients/node/client.mjs`,
//! `clients/python/client.py`): it connects, lists the tools, calls one, calls until it is refused,
//! reads why, and goes on with the same session once the bucket has filled up again. Afterwards the
//! key is in no output of the gateway, at the most talkative log level.

#![expect(clippy::expect_used, reason = "a test ends at the line where its ground gives way")]
#![expect(clippy::panic, reason = "a test ends at the line where its ground gives way")]

#[path = "clients/gateway.rs"]
mod gateway;
#[path = "clients/process.rs"]
mod process;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{gateway::Gateway, process::Process};

/// How long a scenario may take, the start of all programs included.
const SCENARIO: Duration = Duration::from_secs(30);
/// The key of Postiz: 64 hexadecimal digits.
const POSTIZ_KEY: &str = "5ca1ab1e0ddba11c0ffee000decade00feedface0badcafe5eed00000ab5ce55";
/// A key that only the gateway knows.
const CONSUMER_KEY: &str = "a-key-of-the-gateway-alone-0f3c9b";
/// More calls than the burst has room for, so that one is refused.
const CALLS: &str = "60";

/// Which program speaks.
#[derive(Clone, Copy)]
enum Client {
    TypeScript(&'static str),
    PythonV1(&'static str),
    PythonV2(&'static str),
}

/// Where the client puts its key, and which key that is.
#[derive(Clone, Copy)]
enum Credential {
    Path,
    PathOfConsumer,
    Bearer,
}

impl Credential {
    const fn key(self) -> &'static str {
        match self {
            Self::Path | Self::Bearer => POSTIZ_KEY,
            Self::PathOfConsumer => CONSUMER_KEY,
        }
    }
}

#[test]
fn typescript_sse_on_the_path_of_the_key() {
    tell(Client::TypeScript("sse"), "postiz-v2.7", Credential::Path);
}

#[test]
fn typescript_sse_with_the_key_of_a_consumer() {
    tell(Client::TypeScript("sse"), "postiz-v2.7", Credential::PathOfConsumer);
}

#[test]
fn mcp_remote_on_the_path_of_the_key() {
    tell(Client::TypeScript("mcp-remote"), "postiz-v2.7", Credential::Path);
}

#[test]
fn typescript_streamable_on_the_path_of_the_key() {
    tell(Client::TypeScript("streamable"), "postiz-main", Credential::Path);
}

#[test]
fn typescript_streamable_with_bearer() {
    tell(Client::TypeScript("streamable"), "postiz-main", Credential::Bearer);
}

#[test]
fn typescript_streamable_with_sessions() {
    tell(Client::TypeScript("streamable"), "postiz-v2.8", Credential::Path);
}

#[test]
fn python_v2_sse_on_the_path_of_the_key() {
    tell(Client::PythonV2("sse"), "postiz-v2.7", Credential::Path);
}

#[test]
fn python_v2_streamable_on_the_path_of_the_key() {
    tell(Client::PythonV2("streamable"), "postiz-main", Credential::Path);
}

#[test]
fn python_v2_streamable_with_bearer() {
    tell(Client::PythonV2("streamable"), "postiz-main", Credential::Bearer);
}

#[test]
fn python_v2_streamable_with_sessions() {
    tell(Client::PythonV2("streamable"), "postiz-v2.8", Credential::Path);
}

#[test]
fn python_v1_sse_on_the_path_of_the_key() {
    tell(Client::PythonV1("sse"), "postiz-v2.7", Credential::Path);
}

#[test]
fn python_v1_streamable_on_the_path_of_the_key() {
    tell(Client::PythonV1("streamable"), "postiz-main", Credential::Path);
}

#[test]
fn python_v1_streamable_with_bearer() {
    tell(Client::PythonV1("streamable"), "postiz-main", Credential::Bearer);
}

#[test]
fn python_v1_streamable_with_sessions() {
    tell(Client::PythonV1("streamable"), "postiz-v2.8", Credential::Path);
}

/// Runs the story and holds it against what has to be seen.
fn tell(client: Client, server: &str, credential: Credential) {
    let deadline = Instant::now() + SCENARIO;
    let (_server, address) = start_server(server, deadline);
    let gateway = Gateway::start(&configuration(address), deadline);
    let mut command = client_command(client, &gateway, credential);
    let (_, output) = Process::start(&mut command).finish(deadline);

    let sights: Vec<Value> =
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let metrics = gateway.metrics();
    let log = gateway.stop(deadline);
    let sight = |what: &str| {
        sights.iter().find(|sight| sight["saw"] == what).map_or_else(
            || panic!("the client saw no {what}:\n{output}\nthe gateway's log:\n{log}"),
            |sight| sight["detail"].clone(),
        )
    };
    assert_eq!(sight("connected"), "Postiz");
    assert_eq!(sight("tools"), json!(["integrationList", "integrationSchema"]));
    assert_eq!(sight("result"), "integrationSchema of x");
    let refusal = sight("refused");
    let text = refusal.as_str().unwrap_or_default();
    assert!(text.contains("The rate limit of this key is reached. Retry in "), "{refusal}");
    assert!(text.ends_with(" s."), "{refusal}");
    assert_eq!(sight("alive"), "integrationSchema of x");
    sight("closed");
    for key in [POSTIZ_KEY, CONSUMER_KEY] {
        assert!(!log.contains(key), "the log shows a key:\n{log}");
        assert!(!metrics.contains(key), "the metrics show a key:\n{metrics}");
    }
}

/// One route with a rate that a test can both reach and wait out; a stranger's key and a consumer's.
fn configuration(upstream: SocketAddr) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, CONSUMER_KEY.as_bytes());
    format!(
        r#"
        [upstreams.postiz]
        endpoints = ["http://{upstream}"]
        strip_prefix = "/api"

        [[routes]]
        name = "mcp"
        paths = ["/api/mcp/{{key}}", "/api/mcp"]
        kind = "mcp"
        upstream = "postiz"
        unknown_keys = "forward"
        rate = "4/s"
        burst = 20

        [[consumers]]
        name = "desktop"
        key_sha256 = "{digest}"
        upstream_key = "file:{key_file}"

        [log]
        level = "trace"
        "#,
        digest = hex::encode(digest),
        key_file = key_file().display(),
    )
}

/// A file with the key of Postiz, for the gateway to read.
fn key_file() -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postiz.key");
    let own = path.with_extension(std::process::id().to_string());
    // Several scenarios write it at once, each in its own process; a rename shows it whole.
    fs::write(&own, POSTIZ_KEY).expect("the folder is ours");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs::rename(&own, &path).expect("the folder is ours");
    path
}

fn start_server(name: &str, deadline: Instant) -> (Process, SocketAddr) {
    let mut command = node(&format!("{name}.mjs"));
    // Postiz tells its own public URL; another origin than the one that the client connects to.
    command.env("KEY", POSTIZ_KEY).env("PUBLIC_URL", "https://postiz.example.com/api");
    let process = Process::start(&mut command);
    let address = process.wait_for(deadline, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("address")?.as_str()?.parse().ok()
    });
    (process, address)
}

fn client_command(client: Client, gateway: &Gateway, credential: Credential) -> Command {
    let (mut command, kind) = match client {
        Client::TypeScript(kind) => (node("client.mjs"), kind),
        Client::PythonV1(kind) => (python("python/v1"), kind),
        Client::PythonV2(kind) => (python("python"), kind),
    };
    let leaf = if matches!(kind, "sse" | "mcp-remote") { "/sse" } else { "" };
    let base = format!("https://localhost:{}/api/mcp", gateway.https.port());
    let url = match credential {
        Credential::Path | Credential::PathOfConsumer => {
            format!("{base}/{}{leaf}", credential.key())
        }
        Credential::Bearer => {
            command.env("BEARER", credential.key());
            base
        }
    };
    command.arg(kind).arg(url).env("CALLS", CALLS);
    command.env("NODE_EXTRA_CA_CERTS", gateway.authority());
    command.env("SSL_CERT_FILE", gateway.authority());
    // It keeps what it learnt about a server; each scenario meets its server for the first time.
    command.env("MCP_REMOTE_CONFIG_DIR", gateway.authority().with_extension("mcp-remote"));
    command
}

fn node(script: &str) -> Command {
    let folder = clients().join("node");
    let installed = folder.join("node_modules");
    assert!(installed.is_dir(), "{} is missing: run `make test`", installed.display());
    let mut command = Command::new("node");
    command.arg(folder.join(script));
    command
}

fn python(folder: &str) -> Command {
    let program = clients().join(folder).join(".venv/bin/python");
    assert!(program.exists(), "{} is missing: run `make test`", program.display());
    let mut command = Command::new(program);
    command.arg(clients().join("python/client.py"));
    command
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
