use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use crate::{
    config,
    gateway::{BootError, Gateway, Hangups, Look, Stop},
    host,
    observe::{LogSink, init_tracing, install_panic_hook},
    snapshot::Snapshot,
};

/// `portcullis run`: serves until SIGTERM. Exit code 1 where it can't start, with the reason on
/// standard error; with `upgrade`, the gateway that runs goes on then.
pub(super) fn run(file: &Path, upgrade: bool) -> ExitCode {
    // A large file takes a second, in which somebody may want it read again. To systemd an end by SIGHUP
    // is a clean one, and it would start nothing again.
    if let Err(error) = Hangups::survive() {
        return fail(&error);
    }
    let as_loaded = Look::at(file);
    let loaded = config::load(file, &config::process_environment);
    let color = io::stderr().is_terminal();
    let label = file.display().to_string();
    let problems = config::render(&loaded.problems, &loaded.source, &label, color);
    let _ = io::stderr().write_all(problems.as_bytes());
    let Some(snapshot) = loaded.snapshot else { return ExitCode::FAILURE };
    let gateway = if upgrade { Gateway::upgrade } else { Gateway::bind };
    match start_as(snapshot, gateway) {
        Ok(gateway) => {
            gateway.reloading(file.to_owned(), as_loaded).run(Stop::Signals);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&*error),
    }
}

/// Starts this program again without its last argument, and leaves: the gateway that asked for it isn't
/// the parent then, but whoever takes in orphans, as a service manager does.
pub(super) fn apart() -> ExitCode {
    match host::start_orphan() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The gateway of a configuration, with its log on standard output.
pub(super) fn start(snapshot: Snapshot) -> Result<Gateway, Box<dyn std::error::Error>> {
    start_as(snapshot, Gateway::bind)
}

fn start_as(
    snapshot: Snapshot,
    gateway: fn(Snapshot, LogSink) -> Result<Gateway, BootError>,
) -> Result<Gateway, Box<dyn std::error::Error>> {
    let log = LogSink::stdout(snapshot.log.format)?;
    let overriding =
        config::process_environment("RUST_LOG").and_then(|text| text.into_string().ok());
    let filter = overriding.filter(|filter| !filter.is_empty());
    init_tracing(&log, &filter.unwrap_or_else(|| with_a_quiet_host(&snapshot.log.level)))?;
    install_panic_hook(&log);
    Ok(gateway(snapshot, log)?)
}

/// The configured filter, under which pingora-core tells of nothing less than a warning: at `info`
/// it says of each service that it starts and ends, and of any end that it was a SIGINT. A filter
/// that names it has its way, and one that wants less has too.
fn with_a_quiet_host(level: &str) -> String {
    let wants_less = |part: &str| matches!(&*part.trim().to_ascii_lowercase(), "off" | "error");
    if level.split(',').any(wants_less) {
        return level.to_owned();
    }
    // Of two directives for one target the later one counts.
    format!("pingora_core=warn,{level}")
}

/// One line for the operator: what failed and how to mend it.
pub(super) fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "portcullis: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::tracing_dispatch;

    #[test]
    fn pingora_speaks_from_a_warning_on_unless_the_filter_says_otherwise() {
        for (level, said) in [
            ("info", "own warning"),
            ("debug", "own warning"),
            ("info,pingora_core=info", "own info warning"),
            ("info,pingora_core::server=info", "own info warning"),
            ("error", ""),
            ("error,portcullis=info", "own"),
            ("OFF", ""),
        ] {
            let sink = LogSink::memory();
            let dispatch = tracing_dispatch(&sink, &with_a_quiet_host(level)).unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::info!("own");
                tracing::info!(target: "pingora_core::server", "info");
                tracing::warn!(target: "pingora_core::server", "warning");
            });
            let log = sink.contents();
            let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
            let events = log.lines().map(|text| line(text)["event"].as_str().unwrap().to_owned());
            assert_eq!(events.collect::<Vec<_>>().join(" "), said, "{level}");
        }
    }
}
