//! What stands in `deploy/` is held to what it promises, without a Docker engine: files parse, the
//! tools that judge them have nothing to say, and names agree from one file to the next.
//!
//! Needs Debian's `prometheus` and `systemd` packages, and hadolint: `make test` installs them.

#![expect(clippy::unwrap_used, reason = "a test ends at the line where its ground gives way")]
#![expect(clippy::panic, reason = "a test ends at the line where its ground gives way")]
#![expect(clippy::indexing_slicing, reason = "what a file lacks fails the test that asks for it")]

mod compose;
mod expressions;
mod gateway;
mod image;
mod unit;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// A file or folder of the repository.
fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file of YAML, its anchors and merges resolved.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Sections, settings and lines that go on with one. What a filter finds has a test of its own.
fn is_ini(path: &str) {
    for line in read(path).lines() {
        let begun = line.starts_with(['#', ' ']) || line.is_empty() || line.contains('=');
        assert!(begun || line.starts_with('[') && line.ends_with(']'), "{path}: {line}");
    }
}

/// The gateway's configuration, as it is written.
fn settings() -> Value {
    let text = read("deploy/portcullis.toml");
    let table = DeTable::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    plain(&DeValue::Table(table.into_inner()))
}

/// TOML without its places. Numbers are left as their text: nothing here counts with them.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(&**text),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Array(list) => list.iter().map(|item| plain(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entry = |(key, item): (&toml::Spanned<_>, &toml::Spanned<_>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                (key.to_string(), plain(item.get_ref()))
            };
            table.iter().map(entry).collect()
        }
        DeValue::Integer(number) => Value::from(number.as_str()),
        DeValue::Float(number) => Value::from(number.as_str()),
        DeValue::Datetime(time) => Value::from(time.to_string()),
    }
}

/// Every file below a folder, as a path of the repository. An operator's certificates aren't looked at.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if path == "deploy/tls" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Runs a tool to its end; what it said is what the test fails with.
fn succeeds(command: &mut Command) -> String {
    let tool = command.get_program().to_owned();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: run `make test`", tool.display()));
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(output.status.success(), "{command:?}:\n{said}");
    said
}

#[test]
fn every_file_parses() {
    for path in files("deploy") {
        match path.rsplit('.').next().unwrap() {
            "yaml" | "yml" => drop(yaml(&path)),
            "json" => drop(json(&path)),
            "toml" => drop(DeTable::parse(&read(&path)).unwrap()),
            "conf" => is_ini(&path),
            // These have a test of their own.
            "example" | "env" | "service" | "deploy/Dockerfile" => {}
            other => panic!("{path}: nothing looks at a file of kind {other}"),
        }
    }
}
