use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use portcullis::{
    config::{self, Surroundings},
    snapshot::Snapshot,
};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::{AUDIT, Key, Upstream, upstream::Record};

/// A host of its own for the calls that prove that nothing else passed.
pub(super) const MARKER_HOST: &str = "marker.test";

/// The name of the admin socket.
const SOCKET: &str = "admin.sock";

/// What a gateway is to be. Without more it has one listener in clear, `http`, and one route, `mcp`,
/// that forwards every key as Postiz has it.
pub(crate) struct Setup {
    dir: TempDir,
    /// Its endpoints.
    upstreams: Vec<SocketAddr>,
    pub(super) records: Vec<Arc<Record>>,
    listeners: String,
    upstream_lines: String,
    routes: Option<String>,
    route_lines: String,
    admin_lines: String,
    more: String,
    secrets: HashMap<String, String>,
    pub(super) authority: Option<CertificateDer<'static>>,
    /// Keys that the upstream must never see.
    pub(super) client_keys: Vec<String>,
    /// Keys that no client must ever see.
    pub(super) upstream_keys: Vec<String>,
    pub(super) marker: Key,
}

impl Setup {
    pub(crate) fn new(upstream: &Upstream) -> Self {
        Self { records: vec![upstream.record()], ..Self::before(upstream.address()) }
    }

    /// Adds an endpoint to the upstream.
    pub(crate) fn and(mut self, upstream: &Upstream) -> Self {
        self.upstreams.push(upstream.address());
        self.records.push(upstream.record());
        self
    }

    /// Before a server that no test holds, and whose end isn't looked at.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            upstreams: vec![upstream],
            records: Vec::new(),
            listeners: "[[listeners]]\nname = \"http\"\naddress = \"127.0.0.1:0\"\n".to_owned(),
            upstream_lines: String::new(),
            routes: None,
            route_lines: String::new(),
            admin_lines: String::new(),
            more: String::new(),
            secrets: HashMap::new(),
            authority: None,
            client_keys: Vec::new(),
            upstream_keys: Vec::new(),
            marker: Key::new(),
        }
    }

    /// Adds lines to the route `mcp`.
    pub(crate) fn route(mut self, lines: &str) -> Self {
        self.route_lines.push_str(lines);
        self.route_lines.push('\n');
        self
    }

    /// Adds lines to the upstream.
    pub(crate) fn upstream(mut self, lines: &str) -> Self {
        self.upstream_lines.push_str(lines);
        self.upstream_lines.push('\n');
        self
    }

    /// Puts routes in the place of `mcp`. Their upstream is `postiz`, which takes `/api` off.
    pub(crate) fn routes(mut self, text: &str) -> Self {
        self.routes = Some(text.to_owned());
        self
    }

    /// Adds lines to `[admin]`.
    pub(crate) fn admin(mut self, lines: &str) -> Self {
        self.admin_lines.push_str(lines);
        self
    }

    /// Adds other sections.
    pub(crate) fn also(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self.more.push('\n');
        self
    }

    /// Puts a file beside the configuration.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    /// The directory of its configuration.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a listener.
    pub(crate) fn listener(mut self, text: &str) -> Self {
        self.listeners.push_str(text);
        self
    }

    /// Adds a consumer whose own key goes on.
    pub(crate) fn consumer(self, name: &str, key: &Key, lines: &str) -> Self {
        let sha256 = key.sha256();
        let head = format!("[[consumers]]\nname = \"{name}\"\nkey_sha256 = \"{sha256}\"\n");
        self.also(&(head + lines))
    }

    /// Adds a consumer for whom another key is injected. Its own must not go upstream, and the
    /// other must not come down.
    pub(crate) fn injected(mut self, name: &str, key: &Key, upstream: &Key, lines: &str) -> Self {
        let variable = format!("KEY_OF_{}", self.secrets.len());
        self.secrets.insert(variable.clone(), upstream.text().to_owned());
        self.client_keys.push(key.text().to_owned());
        self.upstream_keys.push(upstream.text().to_owned());
        self.consumer(name, key, &format!("upstream_key = \"env:{variable}\"\n{lines}"))
    }

    /// Adds a consumer that shows this certificate and has no key.
    pub(crate) fn certified(mut self, name: &str, certificate: &str, upstream: &Key) -> Self {
        let variable = format!("KEY_OF_{}", self.secrets.len());
        self.secrets.insert(variable.clone(), upstream.text().to_owned());
        self.upstream_keys.push(upstream.text().to_owned());
        self.also(&format!(
            "[[consumers]]\nname = \"{name}\"\ncertificate = {{ {certificate} }}\n\
             upstream_key = \"env:{variable}\"\n"
        ))
    }

    fn text(&self) -> String {
        let route = format!(
            "[[routes]]\nname = \"mcp\"\nkind = \"mcp\"\nupstream = \"postiz\"\n\
             paths = [\"/api/mcp/{{key}}\", \"/api/mcp\", \"/api/sse/{{key}}\", \"/api/message/{{key}}\"]\n\
             {}{}",
            // Told or not, it has to stand once.
            if self.route_lines.contains("unknown_keys") {
                ""
            } else {
                "unknown_keys = \"forward\"\n"
            },
            self.route_lines
        );
        let endpoints = self.upstreams.iter().map(|at| format!("\"http://{at}\""));
        let endpoints = endpoints.collect::<Vec<_>>().join(", ");
        format!(
            "{}[admin]\naddress = \"127.0.0.1:0\"\n{}\n\
             [upstreams.postiz]\nendpoints = [{endpoints}]\nstrip_prefix = \"/api\"\n\
             {}{}\n[[routes]]\nname = \"marker\"\nhosts = [\"{MARKER_HOST}\"]\n\
             paths = [\"/api/marker\"]\nupstream = \"postiz\"\n\
             [[consumers]]\nname = \"marker\"\nroutes = [\"marker\"]\nkey_sha256 = \"{}\"\n{}",
            self.listeners,
            self.admin_lines,
            self.upstream_lines,
            self.routes.as_ref().unwrap_or(&route),
            self.marker.sha256(),
            self.more,
        )
    }

    /// Adds the admin socket.
    pub(crate) fn operator(self) -> Self {
        let socket = self.admin_socket();
        self.admin(&format!("socket = {socket:?}\n"))
    }

    /// Adds a state directory.
    pub(crate) fn state(self) -> Self {
        let dir = self.dir.path().join("state");
        std::fs::create_dir(&dir).unwrap();
        self.also(&format!("[state]\ndir = {dir:?}"))
    }

    /// Where its admin socket is, if it has one.
    pub(super) fn admin_socket(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }

    pub(super) fn compile(&self, edit: impl FnOnce(String) -> String) -> Snapshot {
        let own = if self.more.contains("[audit]") { "" } else { AUDIT };
        let text = edit(self.text() + own);
        let environment = |name: &str| self.secrets.get(name).map(Into::into);
        let around = Surroundings {
            base_dir: self.dir.path(),
            environment: &environment,
            now: SystemTime::now(),
        };
        let loaded = config::compile_text(&text, around);
        let problems = config::render(&loaded.problems, &text, "suite", false);
        loaded.snapshot.unwrap_or_else(|| panic!("{problems}"))
    }
}
