//! Portcullis, with every check on.

use std::{net::SocketAddr, path::Path, process::Command};

use super::{KEY_SHA256, Serving, Site};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

pub(super) fn command(config: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("run").arg("--config").arg(config);
    command
}

pub(super) fn config(site: &Site<'_>) -> String {
    let Site { address, server, trust, serving, .. } = site;
    let (cert, key) = (trust.certificate.display(), trust.key.display());
    let files = match serving {
        Serving::Mcp | Serving::Ruled => String::new(),
        Serving::Files => files(*server),
    };
    let rules = match serving {
        Serving::Ruled => RULES,
        Serving::Mcp | Serving::Files => "",
    };
    format!(
        r#"
[[listeners]]
name = "https"
address = "{address}"
tls = {{ certificates = [{{ cert = "{cert}", key = "{key}" }}] }}

[access]
allow = ["0.0.0.0/0", "::/0"]
deny = ["192.0.2.0/24", "198.51.100.0/24"]

[limits]
connections_per_address = 9000
streams_per_address = 9000
handshakes = 1024

[upstreams.server]
endpoints = ["http://{server}"]
strip_prefix = "/api"

[[routes]]
name = "mcp"
paths = ["/api/mcp/{{key}}"]
kind = "mcp"
upstream = "server"
allow = ["127.0.0.0/8"]
rate = "1000000/s"
burst = 1000000
max_streams = 9000

[[consumers]]
name = "bench"
key_sha256 = "{KEY_SHA256}"
allow = ["127.0.0.0/8"]
rate = "1000000/s"
{rules}
{files}
"#
    )
}

/// As a team would write them; the call is of one of the last.
const RULES: &str = r#"tools = { allow = ["groupList", "posts*", "integration*"], deny = ["triggerTool", "ask_postiz"] }"#;

/// An upstream of their own: they keep the whole path.
fn files(server: SocketAddr) -> String {
    format!(
        r#"
[upstreams.files]
endpoints = ["http://{server}"]

[[routes]]
name = "site"
paths = ["/files"]
kind = "web"
upstream = "files"
"#
    )
}
