use std::collections::BTreeMap;

use super::*;
use crate::observe::record::tests::{bare, full, name};

fn driven() -> Metrics {
    let metrics = Metrics::new(&LogSink::memory());
    metrics.show_audit(&AuditSink::memory());
    let (https, postiz, route) = (name("https"), name("postiz"), name("mcp"));
    metrics.record(&full());
    metrics.record(&bare());
    metrics.stream_opened(&route, None).event();
    drop(metrics.connection_opened(&https));
    metrics.connection_observed(Denial::Address);
    metrics.connection_refused(&https, ConnectionOutcome::Address);
    metrics.handshake(&https, HandshakeOutcome::Ok);
    metrics.certificate(&https, &name("postiz.example.com"), 1_900_000_000);
    metrics.acme_order(&https, OrderOutcome::Issued);
    metrics.in_flight(&postiz).begin();
    metrics.shared_streams(&postiz).dropped();
    metrics.endpoint_health(&postiz, "10.0.0.1:3000").set(true);
    metrics.upstream_answered(&postiz, Duration::from_millis(3));
    metrics.config_loaded();
    metrics.processes(1);
    metrics.state_write_failed("bans");
    metrics.banned("wrong_keys");
    metrics.banned_now(1);
    metrics.tool_changed(&postiz);
    metrics.changed_tools(&postiz, 1);
    let (of_route, budget) = (Some(route), "generate*".into());
    metrics.budget_used(&BudgetLabels { route: of_route, consumer: None, budget }, 0.8);
    metrics
}

/// `NAME TYPE LABELS`, one line a family.
fn families(rendered: &str) -> String {
    let mut kinds = BTreeMap::new();
    let mut labels: BTreeMap<&str, String> = BTreeMap::new();
    for line in rendered.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            kinds.insert(name, kind);
        } else if !line.starts_with('#') {
            let series = line.rsplit_once(' ').unwrap().0;
            let (name, set) = series.split_once('{').unwrap_or((series, "}"));
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| {
                    name.strip_suffix(suffix).filter(|stem| kinds.contains_key(stem))
                })
                .unwrap_or(name);
            let names =
                set.trim_end_matches('}').split("\",").filter_map(|pair| pair.split('=').next());
            let names: Vec<&str> = names.filter(|name| !name.is_empty() && *name != "le").collect();
            labels.insert(family, names.join(","));
        }
    }
    let line = |(name, kind): (&&str, &&str)| {
        format!("{name} {kind} {}", labels.get(name).unwrap()).trim_end().to_owned() + "\n"
    };
    kinds.iter().map(line).collect()
}

#[test]
fn names_types_and_labels_are_the_contracts() {
    let found = families(&driven().render());
    assert_eq!(found, include_str!("../../../tests/golden/metrics.txt"), "found:\n{found}");
}

#[test]
fn every_metric_has_a_help_text_that_is_a_sentence() {
    let rendered = driven().render();
    let helps = rendered.lines().filter(|line| line.starts_with("# HELP "));
    let helps: Vec<&str> = helps.collect();
    let types = rendered.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(helps.len(), types);
    for help in helps {
        let text = help.splitn(4, ' ').nth(3).unwrap_or_default();
        assert!(text.ends_with('.') && !text.contains("  "), "{help}");
    }
}

fn has(metrics: &Metrics, series: &str) -> bool {
    metrics.render().lines().any(|line| line == series)
}

