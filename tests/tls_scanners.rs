//! What scanners of TLS say of the built gateway. `make test` asks sslyze, which knows Mozilla's
//! profiles; `make tls-scan` asks testssl.sh as well, which takes a minute.

#![expect(clippy::expect_used, reason = "a test ends at the line where its ground gives way")]
#![expect(clippy::panic, reason = "a test ends at the line where its ground gives way")]

#[path = "clients/certificates.rs"]
mod certificates;
#[path = "clients/gateway.rs"]
#[expect(dead_code, reason = "nobody asks here what was measured, or which server was found")]
mod gateway;
#[expect(dead_code, reason = "the talk with a program is for the clients of `real_clients.rs`")]
#[path = "clients/process.rs"]
mod process;

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::Gateway;

/// How long sslyze may take. It takes six seconds where it has a processor to itself.
const LIMIT: Duration = Duration::from_secs(60);

/// How long testssl.sh may take. It takes fifty seconds.
const LONG: Duration = Duration::from_secs(400);

const CONFIGURATION: &str = include_str!("clients/nobody_calls.toml");

/// What sslyze has to answer, by command and by the name of the answer. Its answer about tickets is
/// not here: it counts a resumption only where the same ticket is given out again, and here each is
/// renewed (RFC 8446 C.4). `src/edge/certificates.rs` proves that clients resume with them.
const ANSWERS: [(&str, &str, &str); 9] = [
    ("heartbleed", "is_vulnerable_to_heartbleed", "false"),
    ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", "false"),
    ("robot", "robot_result", "\"NOT_VULNERABLE_RSA_NOT_SUPPORTED\""),
    ("session_renegotiation", "supports_secure_renegotiation", "true"),
    ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", "false"),
    ("tls_compression", "supports_compression", "false"),
    ("tls_fallback_scsv", "supports_fallback_scsv", "true"),
    ("tls_extended_master_secret", "supports_ems_extension", "true"),
    ("tls_1_3_early_data", "supports_early_data", "false"),
];

/// Findings of testssl.sh above LOW that are right as they are, each with the reason.
const EXPLAINED: [(&str, &str); 2] = [
    // The client's order of suites counts, as in Mozilla's profile (guideline 6.0): all six are as
    // good, and a telephone without AES in hardware knows that ChaCha20 is the faster one.
    ("cipher_order", "NOT a cipher order configured"),
    // About the OpenSSL that the scan runs with.
    ("engine_problem", "No engine or GOST support"),
];

/// A gateway, and the folder with what clients believe.
fn start(deadline: Instant) -> (Gateway, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let authority = folder.path().join("ca.pem");
    let configuration = certificates::listener(folder.path()) + CONFIGURATION;
    (Gateway::start(folder, &configuration, deadline), authority)
}

#[test]
fn sslyze_finds_mozillas_intermediate_profile_and_no_weakness() {
    let deadline = Instant::now() + LIMIT;
    let (gateway, authority) = start(deadline);
    let sslyze = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scanners/.venv/bin/sslyze");
    let notes = TempDir::new().expect("a temporary folder");
    let json = notes.path().join("scan.json");
    let scan = Command::new(sslyze)
        .arg("--certinfo_ca_file")
        .arg(authority)
        .arg(format!("--json_out={}", json.display()))
        .args(["--mozilla_config=intermediate", "--resum", "--early_data"])
        .arg(format!("localhost:{}", gateway.listener.port()))
        .output()
        .expect("sslyze is missing: run `make test`");
    // 0 says compliant: versions, suites, groups, weaknesses and the certificate.
    let said = String::from_utf8(scan.stdout).expect("it writes text");
    assert!(scan.status.success(), "{said}");
    let found: Value =
        serde_json::from_slice(&fs::read(&json).expect("sslyze wrote it")).expect("JSON");
    let results = found.pointer("/server_scan_results/0/scan_result").expect("one server");
    for (command, name, expected) in ANSWERS {
        let answer = results.pointer(&format!("/{command}/result/{name}"));
        assert_eq!(answer.map(Value::to_string).as_deref(), Some(expected), "{command}: {name}");
    }
    let spoken = |version: &str| {
        let at = format!("/{version}_cipher_suites/result/is_tls_version_supported");
        results.pointer(&at).and_then(Value::as_bool)
    };
    for (version, speaks) in
        [("ssl_3_0", false), ("tls_1_0", false), ("tls_1_1", false), ("tls_1_2", true)]
    {
        assert_eq!(spoken(version), Some(speaks), "{version}");
    }
    assert_eq!(spoken("tls_1_3"), Some(true));
    gateway.stop(deadline);
}

#[test]
#[ignore = "takes a minute: `make tls-scan`"]
#[expect(clippy::print_stdout, reason = "what was found is what it is run for")]
fn testssl_finds_nothing_above_low_that_is_not_explained() {
    let deadline = Instant::now() + LONG;
    let (gateway, authority) = start(deadline);
    let notes = TempDir::new().expect("a temporary folder");
    let json = notes.path().join("scan.json");
    // Debian calls it without its ending.
    let scan = Command::new("testssl")
        .args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "one"])
        .args(["-p", "-f", "-P", "-U", "-E"])
        .arg("--jsonfile")
        .arg(&json)
        .arg("--add-ca")
        .arg(authority)
        .arg(format!("https://localhost:{}", gateway.listener.port()))
        .output()
        .expect("testssl is missing: run `make tls-scan`");
    let said = String::from_utf8(scan.stdout).expect("it writes text");
    let findings: Vec<Value> =
        serde_json::from_slice(&fs::read(&json).expect("testssl wrote it")).expect("JSON");
    let text = |finding: &Value, name: &str| {
        finding.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{finding}")).to_owned()
    };
    let ids: Vec<_> = findings.iter().map(|finding| text(finding, "id")).collect();
    for section in ["TLS1_3", "PFS", "heartbleed", "ROBOT", "LUCKY13", "RC4"] {
        assert!(ids.iter().any(|id| id == section), "no word of {section}:\n{said}");
    }
    let harmless = |finding: &&Value| {
        let (id, what) = (text(finding, "id"), text(finding, "finding"));
        let explained = EXPLAINED.iter().any(|(name, why)| *name == id && what.starts_with(why));
        matches!(&*text(finding, "severity"), "OK" | "INFO" | "LOW") || explained
    };
    let bad: Vec<_> = findings.iter().filter(|finding| !harmless(finding)).collect();
    assert!(bad.is_empty(), "{bad:#?}\n{said}");
    println!("{said}");
    gateway.stop(deadline);
}
