use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use crate::{
    config,
    gateway::{Gateway, Stop},
    observe::{LogSink, init_tracing, install_panic_hook},
    snapshot::Snapshot,
};

/// `portcullis run`: serves until SIGTERM. Exit code 1 where it can't start, with the reason on
/// standard error.
pub(super) fn run(file: &Path) -> ExitCode {
    let loaded = config::load(file, &config::process_environment);
    let color = io::stderr().is_terminal();
    let label = file.display().to_string();
    let problems = config::render(&loaded.problems, &loaded.source, &label, color);
    let _ = io::stderr().write_all(problems.as_bytes());
    let Some(snapshot) = loaded.snapshot else { return ExitCode::FAILURE };
    match start(snapshot) {
        Ok(gateway) => {
            gateway.run(Stop::Signals);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&*error),
    }
}

/// The gateway of a configuration, with its log on standard output.
pub(super) fn start(snapshot: Snapshot) -> Result<Gateway, Box<dyn std::error::Error>> {
    let log = LogSink::stdout(snapshot.log.format)?;
    let overriding =
        config::process_environment("RUST_LOG").and_then(|text| text.into_string().ok());
    let filter = overriding.filter(|filter| !filter.is_empty());
    init_tracing(&log, filter.as_deref().unwrap_or(&snapshot.log.level))?;
    install_panic_hook(&log);
    Ok(Gateway::bind(snapshot, log)?)
}

/// One line for the operator: what failed and how to mend it.
pub(super) fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "portcullis: {error}");
    ExitCode::FAILURE
}
