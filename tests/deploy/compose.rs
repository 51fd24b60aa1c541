//! `compose.yaml`: who can reach what, what each service may do, and where secrets stand.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::{Map, Value};

use crate::{read, root, settings, succeeds, yaml};

const COMPOSE: &str = "deploy/compose.yaml";
const VARIABLES: &str = "deploy/.env.example";

/// Services that can't have a file system that is only read; `compose.yaml` says why.
const WRITERS: [&str; 2] = ["postiz", "temporal"];

/// What Postiz's image needs to hand its nginx to another user, and no more than that.
const POSTIZ_MAY: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];

/// The settings by which a container gets out of itself.
const WAYS_OUT: [&str; 9] = [
    "privileged",
    "network_mode",
    "pid",
    "ipc",
    "uts",
    "userns_mode",
    "devices",
    "device_cgroup_rules",
    "cgroup_parent",
];

fn services() -> Map<String, Value> {
    yaml(COMPOSE)["services"].as_object().unwrap().clone()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

/// The networks of a service, written as a list or as a table.
fn networks(service: &Value) -> Vec<String> {
    match &service["networks"] {
        Value::Object(table) => table.keys().cloned().collect(),
        list => texts(list).into_iter().map(str::to_owned).collect(),
    }
}

/// The services that are in a network.
fn members(network: &str) -> Vec<String> {
    let is_in = |service: &Value| networks(service).iter().any(|name| name == network);
    services().into_iter().filter(|(_, service)| is_in(service)).map(|(name, _)| name).collect()
}

/// `8s`, as Compose and the gateway both write it.
fn seconds(text: &Value) -> u64 {
    text.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap()
}

/// The names that `${...}` stand for, each with what follows it: `:?`, if it has to be there.
fn variables(text: &str) -> Vec<(&str, &str)> {
    let inside = text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap());
    inside.map(|inside| inside.split_at(inside.find(':').unwrap_or(inside.len()))).collect()
}

/// `NAME=value` lines.
fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='))
}

#[test]
fn the_gateway_alone_is_reached_from_outside() {
    for (name, service) in services() {
        let ports = texts(&service["ports"]);
        match &*name {
            "portcullis" => assert_eq!(ports, ["0.0.0.0:80:80", "0.0.0.0:443:443"]),
            _ => assert!(
                ports.iter().all(|port| port.starts_with("127.0.0.1:")),
                "{name}: {ports:?}"
            ),
        }
        if name.starts_with("postiz") || name.starts_with("temporal") {
            assert!(ports.is_empty(), "{name} publishes {ports:?}");
        }
    }
    assert_eq!(members("edge"), ["portcullis"]);
    assert_eq!(members("site"), ["portcullis", "postiz"]);
}

#[test]
fn a_network_leads_out_only_for_those_who_have_to() {
    let compose = yaml(COMPOSE);
    let leads_out = |network: &&String| compose["networks"][network.as_str()]["internal"] != true;
    let open: Vec<_> = compose["networks"]
        .as_object()
        .unwrap()
        .keys()
        .filter(leads_out)
        .map(|name| members(name))
        .collect();
    for members in &open {
        assert_eq!(members.len(), 1, "an open network has one member: {open:?}");
    }
    for name in ["postiz-postgres", "postiz-redis", "temporal", "temporal-postgres", "prometheus"] {
        assert!(!open.iter().flatten().any(|member| member == name), "{name} has a way out");
    }
}

#[test]
fn every_image_is_pinned() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag")).1;
        let is_version =
            tag.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
        assert!(is_version && tag.contains('.'), "{name}: {tag} is no version");
    }
    let own = format!("portcullis:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(services()["portcullis"]["image"], own);
}

#[test]
fn no_service_may_do_more_than_it_needs() {
    for (name, service) in services() {
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        let expected: &[&str] = if name == "postiz" { &POSTIZ_MAY } else { &[] };
        assert_eq!(texts(&service["cap_add"]), expected, "{name}");
        assert_eq!(service["read_only"] == true, !WRITERS.contains(&&*name), "{name}: read_only");
        for way in WAYS_OUT {
            assert!(service.get(way).is_none(), "{name}: {way}");
        }
        assert!(!service["volumes"].to_string().contains("docker.sock"), "{name}");
    }
}

