//! Every file in `config/` compiles as it stands, without a problem.

#![expect(clippy::unwrap_used, reason = "a fixture that can't be made fails the test")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use portcullis::{
    config::{Loaded, Surroundings, compile_text, render},
    snapshot::{ListenerKind, UnknownKeys},
};

/// A directory with what the examples name beside themselves.
fn surroundings() -> tempfile::TempDir {
    let dir = tempfile::TempDir::new().unwrap();
    let tls = dir.path().join("tls");
    fs::create_dir(&tls).unwrap();
    let names = vec!["postiz.yourdomain.com".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(tls.join("fullchain.pem"), made.cert.pem()).unwrap();
    fs::write(tls.join("clients.pem"), made.cert.pem()).unwrap();
    let key = tls.join("privkey.pem");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    dir
}

fn compile(path: &Path) -> Loaded {
    let dir = surroundings();
    let environment = |name: &str| (name == "POSTIZ_API_KEY").then(|| "example".into());
    let around =
        Surroundings { base_dir: dir.path(), environment: &environment, now: SystemTime::now() };
    compile_text(&fs::read_to_string(path).unwrap(), around)
}

/// Every example that is a whole configuration.
fn examples() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(example("")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file())
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

#[test]
fn every_example_compiles_without_a_problem() {
    let mut seen = 0;
    for path in examples() {
        let loaded = compile(&path);
        let said = render(&loaded.problems, &loaded.source, "example", false);
        assert!(loaded.snapshot.is_some() && said.is_empty(), "{}:\n{said}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "the examples are gone");
}

#[test]
fn the_postiz_example_does_what_its_comments_say() {
    let snapshot = compile(&example("postiz.toml")).snapshot.unwrap();
    let kinds: Vec<_> = snapshot.listeners.iter().map(|listener| &listener.kind).collect();
    assert!(matches!(kinds[..], [ListenerKind::Tls(_), ListenerKind::Redirect { port: 443 }]));
    let route = snapshot.routes.iter().next().unwrap();
    assert_eq!(route.mcp().unwrap().unknown_keys, UnknownKeys::Forward);
    assert_eq!(route.quota.unwrap().burst.get(), 20);
    assert_eq!(route.upstream.endpoints.first().port, 3000);
    assert_eq!(route.upstream.strip_prefix, ["api".into()]);
}

#[test]
fn no_rule_of_an_example_lets_in_by_a_star_what_reaches_everything() {
    let mut ruled = 0;
    for path in examples() {
        let snapshot = compile(&path).snapshot.unwrap();
        let routes = snapshot.routes.iter().filter_map(|route| route.mcp()?.rules.as_deref());
        let consumers = snapshot.consumers.iter().filter_map(|c| c.rules.as_deref());
        for rules in routes.chain(consumers) {
            ruled += 1;
            for tool in ["ask_postiz", "triggerTool"] {
                assert!(rules.each().any(|rules| !rules.tools.let_in(tool)), "{tool}");
            }
        }
    }
    assert!(ruled > 2, "no example has rules");
}
