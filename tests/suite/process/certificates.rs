//! Certificates on the disk that can't take the place of those that serve.

use std::{fs, path::Path, time::Instant};

use tempfile::TempDir;

use super::{PATIENCE, Process, config};
use crate::harness::{Authority, Pair};

const REFUSED: &str = "a certificate can't be replaced";

/// A gateway with a certificate in `site.pem` and `site.key` of a directory.
fn serving(dir: TempDir, pair: &Pair) -> Process {
    put(dir.path(), pair);
    serving_and(dir, "")
}

/// The same with what is there, and more is said of TLS.
fn serving_and(dir: TempDir, more: &str) -> Process {
    let tls = |at: &str| {
        let pair = "certificates = [{ cert = \"site.pem\", key = \"site.key\" }]";
        let listener = format!("\ntls = {{ {pair}{more} }}\n");
        let text = config(at, "127.0.0.1:1");
        text.replacen("\"\n[admin]", &format!("\"{listener}[admin]"), 1)
    };
    Process::start_with(dir, tls, |command| {
        command.env("RUST_LOG", "info");
    })
}

#[test]
fn an_authority_of_clients_that_is_half_written_is_told_once_and_never_counts() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    put(dir.path(), &Pair::of(&["a.test"]));
    fs::write(dir.path().join("clients.pem"), authority.pem()).unwrap();
    let clients = dir.path().join("clients.pem");
    let process = serving_and(dir, ", client_ca = \"clients.pem\"");
    let whole = authority.pem();
    fs::write(&clients, &whole[..whole.len() / 2]).unwrap();
    assert!(process.says("who answers for clients can't be replaced"));
    fs::write(&clients, Authority::new().pem()).unwrap();
    assert!(process.says("who answers for clients was replaced"));
    process.end();
}

fn put(dir: &Path, pair: &Pair) {
    fs::write(dir.join("site.pem"), &pair.cert).unwrap();
    fs::write(dir.join("site.key"), &pair.key).unwrap();
}

/// What the metrics say of the certificates, and so which serves.
fn ends(process: &Process) -> String {
    let metrics = process.ask_admin("/metrics").unwrap();
    let of = "portcullis_certificate_expiry_timestamp_seconds{";
    metrics.lines().filter(|line| line.starts_with(of)).collect()
}

fn ends_become(process: &Process, when: &str) {
    let begun = Instant::now();
    while !ends(process).ends_with(when) {
        assert!(begun.elapsed() < PATIENCE, "{} isn't {when}", ends(process));
        std::thread::yield_now();
    }
}

#[test]
fn what_does_not_fit_is_told_once_and_the_old_one_serves_until_it_fits() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_owned();
    let process = serving(dir, &Pair::until(&["gateway.test"], 2100));
    let new = Pair::until(&["gateway.test"], 2500);
    fs::write(path.join("site.pem"), &new.cert).unwrap();
    assert!(process.says("this key does not belong to the certificate"));
    ends_become(&process, " 4102444800");
    fs::write(path.join("site.key"), &new.key).unwrap();
    ends_become(&process, " 16725225600");
    assert!(process.says("a certificate was replaced"));
    let (out, _) = process.end();
    let told = String::from_utf8(out).unwrap();
    let lines: Vec<_> = told.lines().filter(|line| line.contains(REFUSED)).collect();
    let [line] = lines[..] else { panic!("told once: {lines:?}") };
    assert!(line.contains("take both from one order") && line.contains("site.pem"), "{line}");
}

#[test]
fn what_is_half_written_gone_or_over_never_serves() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_owned();
    let process = serving(dir, &Pair::until(&["gateway.test"], 2100));
    let (new, over) = (Pair::until(&["gateway.test"], 2500), Pair::until(&["gateway.test"], 2020));
    let files = |cert: &str, key: &str| {
        put(&path, &Pair { cert: cert.to_owned(), key: key.to_owned(), der: new.der.clone() });
    };
    files(&new.cert[..new.cert.len() / 2], &new.key);
    assert!(process.says("site.pem\\\" holds no certificate"));
    files(&new.cert, &new.key[..40]);
    assert!(process.says("site.key\\\" holds no private key that can be used"));
    files(&over.cert, &over.key);
    assert!(process.says("the certificate ended on 2020-01-01"));
    fs::remove_file(path.join("site.pem")).unwrap();
    assert!(process.says("site.pem\\\" does not exist"));
    ends_become(&process, " 4102444800");
    files(&new.cert, &new.key);
    ends_become(&process, " 16725225600");
    process.end();
}
