//! Envoy; what it is told, and why, stands in `envoy.yaml`.

use std::{path::Path, process::Command, thread::available_parallelism};

use super::Site;
use crate::Outcome;

/// Where `make bench-tools` puts it.
pub(super) const PROGRAM: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/.venv/bin/envoy");

pub(super) fn command(config: &Path) -> Outcome<Command> {
    let mut command = Command::new(PROGRAM);
    // As many as nginx and HAProxy take by themselves.
    let threads = available_parallelism()?.to_string();
    command.args(["--log-level", "warning", "--concurrency", &threads]);
    // Two that run at once would take each other for what they are to replace.
    command.arg("--disable-hot-restart").arg("--config-path").arg(config);
    Ok(command)
}

pub(super) fn config(Site { address, server, trust, own, .. }: &Site<'_>) -> String {
    include_str!("envoy.yaml")
        .replace("@port@", &address.port().to_string())
        .replace("@server@", &server.port().to_string())
        .replace("@certificate@", &trust.certificate.display().to_string())
        .replace("@key@", &trust.key.display().to_string())
        .replace("@own@", &own.display().to_string())
}
