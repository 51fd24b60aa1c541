use super::*;
use crate::observe::LogFormat;

const CANARY: &str = "Zx81Qm04Lr77Tb29Wp55Hn63Vc10Kd48Sg92";

fn logged(filter: &str, say: impl FnOnce()) -> String {
    let sink = LogSink::memory();
    tracing::dispatcher::with_default(&tracing_dispatch(&sink, filter).unwrap(), say);
    sink.contents()
}

fn one(say: impl FnOnce()) -> serde_json::Value {
    serde_json::from_str(&logged("trace", say)).unwrap()
}

#[test]
fn an_event_is_one_line_with_its_fields() {
    let line = one(|| tracing::warn!(attempts = 3, error = %"no \"route\"", "upstream is down"));
    assert_eq!(line["level"], "warn");
    assert_eq!(line["event"], "upstream is down");
    assert_eq!(line["target"], "portcullis::observe::trace::tests");
    assert_eq!(line["attempts"], "3");
    assert_eq!(line["error"], "no \"route\"");
    assert!(line["ts"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn an_event_cannot_forge_a_line_or_a_field() {
    let line = one(|| tracing::info!(level = "fatal", text = "a\nb\u{1b}[2J\u{9b}", "x\r\ny"));
    assert_eq!((&line["level"], &line["field_level"]), (&"info".into(), &"fatal".into()));
    assert_eq!(line["text"], "a?b?[2J?");
    assert_eq!(line["event"], "x??y");

    let line = one(|| tracing::info!("a\",\"level" = 1, b = 2, "x"));
    assert_eq!((line.as_object().unwrap().len(), &line["b"]), (5, &"2".into()));
}

#[test]
fn text_is_quoted_where_it_could_be_taken_for_fields() {
    let (writer, lines) = std::io::pipe().map(|(read, write)| (write, read)).unwrap();
    let sink = LogSink::to(writer, LogFormat::Text).unwrap();
    tracing::dispatcher::with_default(&tracing_dispatch(&sink, "info").unwrap(), || {
        tracing::info!(error = "two words", count = 2, "it went wrong");
        tracing::info!("status=200");
    });
    drop(sink);
    let text = std::io::read_to_string(lines).unwrap();
    let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let target = "target=portcullis::observe::trace::tests";
    assert_eq!(
        lines,
        [
            format!("info it went wrong {target} error=\"two words\" count=2"),
            format!("info \"status=200\" {target}"),
        ]
    );
}

#[test]
fn an_event_of_any_size_is_a_line_of_bounded_size() {
    let long = "word ".repeat(100_000);
    let text = logged("trace", || tracing::info!(a = %long, b = ?long, "{long}"));
    assert!(text.len() < 4 * VALUE_BYTES, "{}", text.len());
}

#[test]
fn a_key_is_masked_wherever_a_dependency_puts_it_even_where_it_is_cut() {
    for filler in 0..2 * CANARY.len() {
        let text = " ".repeat(VALUE_BYTES - filler) + CANARY;
        let text = logged("trace", || {
            tracing::trace!(uri = %format!("/x/{CANARY}"), head = ?[("a", CANARY)], "{text}");
        });
        assert!(!text.contains(&CANARY[..8]), "{text}");
    }
}

#[test]
fn a_filter_decides_and_a_bad_one_is_an_error() {
    let say = || {
        tracing::debug!("quiet");
        tracing::info!("loud");
    };
    let text = logged("info,hyper=trace", say);
    assert!(text.contains("loud") && !text.contains("quiet"));
    for bad in ["portcullis=loud", "=", "info,[x"] {
        assert!(tracing_dispatch(&LogSink::memory(), bad).is_err(), "{bad}");
    }
}

#[test]
fn a_panic_tells_where_and_never_what() {
    let sink = LogSink::memory();
    install_panic_hook(&sink);
    let caught = std::panic::catch_unwind(|| panic!("{CANARY}"));
    drop(std::panic::take_hook());
    assert!(caught.is_err());
    let log = sink.contents();
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    let event = line["event"].as_str().unwrap();
    assert!(event.starts_with("panic at src/observe/trace/tests.rs:"), "{event}");
    assert!(!log.contains(CANARY));
}

#[test]
fn what_dependencies_say_through_log_arrives_too() {
    let sink = LogSink::memory();
    // Global, so this is the one test of it.
    init_tracing(&sink, "warn").unwrap();
    tracing_log::log::warn!(target: "dependency", "hello from /mcp/canary");
    tracing_log::log::info!("quiet");
    let log = sink.contents();
    assert!(log.contains(r#""target":"dependency""#), "{log}");
    assert!(log.contains(r#""event":"hello from /mcp/[redacted]""#), "{log}");
    assert!(!log.contains("quiet") && !log.contains("log."), "{log}");
    assert!(matches!(init_tracing(&sink, "warn"), Err(BadFilter::Twice)));
}