#[test]
fn nothing_grows_without_bound() {
    for (name, service) in services() {
        for limit in ["mem_limit", "cpus", "pids_limit"] {
            assert!(!service[limit].is_null(), "{name} has no {limit}");
        }
        assert!(!service["logging"]["options"]["max-size"].is_null(), "{name}: its log is endless");
    }
    // A page on disk could hold a key.
    let gateway = &services()["portcullis"];
    assert_eq!(gateway["memswap_limit"], gateway["mem_limit"]);
    assert_eq!(gateway["ulimits"]["core"], 0);
}

#[test]
fn streams_have_their_time_to_end_before_docker_kills() {
    // The default, as the README has it.
    assert!(read("README.md").contains("| `shutdown` | what open streams get at SIGTERM | 8s |"));
    let set = &settings()["timeouts"]["shutdown"];
    let shutdown = if set.is_null() { 8 } else { seconds(set) };
    let grace = seconds(&services()["portcullis"]["stop_grace_period"]);
    assert!(grace > shutdown + 5, "{grace} s for a drain of {shutdown} s");
}

#[test]
fn no_secret_stands_in_a_file() {
    let (compose, example) = (read(COMPOSE), read(VARIABLES));
    let mut asked = BTreeSet::new();
    for (name, rest) in variables(&compose) {
        assert_eq!(rest, ":?", "{name}: a missing value has to end the start, not be made up");
        asked.insert(name);
    }
    let offered: BTreeSet<_> = assignments(&example).map(|(name, _)| name).collect();
    assert_eq!(asked, offered, "{COMPOSE} and {VARIABLES}");

    let secret = |name: &str| {
        let name = name.to_uppercase();
        ["SECRET", "PASSWORD", "PWD", "TOKEN", "KEY"].iter().any(|word| name.contains(word))
    };
    for (name, value) in assignments(&example) {
        assert_eq!(value.is_empty(), secret(name), "{VARIABLES}: {name}");
    }
    for (service, body) in services() {
        for (name, value) in body["environment"].as_object().into_iter().flatten() {
            let text = value.as_str().unwrap();
            let whole = text.starts_with("${") && text.ends_with(":?}");
            assert!(!secret(name) || whole, "{service}: {name} is {text}");
            let password = text.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
            let asked = password.is_none_or(|(user, _)| user.ends_with(":?}"));
            assert!(asked, "{service}: {name} has a password in it");
        }
    }
}

#[test]
fn what_is_mounted_is_there() {
    // The operator brings these.
    let brought = ["./tls"];
    for (name, service) in services() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = match volume {
                Value::String(text) => text.split(':').next().unwrap(),
                table => table["source"].as_str().unwrap_or_default(),
            };
            let Some(path) = source.strip_prefix("./") else { continue };
            let there = root("deploy").join(path).exists() || brought.contains(&source);
            assert!(there, "{name} mounts {source}");
        }
    }
    for private in ["/deploy/.env", "/deploy/postiz.env", "/deploy/tls"] {
        assert!(read(".gitignore").lines().any(|line| line == private), "git would take {private}");
    }
}

/// Compose itself judges the file, where it is installed: it needs no engine for that.
#[test]
fn compose_has_nothing_to_say() {
    let has = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .arg("version")
            .output()
            .is_ok_and(|out| out.status.success())
    };
    let mut compose = if has("docker", &["compose"]) {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else if has("docker-compose", &[]) {
        Command::new("docker-compose")
    } else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let variables = folder.path().join("env");
    let filled: String = assignments(&read(VARIABLES))
        .map(|(name, value)| format!("{name}={}\n", if value.is_empty() { "0123" } else { value }))
        .collect();
    fs::write(&variables, filled).unwrap();
    let said = succeeds(
        compose
            .arg("--env-file")
            .arg(&variables)
            .arg("--file")
            .arg(root(COMPOSE))
            .args(["config", "--quiet"]),
    );
    assert_eq!(said, "");
}
