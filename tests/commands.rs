//! Every command in the README's tables and blocks is run, or what it names is there.
#![expect(clippy::unwrap_used, reason = "a test: a failure may panic")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// What the README says to run, from its table: the words behind `portcullis`.
fn commands() -> Vec<String> {
    let rows = read("README.md");
    let rows = rows.lines().filter_map(|line| line.strip_prefix("| `portcullis "));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned())).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn portcullis(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// A configuration that listens on any free port.
fn configuration(folder: &Path) -> String {
    let path = folder.join("portcullis.toml");
    let example = read("config/minimal.toml").replace("127.0.0.1:8080", "127.0.0.1:0");
    let example = example.replace("endpoints", "pin = \"enforce\"\nendpoints");
    let admin = "[admin]\nsocket = \"admin.sock\"\n";
    assert!(!example.contains("[admin]"), "{example}");
    fs::write(&path, example + admin).unwrap();
    path.to_str().unwrap().to_owned()
}

fn ends_well(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Whether it has begun to listen for SIGTERM, as the system tells.
fn hears_of_its_end(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
}

/// Waits for a line of its output, then asks it to end.
fn runs_until_it_is_told(mut child: Child, line: &str) {
    let out = child.stdout.take().unwrap();
    let said = BufReader::new(out).lines().map_while(Result::ok).find(|said| said.contains(line));
    while said.is_some() && !hears_of_its_end(&child) {
        std::thread::yield_now();
    }
    let told = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(told.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(said.is_some(), "no `{line}`: {}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn every_command_of_the_table_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path());
    let commands = commands();
    assert!(commands.len() >= 4, "the table can't be read: {commands:?}");
    for command in commands {
        match command.as_str() {
            "run --config FILE" => {
                let child = portcullis(&["run", "--config", &file]).spawn().unwrap();
                runs_until_it_is_told(child, "\"event\":\"listening\"");
            }
            "check --config FILE" => {
                ends_well(&portcullis(&["check", "--config", &file]).output().unwrap());
                let missing = portcullis(&["check", "--config", "nowhere.toml"]).output().unwrap();
                assert_eq!(missing.status.code(), Some(1));
            }
            "explain --config FILE --from IP METHOD URL" => explains_a_request(&file),
            "explain --config FILE --request ID" => {
                let mut asked = portcullis(&["explain", "--config", &file]);
                let output = asked.args(["--request", "0123456789abcdef"]).output().unwrap();
                assert!(text(&output.stderr).contains("no line of that request"));
            }
            "key new NAME" => {
                let output = portcullis(&["key", "new", "claude"]).output().unwrap();
                ends_well(&output);
                let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
                assert!(all.contains("[[consumers]]") && all.contains("\"claude\""), "{all}");
            }
            "ban list --config FILE" => while_it_runs(&file, |says| {
                for words in [&["ban", "add", "192.0.2.0/24", "--for", "1h"][..], &["ban", "list"]]
                {
                    assert!(says(words).starts_with("{\"net\":\"192.0.2.0/24\""));
                }
                says(&["ban", "lift", "192.0.2.0/24"]);
            }),
            "pins list --config FILE" => while_it_runs(&file, |says| {
                for words in [&["pins", "list"][..], &["pins", "accept", "postiz", "--all"]] {
                    assert_eq!(says(words), "", "no list has passed");
                }
            }),
            "status --config FILE" => while_it_runs(&file, |says| {
                assert_eq!(says(&["status"]), "", "nothing is under way");
            }),
            "kill --config FILE --key NAME" => while_it_runs(&file, |_| {
                let output = portcullis(&["kill", "--all", "--config", &file]).output().unwrap();
                assert_eq!(
                    (output.status.code(), text(&output.stdout)),
                    (Some(1), "{\"ended\":0}\n")
                );
            }),
            "revoke NAME --config FILE" => revokes_nobody(&file),
            "demo" => {
                let child = portcullis(&["demo"]).spawn().unwrap();
                runs_until_it_is_told(child, "Ctrl-C ends the demonstration");
            }
            other => panic!("no test runs `portcullis {other}`"),
        }
    }
}

fn revokes_nobody(file: &str) {
    while_it_runs(file, |says| {
        assert_eq!(says(&["revocations"]), "", "nobody is revoked");
        for word in ["revoke", "unrevoke"] {
            let output = portcullis(&[word, "nobody", "--config", file]).output().unwrap();
            assert!(text(&output.stderr).contains("no consumer"), "{word}");
        }
    });
}

fn explains_a_request(file: &str) {
    let from = ["explain", "--config", file, "--from", "127.0.0.1"];
    let asks = |asks: &[&str]| portcullis(&[&from[..], asks].concat()).output().unwrap();
    let output = asks(&["--consumer", "nobody", "POST", "http://example.test/mcp/{key}"]);
    assert!(text(&output.stderr).contains("no consumer"), "{}", text(&output.stderr));
    let output = asks(&["POST", "http://example.test/"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("refused as `no_route`"));
}

/// Runs a gateway, and gives what commands say that ask it.
fn while_it_runs(file: &str, asks: impl FnOnce(&dyn Fn(&[&str]) -> String)) {
    let mut child = portcullis(&["run", "--config", file]).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("\"event\":\"listening\"")));
    let says = |words: &[&str]| {
        let words = [words, &["--config", file]].concat();
        let output = portcullis(&words).output().unwrap();
        ends_well(&output);
        text(&output.stdout).to_owned()
    };
    asks(&says);
    let told = Command::new("kill").arg(child.id().to_string()).status();
    assert!(told.unwrap().success());
    child.wait().unwrap();
}

/// The installation wants root and Docker; what its lines name in this repository has to be there.
#[test]
fn every_file_that_a_block_of_the_readme_names_is_there() {
    let readme = read("README.md");
    let mut named = 0;
    for block in readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let folder = if block.contains("cd deploy") { "deploy/" } else { "" };
        for word in block.split([' ', '\n', '"', '=', ':']) {
            let path = match word {
                ".env.example" | "portcullis.toml" => format!("{folder}{word}"),
                _ if word.starts_with("config/") || word.starts_with("deploy/") => word.to_owned(),
                _ => continue,
            };
            named += 1;
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists();
            assert!(there, "{path} is named and isn't there");
        }
    }
    assert!(named >= 4, "the blocks can't be read");
}

/// The block that makes `.env` is run as it stands.
#[test]
fn the_block_for_docker_makes_its_secrets() {
    let readme = read("README.md");
    let block = readme.split("cd deploy\n").nth(1).unwrap();
    let loops = block.split("sed -i").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env.example"), read("deploy/.env.example")).unwrap();
    let run = Command::new("bash").args(["-euc", loops]).current_dir(&folder).output().unwrap();
    ends_well(&run);
    let made = fs::read_to_string(folder.path().join(".env")).unwrap();
    let secrets = made.lines().filter(|line| {
        let value = line.split_once('=').map_or("", |(_, value)| value);
        value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    assert!(secrets.count() >= 2, "{made}");
}
