//! Prometheus and Grafana: their files are valid, and ask for nothing that the gateway doesn't have.

use std::{collections::BTreeSet, fmt::Write, fs, process::Command};

use serde_json::Value;

use crate::{
    expressions::{Known, problems},
    files, json, read, root, succeeds, yaml,
};

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "deploy/grafana/dashboards/portcullis.json";
const SOURCE: &str = "deploy/grafana/provisioning/datasources/prometheus.yaml";
const PROVIDER: &str = "deploy/grafana/provisioning/dashboards/portcullis.yaml";

/// Dashboards name the span that suits the screen; for a check one minute will do.
const SPAN: (&str, &str) = ("$__rate_interval", "1m");

fn promtool(arguments: &[&str], path: &str) {
    let said = succeeds(Command::new("promtool").args(arguments).arg(root(path)));
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn promtool_takes_the_configuration_and_the_rules() {
    promtool(&["check", "config"], "deploy/prometheus/prometheus.yml");
    promtool(&["check", "rules"], ALERTS);
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    const TESTS: &str = "deploy/prometheus/alerts_test.yml";
    promtool(&["test", "rules"], TESTS);
    let tests = read(TESTS);
    for rule in alerts() {
        let name = rule["alert"].as_str().unwrap();
        let tested = [format!("alertname: {name}\n"), format!("alertname=\"{name}\"")];
        assert!(tested.iter().any(|text| tests.contains(text)), "{TESTS} lacks {name}");
    }
}

fn alerts() -> Vec<Value> {
    let groups = yaml(ALERTS)["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn an_alert_asks_only_for_what_is_measured() {
    let known = Known::read(&read("tests/golden/metrics.txt"));
    for rule in alerts() {
        let found = problems(rule["expr"].as_str().unwrap(), &known);
        assert!(found.is_empty(), "{}: {found:?}", rule["alert"]);
        assert!(!rule["annotations"]["summary"].is_null(), "{} says nothing", rule["alert"]);
        assert!(["warning", "critical"].map(Value::from).contains(&rule["labels"]["severity"]));
    }
}

fn panels() -> Vec<Value> {
    json(DASHBOARD)["panels"].as_array().unwrap().clone()
}

fn expressions() -> Vec<String> {
    let all = panels();
    let targets = all.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().replace(SPAN.0, SPAN.1)).collect()
}

#[test]
fn the_dashboard_asks_only_for_what_is_measured() {
    let golden = read("tests/golden/metrics.txt");
    let known = Known::read(&golden);
    let asked = expressions();
    for expression in &asked {
        let found = problems(expression, &known);
        assert!(found.is_empty(), "{expression}: {found:?}");
    }
    // And for nearly all of that, so that a new metric is thought of here.
    for name in golden.lines().map(|line| line.split(' ').next().unwrap()) {
        let shown = asked.iter().any(|expression| expression.contains(name));
        let elsewhere = ["portcullis_request_duration_seconds", "process_threads"];
        let spare = elsewhere.contains(&name) || name == "process_virtual_memory_bytes";
        assert!(shown || spare, "{name} is on no panel");
    }
}

/// promtool has no check of a bare expression; as rules it reads them all at once.
#[test]
fn prometheus_can_read_every_expression_of_the_dashboard() {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in expressions().iter().enumerate() {
        let quoted = serde_json::to_string(expression).unwrap();
        writeln!(rules, "      - {{ record: panel_{number}, expr: {quoted} }}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    fs::write(&path, rules).unwrap();
    succeeds(Command::new("promtool").args(["check", "rules"]).arg(&path));
}

#[test]
fn every_panel_has_a_place_of_its_own_and_the_provisioned_source() {
    let source = &yaml(SOURCE)["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{} twice", panel["id"]);
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{} is outside", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} lies on another", panel["title"]);
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], source["uid"], "{}", panel["title"]);
            assert_eq!(panel["datasource"]["type"], source["type"]);
        }
    }
}

#[test]
fn grafana_finds_the_dashboards_where_compose_puts_them() {
    let path = yaml(PROVIDER)["providers"][0]["options"]["path"].as_str().unwrap().to_owned();
    let mount = format!("./grafana/dashboards:{path}:ro");
    let mounts = &yaml("deploy/compose.yaml")["services"]["grafana"]["volumes"];
    assert!(mounts.as_array().unwrap().contains(&Value::from(mount)), "{mounts}");
    assert_eq!(files("deploy/grafana/dashboards"), [DASHBOARD]);
}
