//! What can't start says why in one message.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use super::{command, config, portcullis};

/// One clear message, an exit code and nothing for programmers.
fn fails(output: &Output, message: &str) {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(error.contains(message), "{message:?} isn't in {error}");
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in ["panicked", "backtrace", "RUST_BACKTRACE", "src/", "Os {"] {
        assert!(!error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_bad_configuration_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let bad = config("127.0.0.1:0", "127.0.0.1:1").replace("endpoints", "endpoint");
    fails(&portcullis(&dir, &bad).output().unwrap(), "portcullis.toml:7:1: error: ");
    fails(&portcullis(&dir, "= nonsense").output().unwrap(), "portcullis.toml:1:1: error: ");
    fails(&command(&dir.path().join("absent.toml")).output().unwrap(), "there is no such file");
    fails(&command(&dir.path().to_owned()).output().unwrap(), "this is a directory");
}

#[test]
fn an_address_that_can_not_be_had_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = config(&holder.local_addr().unwrap().to_string(), "127.0.0.1:1");
    fails(&portcullis(&dir, &in_use).output().unwrap(), "the port is in use");
    let elsewhere = config("192.0.2.1:80", "127.0.0.1:1");
    fails(
        &portcullis(&dir, &elsewhere).output().unwrap(),
        "this machine doesn't have that address",
    );
}

/// The same command without the rights that root has and a service user hasn't: the user who runs
/// the tests may be either.
fn without_rights(command: Command) -> Command {
    if !rustix::process::geteuid().is_root() {
        return command;
    }
    let rights = "--bounding-set=-net_bind_service,-dac_override,-dac_read_search";
    wrapped(&["setpriv", rights, "--inh-caps=-all", "--"], command)
}

/// The same command in a net of its own, where no setting of the machine lets everybody have every
/// port.
fn in_a_net_of_its_own(command: Command) -> Command {
    let root = rustix::process::geteuid().is_root();
    wrapped(if root { &["unshare", "--net"] } else { &["unshare", "--user", "--net"] }, command)
}

pub(super) fn wrapped(wrapper: &[&str], inner: Command) -> Command {
    let mut outer = Command::new(wrapper[0]);
    outer.args(&wrapper[1..]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        outer.env(name, value.unwrap_or_default());
    }
    outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    outer
}

const NO_RIGHT: &str = "no permission; ports below 1024 need CAP_NET_BIND_SERVICE";

#[test]
fn a_port_that_takes_a_right_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let command = without_rights(portcullis(&dir, &config("0.0.0.0:1", "127.0.0.1:1")));
    let setting = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let everybody_may = std::fs::read_to_string(setting).is_ok_and(|first| first.trim() == "0");
    // Docker sets it so for its containers, and then mostly forbids the net of its own too.
    if !everybody_may {
        fails(&{ command }.output().unwrap(), NO_RIGHT);
    } else if in_a_net_of_its_own(Command::new("true")).status().is_ok_and(|s| s.success()) {
        fails(&in_a_net_of_its_own(command).output().unwrap(), NO_RIGHT);
    } else {
        holds_the_words_alone();
    }
}

#[expect(clippy::print_stderr, reason = "what a machine can't show isn't passed over in silence")]
fn holds_the_words_alone() {
    eprintln!("every user has every port here, so no bind was refused; the words alone are held");
    let error = portcullis::gateway::BootError::Bind {
        listener: "http".to_owned(),
        address: SocketAddr::from(([0, 0, 0, 0], 1)),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    assert!(error.to_string().contains(NO_RIGHT), "{error}");
}

#[test]
fn a_file_that_may_not_be_read_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let mut command = without_rights(portcullis(&dir, &config("127.0.0.1:0", "127.0.0.1:1")));
    let nobody = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(dir.path().join("portcullis.toml"), nobody).unwrap();
    fails(&command.output().unwrap(), "this user may not read the file");
}

#[test]
fn an_audit_that_can_not_be_written_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (file, message) in [
        ("fifo", "fifo: not a plain file; it has to be a plain file"),
        ("absent/audit.jsonl", "in a directory that exists and is writable by this user"),
    ] {
        let text = config("127.0.0.1:0", "127.0.0.1:1");
        let text = format!("{text}[audit]\nfile = \"{file}\"\n");
        fails(&portcullis(&dir, &text).output().unwrap(), message);
    }
}
