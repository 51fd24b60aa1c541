use std::{
    fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use tempfile::TempDir;

use super::certificate;
use crate::types::Secret;

/// The port that the demonstration asks for first: a fixed one can be kept in a client's settings.
const PREFERRED_PORT: u16 = 8443;

/// What the demonstrated gateway needs, on disk: certificate, upstream key and configuration.
///
/// The directory is readable by its owner alone and is removed when the stage is dropped. A process
/// that ends by `exit` drops nothing: call [`Stage::remove`] before.
pub struct Stage {
    dir: TempDir,
    /// The configuration file, for `portcullis run` or `check`.
    pub config_path: PathBuf,
    /// The authority's certificate, for `curl --cacert`.
    pub authority_path: PathBuf,
    /// The key of the upstream, in Postiz's form. A client never sees it.
    pub key: Secret,
    /// The key of the consumer `claude-desktop`.
    pub consumer_key: Secret,
    /// The key of the consumer `agent`, whose rules let it use one tool.
    pub agent_key: Secret,
}

impl Stage {
    /// Makes keys and a certificate, and writes the configuration of a gateway before `upstream`.
    ///
    /// # Errors
    /// Where the temporary directory can't be made or written.
    pub fn prepare(upstream: SocketAddr) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("portcullis-demo-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()?;
        let stage = Self {
            config_path: dir.path().join("portcullis.toml"),
            authority_path: dir.path().join("ca.pem"),
            key: Secret::new(random_hex::<32>()?),
            consumer_key: Secret::new(format!("demo-{}", random_hex::<20>()?)),
            agent_key: Secret::new(format!("demo-{}", random_hex::<20>()?)),
            dir,
        };
        let certificates = certificate::make()?;
        stage.write("ca.pem", &certificates.authority)?;
        stage.write("cert.pem", &certificates.chain)?;
        stage.write("key.pem", &certificates.key)?;
        stage.write("upstream.key", stage.key.expose())?;
        stage.write("portcullis.toml", &stage.configuration(public_address(), upstream))?;
        Ok(stage)
    }

    /// Where the files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Removes the files.
    ///
    /// # Errors
    /// Where a file can't be removed.
    pub fn remove(self) -> io::Result<()> {
        self.dir.close()
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.dir.path().join(name);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    }

    /// Paths are relative: they count from the configuration file's directory.
    fn configuration(&self, public: SocketAddr, upstream: SocketAddr) -> String {
        let [digest, agent] =
            [&self.consumer_key, &self.agent_key].map(|key| hex::encode(key.digest().as_bytes()));
        format!(
            r#"# The demonstration's configuration. It is made anew at each start.

[[listeners]]
name    = "https"
address = "{public}"
tls     = {{ certificates = [{{ cert = "cert.pem", key = "key.pem" }}] }}

[admin]
address = "127.0.0.1:0"

[upstreams.postiz]
endpoints    = ["http://{upstream}"]
strip_prefix = "/api"

[[routes]]
name         = "mcp"
paths        = ["/api/mcp/{{key}}", "/api/mcp"]
kind         = "mcp"
upstream     = "postiz"
unknown_keys = "forward"
rate         = "30/min"
burst        = 10

[[consumers]]
name         = "claude-desktop"
key_sha256   = "{digest}"
upstream_key = "file:upstream.key"
routes       = ["mcp"]

[[consumers]]
name         = "agent"
key_sha256   = "{agent}"
upstream_key = "file:upstream.key"
tools        = {{ allow = ["integrationList"] }}

[log]
format = "text"
"#
        )
    }
}

/// The preferred port where it is free, else port 0. Another process may still take the port
/// before the gateway binds it; then the gateway says so and ends, and a second start works.
fn public_address() -> SocketAddr {
    let preferred = SocketAddr::from((Ipv4Addr::LOCALHOST, PREFERRED_PORT));
    match TcpListener::bind(preferred) {
        Ok(_) => preferred,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

fn random_hex<const BYTES: usize>() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("the system gave no random bytes"))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage() -> Stage {
        Stage::prepare(SocketAddr::from((Ipv4Addr::LOCALHOST, 3000))).unwrap()
    }

    #[test]
    fn only_the_owner_reads_the_files() {
        let stage = stage();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(stage.dir()), 0o700);
        for entry in fs::read_dir(stage.dir()).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }

    #[test]
    fn the_files_go_away_with_the_stage() {
        let stage = stage();
        let dir = stage.dir().to_owned();
        assert!(dir.join("ca.pem").exists());
        stage.remove().unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn the_configuration_is_toml_and_holds_no_key() {
        let stage = stage();
        let text = fs::read_to_string(&stage.config_path).unwrap();
        assert!(toml::de::DeTable::parse(&text).is_ok(), "{text}");
        assert!(!text.contains(stage.key.expose()));
        assert!(!text.contains(stage.consumer_key.expose()));
        assert!(!text.contains(stage.agent_key.expose()));
        assert_eq!(fs::read_to_string(stage.dir().join("upstream.key")).unwrap().len(), 64);
    }

    #[test]
    fn no_two_stages_share_a_key() {
        assert!(!stage().key.matches(&stage().key));
    }
}
