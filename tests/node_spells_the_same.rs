//! A resource is judged by its URI as it stands, and a server looks it up by what its URL parser makes
//! of it. So every URI that is judged has to be spelled as Node's parser spells it.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
};

use portcullis::policy::{Glob, Names, Rulebook, Rules};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{TestRng, TestRunner},
};

/// How many URIs are tried.
const URIS: usize = 6_000;

/// Prints, for each URI of a JSON list, what `new URL` makes of it.
const PARSER: &str = r#"
const uris = JSON.parse(require("fs").readFileSync(0, "utf8"));
const href = (uri) => { try { return new URL(uri).href; } catch { return null; } };
process.stdout.write(JSON.stringify(uris.map(href)));
"#;

fn uri() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        Just("docs"),
        Just("https"),
        Just("http"),
        Just("file"),
        Just("ws"),
        Just("Docs")
    ];
    let slashes = prop_oneof![4 => Just("//"), 1 => Just(""), 1 => Just("/"), 1 => Just("///")];
    let host = "[a.1x:@0-9\\[\\]%A]{0,6}";
    let path =
        "(/|\\.|\\.\\.|a|b|%2e|%2E|%41|%20|%C3|%|\\\\|'|\"|\\?|#|;|=|\\||\\^|~| |é|\\{|@|:){0,6}";
    (scheme, slashes, host, prop::bool::ANY, path).prop_map(
        |(scheme, slashes, host, slash, path)| {
            format!("{scheme}:{slashes}{host}{}{path}", if slash { "/" } else { "" })
        },
    )
}

#[test]
fn what_is_judged_is_what_a_parser_reads() {
    let all = Names { allow: Some(vec![Glob::parse("*").unwrap()]), deny: Vec::new() };
    let rules = Arc::new(Rules { resources: all, ..Rules::default() });
    let book = Rulebook::of(Some(&rules), None).unwrap();
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { failure_persistence: None, ..ProptestConfig::default() },
        TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
    );
    let mut some = || uri().new_tree(&mut runner).unwrap().current();
    let judged: Vec<String> = (0..URIS).map(|_| some()).filter(|uri| book.resource(uri)).collect();
    assert!(judged.len() > URIS / 50, "hardly any is judged: {}", judged.len());
    let mut node = Command::new("node")
        .args(["-e", PARSER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node: `make test` installs it");
    let list = serde_json::to_vec(&judged).unwrap();
    node.stdin.take().unwrap().write_all(&list).unwrap();
    let output = node.wait_with_output().unwrap();
    let read: Vec<Option<String>> = serde_json::from_slice(&output.stdout).unwrap();
    for (uri, href) in judged.iter().zip(&read) {
        // What no parser takes is found by no server.
        assert!(href.as_ref().is_none_or(|href| href == uri), "{uri} is read as {href:?}");
    }
}
