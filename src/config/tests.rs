mod acme;
mod addresses;
mod audit;
mod client_certificates;
mod endpoints;
mod oauth;
mod rotation;

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;
use crate::{
    snapshot::{HostHeader, ListenerKind, Refusals, Tls, UnknownKeys},
    types::{KeyDigest, Secret},
};

/// 2026-11-23.
const NOW_SECONDS: u64 = 1_795_392_000;

const MINIMAL: &str = r#"
    listeners = [{ name = "http", address = "127.0.0.1:0" }]
    upstreams.postiz = { endpoints = ["http://127.0.0.1:3000"] }
    routes = [{ name = "mcp", paths = ["/mcp/{key}"], upstream = "postiz", unknown_keys = "forward", rate = "100/min" }]
"#;

struct Site(TempDir);

impl Site {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A certificate for `*.example.com` between two days.
    fn certificate(&self, name: &str, from: (i32, u8, u8), until: (i32, u8, u8)) {
        let mut params = CertificateParams::new(vec!["*.Example.com".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        self.write(&format!("{name}.pem"), &cert.pem(), 0o644);
        self.write(&format!("{name}.key"), &key.serialize_pem(), 0o600);
    }

    fn compile(&self, text: &str) -> Loaded {
        let environment = |name: &str| match name {
            "KEY" => Some("  the-real-key\n".into()),
            "EMPTY" => Some(" \n".into()),
            "BLANK" => Some("two words".into()),
            "DOTS" => Some("..".into()),
            _ => None,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_SECONDS);
        compile_text(text, Surroundings { base_dir: self.0.path(), environment: &environment, now })
    }

    fn messages(&self, text: &str) -> Vec<String> {
        self.compile(text).problems.into_iter().map(|problem| problem.message).collect()
    }

    fn compiled(&self, text: &str) -> Snapshot {
        let loaded = self.compile(text);
        let said = render(&loaded.problems, text, "test", false);
        loaded.snapshot.unwrap_or_else(|| panic!("{said}"))
    }
}

fn tls(name: &str) -> String {
    let files = format!("{{ cert = \"{name}.pem\", key = \"{name}.key\" }}");
    MINIMAL.replace(":0\"", &format!(":0\", tls = {{ certificates = [{files}] }}"))
}

fn consumer(lines: &str) -> String {
    let digest = "ab".repeat(32);
    format!("{MINIMAL}\n[[consumers]]\nname = \"c\"\nkey_sha256 = \"{digest}\"\n{lines}")
}

#[test]
fn one_listener_one_upstream_and_one_route_are_complete() {
    let site = Site::new();
    assert_eq!(site.messages(MINIMAL), Vec::<String>::new());
    let snapshot = site.compiled(MINIMAL);
    let route = snapshot.routes.iter().next().unwrap();
    let rules = route.mcp().unwrap();
    assert_eq!((rules.max_streams, rules.max_body), (8, 4 << 20));
    assert_eq!((rules.unknown_keys, rules.refusals), (UnknownKeys::Forward, Refusals::InBand));
    assert_eq!(route.quota.unwrap().burst, route.quota.unwrap().count);
    assert_eq!(route.host_header, HostHeader::Endpoint);
    assert!(matches!(snapshot.listeners[0].kind, ListenerKind::Plain));
    assert!(snapshot.access.nets.is_open() && route.nets.is_open());
    assert_eq!(snapshot.limits.unproven_per_address.count.get(), 60);
    assert_eq!(&*snapshot.access.trusted_header, "x-forwarded-for");
    assert!(snapshot.admin.is_none() && snapshot.state_dir.is_none());
}

#[test]
fn an_empty_file_lacks_three_things() {
    let missing =
        ["the file has no `listeners`", "the file has no `upstreams`", "the file has no `routes`"];
    assert_eq!(Site::new().messages(""), missing);
}

#[test]
fn a_certificate_is_read_with_its_names_and_its_end() {
    let site = Site::new();
    site.certificate("good", (2026, 1, 1), (2027, 1, 1));
    let text = tls("good").replace("paths", "hosts = [\"mcp.example.com\"], paths");
    assert_eq!(site.messages(&text), Vec::<String>::new());
    let snapshot = site.compiled(&text);
    let ListenerKind::Tls(Tls { certificates, .. }) = &snapshot.listeners[0].kind else {
        panic!("not TLS")
    };
    assert_eq!(certificates[0].label.as_str(), "example.com");
    assert_eq!(&*certificates[0].names[0], "*.example.com");
    assert_eq!(certificates[0].expires_at, 1_798_761_600);
}

#[test]
fn a_certificate_that_clients_would_refuse_is_reported() {
    let site = Site::new();
    site.certificate("good", (2026, 1, 1), (2027, 1, 1));
    site.certificate("ended", (2026, 1, 1), (2026, 11, 20));
    site.certificate("ending", (2026, 1, 1), (2026, 12, 1));
    site.certificate("early", (2026, 12, 1), (2027, 1, 1));
    site.write("text.pem", "no certificate", 0o644);
    site.write("text.key", "no key", 0o600);
    for (text, message) in [
        (tls("ended"), "the certificate ended on 2026-11-20"),
        (tls("ending"), "the certificate ends on 2026-12-01"),
        (tls("early"), "the certificate is not valid before 2026-12-01"),
        (
            tls("good").replace("good.key", "ended.key"),
            "this key does not belong to the certificate",
        ),
        (
            tls("good").replace("good.key", "text.key"),
            "\"text.key\" holds no private key that can be used",
        ),
        (tls("good").replace("good.pem", "text.pem"), "\"text.pem\" holds no certificate"),
        (
            tls("good").replace("paths", "hosts = [\"a.b.example.com\"], paths"),
            "no certificate is for \"a.b.example.com\"",
        ),
    ] {
        assert_eq!(site.messages(&text), [message]);
    }
}

#[test]
fn a_secret_that_everyone_can_read_is_a_warning() {
    let site = Site::new();
    site.certificate("good", (2026, 1, 1), (2027, 1, 1));
    site.write("secret", "k", 0o644);
    let loaded = site.compile(&consumer("upstream_key = \"file:secret\""));
    assert!(loaded.snapshot.is_some(), "a warning doesn't keep it from running");
    assert_eq!(loaded.problems[0].message, "every user of this machine can read \"secret\"");
    assert_eq!(loaded.problems[0].hint.as_deref(), Some("run: chmod 600 secret"));
    site.write(
        "good.key",
        &std::fs::read_to_string(site.0.path().join("good.key")).unwrap(),
        0o604,
    );
    assert_eq!(site.messages(&tls("good")), ["every user of this machine can read \"good.key\""]);
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file_without_the_blanks_around_it() {
    let site = Site::new();
    site.write("secret", "from-a-file\n", 0o600);
    for (reference, key) in [("env:KEY", "the-real-key"), ("file:secret", "from-a-file")] {
        let snapshot = site.compiled(&consumer(&format!("upstream_key = \"{reference}\"")));
        let consumer = snapshot.consumers.iter().next().unwrap();
        let key = Secret::new(key.to_owned());
        assert!(consumer.upstream_key.as_ref().is_some_and(|secret| secret.matches(&key)));
        assert_eq!(Some(consumer.digest), KeyDigest::parse_hex(&"ab".repeat(32)));
    }
}

#[test]
fn a_secret_without_a_source_is_reported_and_never_shown() {
    let site = Site::new();
    for (value, message) in [
        ("\"env:NOT_SET\"", "`upstream_key`: the environment has no variable \"NOT_SET\""),
        ("\"env:EMPTY\"", "`upstream_key`: the secret is empty"),
        (
            "\"env:BLANK\"",
            "`upstream_key`: the secret holds a blank, a line end or a character outside ASCII",
        ),
        (
            "\"env:DOTS\"",
            "`upstream_key`: the secret is a dot segment, which leads elsewhere in a path",
        ),
        ("\"file:nothing\"", "`upstream_key`: \"nothing\" does not exist"),
        ("\"file:.\"", "`upstream_key`: \".\" is a directory"),
        ("\"CANARY\"", "`upstream_key`: a secret is never written in the file"),
        ("\"env:CANARY!\"", "`upstream_key`: a secret is never written in the file"),
        ("[\"CANARY\"]", "`upstream_key`: a secret is never written in the file"),
        ("12345678", "`upstream_key`: a secret is never written in the file"),
    ] {
        let text = consumer(&format!("upstream_key = {value}"));
        let loaded = site.compile(&text);
        assert!(loaded.snapshot.is_none(), "a consumer must not run with its own key instead");
        let messages: Vec<_> = loaded.problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(messages, [message]);
        let said = render(&loaded.problems, &text, "test", true);
        assert!(!said.contains("CANARY") && !said.contains("12345678"), "{said}");
    }
}

#[test]
fn a_secret_on_a_line_that_is_no_toml_is_not_shown() {
    let site = Site::new();
    for line in [
        "upstream_key = \"CANARY",
        "upstream_key = CANARY",
        "upstream_kye = \"CANARY\"",
        "some_password = \"CANARY\"",
        "pasted = \"CANARY\"",
        "allow = [\nupstream_key = \"CANARY\"",
        "rate = \"c4n4ryc4n4ryc4n4ryCANARY\"",
        "0123456789abcdefCANARY",
    ] {
        let text = consumer(line);
        let loaded = site.compile(&text);
        let said = render(&loaded.problems, &text, "test", false);
        assert!(loaded.snapshot.is_none() && !said.contains("CANARY"), "{line}: {said}");
    }
}

#[test]
fn a_day_ends_with_its_last_second() {
    let site = Site::new();
    let snapshot = site.compiled(&consumer("expires = 2027-01-31"));
    let end = snapshot.consumers.iter().next().unwrap().expires_at;
    assert_eq!(end, Some(1_801_440_000), "2027-02-01T00:00:00Z");
    assert_eq!(
        site.messages(&consumer("expires = 2026-11-22")),
        ["this consumer has expired: its key is refused"]
    );
    assert_eq!(site.messages(&consumer("expires = 2026-11-23")), Vec::<String>::new());
}

#[test]
fn a_redirect_leads_to_the_port_of_a_tls_listener() {
    let site = Site::new();
    site.certificate("good", (2026, 1, 1), (2027, 1, 1));
    let second =
        ", { name = \"plain\", address = \"0.0.0.0:0\", redirect = \"http\" }]\n    upstreams";
    let redirecting =
        tls("good").replace(":0\"", ":8443\"").replacen("]\n    upstreams", second, 1);
    let snapshot = site.compiled(&redirecting);
    assert!(matches!(snapshot.listeners[1].kind, ListenerKind::Redirect { port: 8443 }));
    let to_plain = MINIMAL.replacen("]\n    upstreams", second, 1);
    assert_eq!(site.messages(&to_plain), ["\"http\" does not speak TLS"]);
}

#[test]
fn two_paths_that_fit_one_request_equally_well_are_reported_with_both_places() {
    let site = Site::new();
    let route = |name: &str, path: &str| {
        format!("{{ name = \"{name}\", paths = [\"{path}\"], upstream = \"postiz\" }}")
    };
    let text = |paths: [&str; 2]| {
        let at = MINIMAL.find("routes").unwrap();
        let routes = [route("one", paths[0]), route("other", paths[1])].join(",\n");
        format!("{}routes = [\n{routes}]\n", &MINIMAL[..at])
    };
    let clash = |paths| {
        let problems = site.compile(&text(paths)).problems;
        problems.into_iter().find(|problem| problem.severity == Severity::Error)
    };
    for (paths, message) in [
        (["/a/{key}", "/A/{key}"], "\"/A/{key}\" is claimed twice for any host"),
        (["/a/{key}/c", "/a/b/{key}"], "\"/a/b/{key}\" fits paths that \"/a/{key}/c\" fits too"),
        (["/{key}/b/c", "/a/B/{key}"], "\"/a/B/{key}\" fits paths that \"/{key}/b/c\" fits too"),
    ] {
        let clash = clash(paths).expect("an error");
        assert!(clash.message.starts_with(message), "{}", clash.message);
        let lines = (clash.place.unwrap().line, clash.related.unwrap().0.line);
        assert_eq!(lines, (6, 5), "{paths:?}");
    }
    for paths in [["/a/{key}/c", "/b/{key}/c"], ["/a/{key}", "/a/b"], ["/a/{key}", "/a/b/{key}"]] {
        assert_eq!(clash(paths), None, "{paths:?}");
    }
}

#[test]
fn a_syntax_error_does_not_hide_what_else_is_wrong_nor_invent_what_is_missing() {
    let text = MINIMAL.replace("name = \"http\",", "name = ,").replace("100/min", "100");
    let messages = Site::new().messages(&text);
    assert!(messages.iter().any(|message| message.contains("\"100\" is no rate")), "{messages:?}");
    assert!(!messages.iter().any(|message| message.contains("has no")), "{messages:?}");
}

#[test]
fn a_syntax_error_says_how_to_mend_it() {
    for (line, hint) in [
        ("rate = 100/min", "put the text in quotes: \"...\""),
        ("rate = true1", "write true or false, or put a text in quotes"),
        ("rate = \"100/min", "close the quotes on the same line"),
        ("rate = '100/min", "close the quotes on the same line"),
        ("rate", "write NAME = VALUE on one line"),
        ("allow = [\"::1\" \"::2\"]", "put a comma between the two"),
        ("[log", "close the bracket or brace that was opened"),
        (
            "[admin]\n[admin]",
            "write a setting once; each of several tables has two brackets: [[routes]]",
        ),
        ("burst = 01", "write the number without zeros before it"),
        ("name = \"a\\q\"", "write \\\\ for a backslash"),
    ] {
        let loaded = Site::new().compile(line);
        let hints: Vec<_> = loaded.problems.iter().filter_map(|p| p.hint.as_deref()).collect();
        assert!(hints.contains(&hint), "{line}: {hints:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_clear_problem() {
    let site = Site::new();
    let latin = site.0.path().join("latin.toml");
    std::fs::write(&latin, b"name = \"caf\xe9\"").unwrap();
    for (path, said) in [
        (
            site.0.path().join("none.toml"),
            "F: error: there is no such file\nhelp: check the path\n\n",
        ),
        (
            site.0.path().to_owned(),
            "F: error: this is a directory, not a file\nhelp: name the configuration file in it\n\n",
        ),
        (
            latin,
            "F: error: the file is not UTF-8: byte 11 belongs to no character\nhelp: save it as UTF-8\n\n",
        ),
    ] {
        let loaded = load(&path, &|_| None);
        assert_eq!(render(&loaded.problems, &loaded.source, "F", false), said);
        assert!(loaded.snapshot.is_none());
    }
}

#[test]
fn relative_paths_start_at_the_directory_of_the_file() {
    let site = Site::new();
    site.write("secret", "k", 0o600);
    let path = site.write("portcullis.toml", &consumer("upstream_key = \"file:secret\""), 0o644);
    let loaded = load(&path, &|_| None);
    assert!(loaded.snapshot.is_some() && loaded.problems.is_empty());
}

#[test]
fn a_list_without_anything_is_as_good_as_none() {
    for (from, message) in [
        ("listeners = [{ name = \"http\", address = \"127.0.0.1:0\" }]", "`listeners` is empty"),
        ("upstreams.postiz = { endpoints = [\"http://127.0.0.1:3000\"] }", "`upstreams` is empty"),
    ] {
        let name = message.split('`').nth(1).unwrap();
        let empty = if name == "upstreams" { "{}" } else { "[]" };
        let text = MINIMAL.replace(from, &format!("{name} = {empty}"));
        assert_eq!(Site::new().messages(&text)[0], message);
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{ a = ", " }")] {
        let text = format!("x = {}{}", open.repeat(200_000), close.repeat(200_000));
        assert!(Site::new().compile(&text).snapshot.is_none());
    }
}

#[test]
fn a_long_line_is_shown_around_what_is_meant() {
    let text = format!("x = {{ {} zzz = 1 }}", "a = 1, ".repeat(200));
    let loaded = Site::new().compile(&text);
    let said = render(&loaded.problems, &text, "F", true);
    assert!(said.lines().all(|line| line.chars().count() < 200), "{said}");
}
