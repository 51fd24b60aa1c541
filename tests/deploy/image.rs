//! `Dockerfile`: hadolint judges it, and what the gateway needs of it is there.

use std::process::Command;

use crate::{read, root, succeeds};

const DOCKERFILE: &str = "deploy/Dockerfile";

/// The instructions, lines that go on joined and comments left out.
fn instructions() -> Vec<(String, String)> {
    let text: String = read(DOCKERFILE).lines().filter(|line| !line.starts_with('#')).fold(
        String::new(),
        |all, line| match line.strip_suffix('\\') {
            Some(open) => all + open.trim(),
            None => all + line + "\n",
        },
    );
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        Some((word.to_owned(), rest.to_owned()))
    };
    text.lines().filter_map(split).collect()
}

fn all(word: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == word).map(|(_, rest)| rest).collect()
}

#[test]
fn hadolint_has_nothing_to_say() {
    let hadolint = root("tests/deploy/.venv/bin/hadolint");
    let said = succeeds(Command::new(hadolint).arg("--no-color").arg(root(DOCKERFILE)));
    assert_eq!(said, "");
}

#[test]
fn the_image_runs_as_nobody_and_ends_as_the_gateway_does() {
    let last = all("FROM").pop().unwrap();
    assert!(last.starts_with("gcr.io/distroless/") && last.ends_with(":nonroot"), "{last}");
    assert_eq!(all("USER"), ["65532:65532"]);
    assert_eq!(all("STOPSIGNAL"), ["SIGTERM"]);
    // In brackets: without, Docker would start a shell, which isn't there and would keep SIGTERM.
    assert_eq!(all("ENTRYPOINT"), [r#"["/usr/local/bin/portcullis"]"#]);
    let command: Vec<String> = serde_json::from_str(&all("CMD")[0]).unwrap();
    assert_eq!(command, ["run", "--config", "/etc/portcullis/portcullis.toml"]);
}

#[test]
fn both_stages_are_of_one_release_and_pinned() {
    let stages = all("FROM");
    let [build, last] = &*stages else { panic!("{stages:?}") };
    assert!(build.starts_with("rust:1.") && build.contains("-trixie"), "{build}");
    // Debian 13 is trixie.
    assert!(last.contains("-debian13:"), "{last}");
    let version = build.split([':', '-']).nth(1).unwrap();
    assert_eq!(version.split('.').count(), 3, "{version} isn't one compiler");
}

#[test]
fn only_what_is_built_goes_to_the_builder() {
    let lines: Vec<_> = read(".dockerignore")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert_eq!(lines, ["*", "!Cargo.toml", "!Cargo.lock", "!.cargo", "!src"]);
}
