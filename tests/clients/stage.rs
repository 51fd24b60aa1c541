//! The stage of a scenario: a stand-in for Postiz, the gateway before it, and the keys.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    certificates,
    dialect::{Dialect, Tools},
    gateway::Gateway,
    upstream::Upstream,
};

/// How long a scenario may take, the start of all programs included.
const SCENARIO: Duration = Duration::from_secs(60);

/// The key of Postiz: 64 hexadecimal digits.
const POSTIZ_KEY: &str = "5ca1ab1e0ddba11c0ffee000decade00feedface0badcafe5eed00000ab5ce55";
/// A key that only the gateway knows.
const CONSUMER_KEY: &str = "a-key-of-the-gateway-alone-0f3c9b";
/// A key whose last day is over.
const FORMER_KEY: &str = "a-key-of-somebody-who-left-77b1d0";
/// A key of a consumer who may hardly call.
const SPARING_KEY: &str = "a-key-that-is-used-sparingly-4ae6";
/// A key whose rules leave a tool out.
const RULED_KEY: &str = "a-key-that-may-not-do-everything-92d7";
/// Nobody's key.
const WRONG_KEY: &str = "a-key-that-nobody-has-c5d2e8";

/// Where the client puts its key, and which key that is.
#[derive(Clone, Copy)]
pub(crate) enum Credential {
    Path,
    PathOfConsumer,
    Bearer,
}

/// Where a client connects, and with what.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) bearer: Option<&'static str>,
}

impl Place {
    /// For a client that reads it.
    pub(crate) fn as_json(&self) -> Value {
        match self.bearer {
            Some(bearer) => json!({ "url": self.url, "bearer": bearer }),
            None => json!({ "url": self.url }),
        }
    }
}

pub(crate) struct Stage {
    pub(crate) deadline: Instant,
    pub(crate) dialect: Dialect,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    /// The file with the authority that signed the gateway's certificate.
    pub(crate) authority: PathBuf,
    credential: Credential,
    _key_file: NamedTempFile,
}

impl Stage {
    /// Starts the stand-in, and the gateway before it.
    pub(crate) fn set(dialect: Dialect, credential: Credential) -> Self {
        let deadline = Instant::now() + SCENARIO;
        let upstream = Upstream::start(dialect, POSTIZ_KEY, deadline);
        let key_file = key_file();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = folder.path().join("ca.pem");
        let configuration = certificates::listener(folder.path())
            + &configuration(upstream.address, key_file.path(), dialect.tools());
        let gateway = Gateway::start(folder, &configuration, deadline);
        if let Some(found) = dialect.found() {
            assert_eq!(gateway.found(deadline), found);
        }
        Self { deadline, dialect, upstream, gateway, authority, credential, _key_file: key_file }
    }

    /// The URL and key that work.
    pub(crate) fn right(&self) -> Place {
        match self.credential {
            Credential::PathOfConsumer => self.place("", CONSUMER_KEY),
            Credential::Path | Credential::Bearer => self.place("", POSTIZ_KEY),
        }
    }

    /// A key that no consumer has, where those are refused.
    pub(crate) fn unknown(&self) -> Place {
        self.place("/closed", WRONG_KEY)
    }

    /// A key that no consumer has, where those are for the upstream to judge.
    pub(crate) fn wrong(&self) -> Place {
        self.place("", WRONG_KEY)
    }

    /// A key whose last day is over.
    pub(crate) fn expired(&self) -> Place {
        self.place("", FORMER_KEY)
    }

    /// A key with so low a rate that a single connection uses it up.
    pub(crate) fn sparing(&self) -> Place {
        self.place("", SPARING_KEY)
    }

    /// A key that may not use the tool that reports progress.
    pub(crate) fn ruled(&self) -> Place {
        self.place("", RULED_KEY)
    }

    /// The key of a consumer who may use every tool.
    pub(crate) fn other(&self) -> Place {
        self.place("", CONSUMER_KEY)
    }

    fn place(&self, prefix: &str, key: &'static str) -> Place {
        let base = format!("https://localhost:{}{prefix}/api/mcp", self.gateway.listener.port());
        match self.credential {
            Credential::Bearer => Place { url: base, bearer: Some(key) },
            Credential::Path | Credential::PathOfConsumer => {
                Place { url: format!("{base}/{key}{}", self.dialect.leaf()), bearer: None }
            }
        }
    }

    /// Ends the gateway, and hands back its log: no key may be in it, nor in its metrics.
    pub(crate) fn strike(self) -> String {
        let metrics = self.gateway.metrics();
        let log = self.gateway.stop(self.deadline);
        for key in [POSTIZ_KEY, CONSUMER_KEY, FORMER_KEY, SPARING_KEY, RULED_KEY, WRONG_KEY] {
            assert!(!log.contains(key), "the log shows a key:\n{log}");
            assert!(!metrics.contains(key), "the metrics show a key:\n{metrics}");
        }
        log
    }
}

/// One route that forwards the keys of strangers, and one that refuses them; a rate that a test can
/// both reach and wait out; a consumer, one whose days are over, one who may hardly call, and one who
/// may not use every tool.
fn configuration(upstream: SocketAddr, key_file: &Path, tools: &Tools) -> String {
    format!(
        r#"
        [limits]
        unproven_per_address = "600/min"

        [upstreams.postiz]
        endpoints = ["http://{upstream}"]
        strip_prefix = "/api"
        dialect = "auto"

        [upstreams.postiz-closed]
        endpoints = ["http://{upstream}"]
        strip_prefix = "/closed/api"

        [[routes]]
        name = "mcp"
        paths = ["/api/mcp/{{key}}", "/api/mcp"]
        kind = "mcp"
        upstream = "postiz"
        unknown_keys = "forward"
        rate = "4/s"
        burst = 40

        [[routes]]
        name = "closed"
        paths = ["/closed/api/mcp/{{key}}", "/closed/api/mcp"]
        kind = "mcp"
        upstream = "postiz-closed"

        [[consumers]]
        name = "desktop"
        key_sha256 = "{consumer}"
        upstream_key = "file:{key_file}"

        [[consumers]]
        name = "former"
        key_sha256 = "{former}"
        upstream_key = "file:{key_file}"
        expires = 2020-01-31

        [[consumers]]
        name = "sparing"
        key_sha256 = "{sparing}"
        upstream_key = "file:{key_file}"
        rate = "1/h"
        burst = 4

        [[consumers]]
        name = "ruled"
        key_sha256 = "{ruled}"
        upstream_key = "file:{key_file}"
        tools = {{ allow = ["{endless}", "{quick}"] }}

        [log]
        level = "trace"
        "#,
        consumer = digest(CONSUMER_KEY),
        former = digest(FORMER_KEY),
        sparing = digest(SPARING_KEY),
        ruled = digest(RULED_KEY),
        endless = tools.endless,
        quick = tools.quick,
        key_file = key_file.display(),
    )
}

fn digest(key: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes()))
}

/// A file with the key of Postiz, for the gateway to read: as long as it lives, and for nobody else.
fn key_file() -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), POSTIZ_KEY).expect("it is ours");
    file
}
