//! `portcullis check`: what `nginx -t` is to nginx.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use super::live;
use crate::{
    config::{self, Loaded},
    snapshot::Snapshot,
};

/// Reads the file and reports every problem on standard error. Exit code 1 where one is an error,
/// else a summary on standard output and 0. `live`: the servers behind are asked too.
pub fn run(file: &Path, live: bool) -> ExitCode {
    let color = io::stderr().is_terminal();
    let loaded = config::load(file, &config::process_environment);
    match report((file, live), &loaded, color, (&mut io::stdout(), &mut io::stderr())) {
        Ok(code) => code,
        // Nobody is left to tell.
        Err(_) => ExitCode::FAILURE,
    }
}

fn report(
    (file, live): (&Path, bool),
    loaded: &Loaded,
    color: bool,
    (out, err): (&mut impl Write, &mut impl Write),
) -> io::Result<ExitCode> {
    let label = file.display().to_string();
    write!(err, "{}", config::render(&loaded.problems, &loaded.source, &label, color))?;
    let Some(snapshot) = &loaded.snapshot else { return Ok(ExitCode::FAILURE) };
    writeln!(out, "{label} is fine: {}", summary(snapshot, loaded.problems.len()))?;
    if live && !live::run(snapshot, (&loaded.source, &label, color), (out, err))? {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(snapshot: &Snapshot, warnings: usize) -> String {
    let mut parts = vec![
        counted(snapshot.listeners.len(), "listener"),
        counted(snapshot.routes.iter().count(), "route"),
        counted(snapshot.consumers.iter().count(), "consumer"),
    ];
    if warnings > 0 {
        parts.push(counted(warnings, "warning"));
    }
    parts.join(", ")
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (ExitCode, String, String) {
        let around = config::Surroundings {
            base_dir: Path::new(""),
            environment: &|_| None,
            now: std::time::SystemTime::now(),
        };
        let loaded = config::compile_text(text, around);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code =
            report((Path::new("a.toml"), false), &loaded, false, (&mut out, &mut err)).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_sound_file_gets_a_summary_and_a_bad_one_its_problems() {
        let sound = r#"
            listeners = [{ name = "http", address = "127.0.0.1:0" }]
            upstreams.postiz.endpoints = ["http://127.0.0.1:3000"]
            routes = [{ name = "mcp", paths = ["/mcp"], upstream = "postiz" }]
        "#;
        let (code, out, err) = check(sound);
        assert_eq!(code, ExitCode::SUCCESS);
        assert_eq!(out, "a.toml is fine: 1 listener, 1 route, 0 consumers, 1 warning\n");
        assert!(err.starts_with("a.toml:4:32: warning: nobody can use this route"), "{err}");
        let (code, out, err) = check("listeners = 1");
        assert_eq!((code, out.as_str()), (ExitCode::FAILURE, ""));
        assert!(err.contains("a.toml:1:13: error: "), "{err}");
    }
}
