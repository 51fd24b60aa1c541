//! What `make audit` asks cargo-deny, for those who haven't installed it: no locked crate is in an
//! advisory of the copy in `deny/advisories`, but for the exceptions that `deny.toml` names.
#![expect(clippy::unwrap_used, reason = "a test: a failure may panic")]

use std::{collections::BTreeSet, fs, path::Path};

use semver::{Version, VersionReq};
use toml::de::{DeTable, DeValue};

/// Versions that mended what nobody gave an advisory to.
const FLOORS: [(&str, &str, &str); 3] = [
    (
        "h2",
        ">=0.4.18",
        "the budget for empty frames, flow control that leaked, the bound on a list of fields",
    ),
    ("hyper", ">=1.11.0", "a busy loop on a half-closed connection, bounds that weren't held"),
    ("pingora-core", ">=0.8.1", "HTTP/2 without bounds on streams and lists"),
];

#[test]
fn what_was_mended_without_an_advisory_is_mended_here() {
    let locked = locked();
    for (name, floor, mended) in FLOORS {
        let floor: VersionReq = floor.parse().unwrap();
        let mut versions = locked.iter().filter(|(package, _)| package == name).peekable();
        assert!(versions.peek().is_some(), "{name} is gone: take it off the list");
        assert!(versions.all(|(_, version)| floor.matches(version)), "{name} {floor}: {mended}");
    }
}

#[test]
fn no_locked_crate_has_an_advisory_that_is_not_excepted() {
    let locked = locked();
    let mut found = BTreeSet::new();
    for folder in fs::read_dir(root().join("deny/advisories/crates")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let front = text.strip_prefix("```toml\n").and_then(|rest| rest.split_once("```"));
            let advisory = DeTable::parse(front.unwrap().0).unwrap().into_inner();
            let about = get(&advisory, "advisory").as_table().unwrap();
            let hit = |(name, version): &&(String, Version)| {
                *name == text_of(about, "package") && affects(&advisory, version)
            };
            if about.get("withdrawn").is_none() && locked.iter().any(|package| hit(&package)) {
                found.insert(text_of(about, "id").to_owned());
            }
        }
    }
    assert_eq!(found, excepted(), "found in Cargo.lock, and named in deny.toml with a reason");
}

#[test]
fn every_locked_crate_was_looked_up() {
    let compared = fs::read_to_string(root().join("deny/advisories/compared")).unwrap();
    let compared: BTreeSet<&str> = compared.lines().collect();
    let new = |(name, _): &(String, Version)| !compared.contains(&**name);
    let new: Vec<_> = locked().into_iter().filter(new).collect();
    assert!(new.is_empty(), "deny/advisories/README.md says how to look these up: {new:?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names and versions of what came from a registry.
fn locked() -> Vec<(String, Version)> {
    let text = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock = DeTable::parse(&text).unwrap().into_inner();
    let packages = get(&lock, "package").as_array().unwrap();
    packages
        .iter()
        .map(|package| package.get_ref().as_table().unwrap())
        .filter(|package| package.contains_key("source"))
        .map(|package| {
            (text_of(package, "name").to_owned(), text_of(package, "version").parse().unwrap())
        })
        .collect()
}

fn excepted() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny = DeTable::parse(&text).unwrap().into_inner();
    let ignore = get(get(&deny, "advisories").as_table().unwrap(), "ignore");
    let exceptions = ignore.as_array().unwrap();
    exceptions
        .iter()
        .map(|exception| exception.get_ref().as_table().unwrap())
        .inspect(|exception| assert!(text_of(exception, "reason").len() > 20, "a real reason"))
        .map(|exception| text_of(exception, "id").to_owned())
        .collect()
}

/// Whether a version is neither patched nor one that never had the fault.
fn affects(advisory: &DeTable<'_>, version: &Version) -> bool {
    let versions = get(advisory, "versions").as_table().unwrap();
    let lists = ["patched", "unaffected"].into_iter().filter_map(|list| versions.get(list));
    let ranges = lists.flat_map(|list| list.get_ref().as_array().unwrap().iter());
    !{ ranges }.any(|range| {
        let range = VersionReq::parse(range.get_ref().as_str().unwrap()).unwrap();
        range.matches(version)
    })
}

fn get<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> &'t DeValue<'d> {
    table.get(name).unwrap().get_ref()
}

fn text_of<'t>(table: &'t DeTable<'_>, name: &str) -> &'t str {
    get(table, name).as_str().unwrap()
}
