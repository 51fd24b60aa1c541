//! The built gateway as its own process, with a configuration and certificates made on the spot.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// `portcullis run` with one TLS listener and the admin address, both on ports it chose.
pub(crate) struct Gateway {
    /// The TLS listener; the certificate is for `localhost`.
    pub(crate) https: SocketAddr,
    /// `/metrics` and health.
    pub(crate) admin: SocketAddr,
    process: Process,
    folder: TempDir,
}

impl Gateway {
    /// Starts it with `rest` after the listener and the admin address in its configuration.
    ///
    /// # Panics
    /// When it doesn't listen by the deadline, with its whole log.
    pub(crate) fn start(rest: &str, deadline: Instant) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        write_certificates(&path);
        let config = path("portcullis.toml");
        let head = format!(
            "[[listeners]]\nname = \"https\"\naddress = \"127.0.0.1:0\"\n\
             tls = {{ certificates = [{{ cert = {:?}, key = {:?} }}] }}\n\n\
             [admin]\naddress = \"127.0.0.1:0\"\n\n",
            path("leaf.pem"),
            path("leaf.key"),
        );
        fs::write(&config, head + rest).expect("the folder is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let process = Process::start(command.arg("run").arg("--config").arg(config));
        let (mut https, mut admin) = (None, None);
        while https.is_none() || admin.is_none() {
            match process.wait_for(deadline, listening) {
                (name, address) if name == "https" => https = Some(address),
                (name, address) if name == "admin" => admin = Some(address),
                _ => {}
            }
        }
        let (https, admin) = https.zip(admin).expect("the loop ends with both");
        Self { https, admin, process, folder }
    }

    /// The file with the authority that signed its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The body of `GET /metrics`.
    pub(crate) fn metrics(&self) -> String {
        let mut admin = TcpStream::connect(self.admin).expect("the admin address is open");
        admin.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        admin.write_all(request.as_bytes()).expect("it reads a short head");
        let mut answer = String::new();
        admin.read_to_string(&mut answer).expect("text, then the end");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        body.to_owned()
    }

    /// Ends it as an operator does, and hands back all that it wrote.
    ///
    /// # Panics
    /// When it isn't gone by the deadline, or its exit code isn't 0.
    pub(crate) fn stop(self, deadline: Instant) -> String {
        self.process.signal("TERM");
        let (status, output) = self.process.finish(deadline);
        assert!(status.success(), "{status} after SIGTERM; its log:\n{output}");
        output
    }
}

/// Name and address of a listener, from the line that the gateway writes when it is open.
fn listening(line: &str) -> Option<(String, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let is_ours = line.get("event")?.as_str()? == "listening";
    let address = line.get("address")?.as_str()?.parse().ok()?;
    is_ours.then_some((line.get("listener")?.as_str()?.to_owned(), address))
}

fn write_certificates(path: &impl Fn(&str) -> PathBuf) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names, none bad");
    // Named apart from the leaf, or OpenSSL takes that for self-signed.
    authority.distinguished_name.push(DnType::CommonName, "Authority of the tests");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
        .expect("fixed parameters");
    let key = KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut leaf = CertificateParams::new(names).expect("good names");
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, &authority).expect("fixed parameters");
    fs::write(path("ca.pem"), authority.pem()).expect("the folder is ours");
    fs::write(path("leaf.pem"), leaf.pem()).expect("the folder is ours");
    fs::write(path("leaf.key"), key.serialize_pem()).expect("the folder is ours");
    fs::set_permissions(path("leaf.key"), fs::Permissions::from_mode(0o600)).expect("it is ours");
}