#[test]
fn a_record_is_counted_once_with_its_labels() {
    let metrics = Metrics::new(&LogSink::memory());
    for _ in 0..3 {
        metrics.record(&full());
    }
    metrics.record(&bare());
    let who = r#"consumer="claude-desktop""#;
    for series in [
        format!(r#"portcullis_requests_total{{{who},method="POST",route="mcp",status="200"}} 3"#),
        format!(r#"portcullis_request_duration_seconds_count{{{who},route="mcp"}} 3"#),
        r#"portcullis_first_byte_seconds_count{route="mcp"} 3"#.to_owned(),
        r#"portcullis_refusals_total{reason="rate",route="mcp"} 3"#.to_owned(),
        r#"portcullis_observed_refusals_total{reason="address",route="mcp"} 3"#.to_owned(),
        format!(
            "portcullis_mcp_calls_total{{{who},method=\"tools/call\",outcome=\"answered\",\
             route=\"mcp\",tool=\"other\"}} 3"
        ),
    ] {
        assert!(has(&metrics, &series), "{series} in\n{}", metrics.render());
    }
}

#[test]
fn a_stranger_has_no_name_and_a_made_up_status_no_series() {
    let metrics = Metrics::new(&LogSink::memory());
    for status in [Some(599), Some(712), None] {
        metrics.record(&Record { event: Event::Exchange, status, ..bare() });
    }
    let series =
        r#"portcullis_requests_total{consumer="",method="POST",route="",status="other"} 3"#;
    assert!(has(&metrics, series), "{}", metrics.render());
}

#[test]
fn what_is_open_is_counted_until_it_is_dropped() {
    let metrics = Metrics::new(&LogSink::memory());
    let stream = metrics.stream_opened(&name("mcp"), Some(&name("ci")));
    let connection = metrics.connection_opened(&name("https"));
    stream.event();
    stream.event();
    let open = |count| format!("portcullis_streams_open{{consumer=\"ci\",route=\"mcp\"}} {count}");
    let connections = |count| format!("portcullis_connections_open{{listener=\"https\"}} {count}");
    assert!(has(&metrics, &open(1)) && has(&metrics, &connections(1)));
    drop((stream, connection));
    assert!(has(&metrics, &open(0)) && has(&metrics, &connections(0)));
    for series in [
        r#"portcullis_stream_events_total{route="mcp"} 2"#,
        r#"portcullis_stream_seconds_count{route="mcp"} 1"#,
        r#"portcullis_connections_total{listener="https",outcome="accepted"} 1"#,
    ] {
        assert!(has(&metrics, series), "{series}");
    }
}

#[test]
fn the_logs_own_counts_are_shown() {
    let log = LogSink::memory();
    let metrics = Metrics::new(&log);
    log.push(b"\"Bearer canary\"", |_| false);
    assert!(has(&metrics, r#"portcullis_redactions_total{sink="log"} 1"#), "{}", metrics.render());
    assert!(has(&metrics, "portcullis_log_lines_dropped_total 0"));
}

#[test]
fn what_is_counted_of_names_that_a_thousand_reloads_took_away_is_gone() {
    let metrics = Metrics::new(&LogSink::memory());
    let mut lines = Vec::new();
    let held = metrics.connection_opened(&name("held"));
    for turn in 0..1000 {
        let each = name(&format!("n{turn}"));
        let (route, consumer) = (Some(each.clone()), Some(each.clone()));
        metrics.record(&Record { route: route.clone(), consumer: consumer.clone(), ..full() });
        metrics.record(&Record { route: None, consumer: None, ..full() });
        metrics.stream_opened(&each, Some(&each)).event();
        drop(metrics.connection_opened(&each));
        metrics.handshake(&each, HandshakeOutcome::Ok);
        metrics.certificate(&each, &name("postiz.example.com"), 1_900_000_000);
        metrics.acme_order(&each, OrderOutcome::Issued);
        drop(metrics.in_flight(&each));
        metrics.shared_streams(&each).dropped();
        metrics.endpoint_health(&each, "10.0.0.1:3000").set(true);
        metrics.endpoint_health(&name("stays"), &format!("10.0.0.1:{turn}")).set(true);
        metrics.upstream_answered(&each, Duration::from_millis(3));
        metrics.tool_changed(&each);
        metrics.changed_tools(&each, 1);
        metrics.budget_used(&BudgetLabels { route, consumer, budget: "a".into() }, 0.8);
        let (all, at) = ([each.as_str()], format!("10.0.0.1:{turn}"));
        let names = Names {
            routes: all.into(),
            consumers: all.into(),
            listeners: all.into(),
            upstreams: [each.as_str(), "stays"].into(),
            endpoints: [(each.as_str(), "10.0.0.1:3000"), ("stays", &*at)].into(),
        };
        metrics.keep_only(&names);
        lines.push(metrics.render().lines().count());
    }
    assert_eq!(lines.first(), lines.last());
    let all = metrics.render();
    assert!(all.contains("\"n999\"") && !all.contains("\"n998\""), "{all}");
    assert!(all.contains("connections_open{listener=\"held\"} 1"), "it is open: {all}");
    drop(held);
    metrics.keep_only(&Names::default());
    let left = metrics.render();
    assert!(!left.contains("\"held\"") && !left.contains("\"n999\""), "{left}");
    assert!(left.contains("route=\"\""), "what has no name stays: {left}");
}
