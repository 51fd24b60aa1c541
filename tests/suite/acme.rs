//! Certificates that are ordered, from a real ACME server.

use std::{
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::harness::{Call, Gateway, Pebble, Setup, Upstream, free};

/// A few orders that failed, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

const YEAR: u32 = 365 * 24 * 60 * 60;

fn kept_in(dir: &TempDir) -> String {
    format!("[state]\ndir = \"{}\"", dir.path().display())
}

/// Waits until the gateway shows another certificate than that, or any.
async fn another(gateway: &Gateway, than: Option<&CertificateDer<'_>>) -> CertificateDer<'static> {
    let begun = Instant::now();
    loop {
        match gateway.shown("localhost").await {
            Some(shown) if Some(&shown) != than => return shown,
            _ => assert!(begun.elapsed() < PATIENCE, "no certificate came"),
        }
        tokio::task::yield_now().await;
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_shown_kept_for_the_owner_alone_and_renewed() {
    let upstream = Upstream::start().await;
    let (mut pebble, state) = (Pebble::to_be(), TempDir::new().unwrap());
    let gateway = Setup::new(&upstream).acme(&pebble).also(&kept_in(&state)).start();
    assert_eq!(gateway.shown("localhost").await, None, "nothing to show yet");
    assert!(gateway.admin("/readyz").contains("200 OK"), "and ready all the same");
    pebble.start(6, gateway.address("https").port(), free().port());
    let first = another(&gateway, None).await;
    let dir = state.path().join("acme");
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = dir.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "an account, a certificate, a record: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
    let second = another(&gateway, Some(&first)).await;
    assert_ne!(first, second);
    assert!(gateway.orders("issued") >= 1.0);
    let proofs = ["https", "challenge"];
    assert!(gateway.metric("portcullis_tls_handshakes_total", &proofs) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_handshake_proves_nothing_the_redirect_listener_does() {
    let upstream = Upstream::start().await;
    let (mut pebble, state) = (Pebble::to_be(), TempDir::new().unwrap());
    let setup = Setup::new(&upstream).acme(&pebble).redirect();
    let gateway = setup.also(&kept_in(&state)).start();
    pebble.start(YEAR, free().port(), gateway.address("redirect").port());
    another(&gateway, None).await;
    let mut client = gateway.client_of("redirect", Ipv4Addr::LOCALHOST).await;
    let unknown = Call::get("/.well-known/acme-challenge/of-nobody");
    assert_eq!(client.ask(&unknown).await.status, 308, "a token of nobody is a path like any");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_kept_certificate_is_shown_and_nothing_is_ordered() {
    let upstream = Upstream::start().await;
    let (mut pebble, state) = (Pebble::to_be(), TempDir::new().unwrap());
    let gateway = Setup::new(&upstream).acme(&pebble).also(&kept_in(&state)).start();
    pebble.start(YEAR, gateway.address("https").port(), free().port());
    let kept = another(&gateway, None).await;
    drop(gateway);
    let gateway = Setup::new(&upstream).acme(&pebble).also(&kept_in(&state)).start();
    assert_eq!(gateway.shown("localhost").await, Some(kept));
    assert_eq!(gateway.orders("issued") + gateway.orders("failed"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_failed_is_remembered_over_a_restart() {
    let upstream = Upstream::start().await;
    let (pebble, state) = (Pebble::to_be(), TempDir::new().unwrap());
    let start = || Setup::new(&upstream).acme(&pebble).also(&kept_in(&state)).start();
    let failures = || {
        let dir = state.path().join("acme").read_dir().into_iter().flatten().flatten();
        let text: String =
            dir.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        serde_json::from_str(&text)
            .map_or(0, |record: serde_json::Value| record["failures"].as_u64().unwrap())
    };
    let mut before = 0;
    for _ in 0..2 {
        let gateway = start();
        let begun = Instant::now();
        while failures() <= before {
            assert!(begun.elapsed() < PATIENCE, "no order");
            tokio::task::yield_now().await;
        }
        before = failures();
        drop(gateway);
    }
    assert!(before >= 2);
}
