use std::sync::Arc;

use super::*;
use crate::snapshot::{HealthCheck, MOST_ENDPOINTS, Scheme, Upstream};

fn upstream(site: &Site, text: &str) -> Arc<Upstream> {
    let snapshot = site.compiled(text);
    Arc::clone(&snapshot.routes.iter().next().unwrap().upstream)
}

/// The minimal file with other settings of its upstream.
fn with(settings: &str) -> String {
    MINIMAL.replace("endpoints = [\"http://127.0.0.1:3000\"]", settings)
}

#[test]
fn an_https_endpoint_is_connected_to_with_its_own_authority() {
    let site = Site::new();
    site.certificate("ca", (2026, 1, 1), (2027, 1, 1));
    let upstream = upstream(&site, &with("endpoints = [\"https://postiz\"], ca = \"ca.pem\""));
    let endpoint = upstream.endpoints.first();
    assert_eq!((endpoint.scheme, endpoint.port), (Scheme::Https, 443));
    assert_eq!(upstream.tls.as_ref().unwrap().config.alpn_protocols, [b"http/1.1"]);
    let plain = MINIMAL.replace("3000\"]", "3000\"], ca = \"ca.pem\"");
    assert_eq!(site.messages(&plain), ["`ca` without an https:// endpoint is never asked"]);
}

#[test]
fn there_are_as_many_endpoints_as_a_choice_can_have() {
    let list = |count: usize| {
        let all: Vec<_> = (0..count).map(|at| format!("\"http://10.0.0.1:{}\"", at + 1)).collect();
        with(&format!("endpoints = [{}]", all.join(", ")))
    };
    let site = Site::new();
    let most = upstream(&site, &list(MOST_ENDPOINTS));
    assert_eq!(most.endpoints.iter().count(), MOST_ENDPOINTS);
    let ports: Vec<_> = most.endpoints.iter().map(|endpoint| endpoint.port).collect();
    assert_eq!(ports[..3], [1, 2, 3], "in the order of the file");
    assert_eq!(
        site.messages(&list(MOST_ENDPOINTS + 1)),
        ["there can be 32 endpoints, and this is one more"]
    );
}

#[test]
fn a_path_is_all_that_health_needs() {
    let site = Site::new();
    let endpoints = "endpoints = [\"http://127.0.0.1:3000\"]";
    let upstream = upstream(&site, &with(&format!("{endpoints}, health = {{ path = \"/up?x\" }}")));
    let check = HealthCheck {
        path: "/up?x".into(),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        healthy_after: 1,
        unhealthy_after: 2,
    };
    assert_eq!(upstream.health, Some(check));
    for path in ["up", "", "/a b", "/a#b", "/\u{e4}"] {
        let text = with(&format!("{endpoints}, health = {{ path = \"{path}\" }}"));
        let messages = site.messages(&text);
        assert!(messages[0].ends_with("is no path to ask for"), "{path}: {messages:?}");
    }
}

#[test]
fn what_a_running_server_rests_on_is_compared_and_not_how_it_is_written() {
    let site = Site::new();
    site.certificate("ca", (2026, 1, 1), (2027, 1, 1));
    site.certificate("other", (2026, 1, 1), (2027, 1, 1));
    let text =
        |settings: &str| with(&format!("endpoints = [\"https://a\", \"https://b\"], {settings}"));
    let plain = text("ca = \"ca.pem\"");
    let before = upstream(&site, &plain);
    let ca = std::fs::read_to_string(site.0.path().join("ca.pem")).unwrap();
    let again = upstream(&site, &plain);
    assert!(before.same_as(&again) && !Arc::ptr_eq(&before, &again));
    site.write("moved.pem", &format!("{ca}{ca}"), 0o644);
    assert!(before.same_as(&upstream(&site, &text("ca = \"moved.pem\""))), "the same authority");
    for other in [
        text("ca = \"other.pem\""),
        plain.replace("https://b", "https://c"),
        plain.replace("\"https://a\", \"https://b\"", "\"https://b\", \"https://a\""),
        text("ca = \"ca.pem\", health = { path = \"/\" }"),
        text("ca = \"ca.pem\", dialect = \"auto\""),
        text("ca = \"ca.pem\", session_idle = \"30m\""),
        text("ca = \"ca.pem\", max_requests = 7"),
        text("ca = \"ca.pem\", pin = \"observe\""),
        text("ca = \"ca.pem\", shared_streams = false"),
        text("ca = \"ca.pem\", strip_prefix = \"/mcp\""),
    ] {
        assert!(!before.same_as(&upstream(&site, &other)), "{other}");
    }
}
