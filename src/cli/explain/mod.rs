//! `portcullis explain`: the chain of decisions about a request, gate by gate, with the lines of the
//! file that make them: of one that is described, or of one that a log tells of.
//!
//! A request that is described is put to the page that judges all others. What is told of the gates
//! are the facts that they go by; the verdict is the page's own.

mod chain;
mod facts;
mod logged;
mod question;
mod words;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

use question::Question;

use super::run::fail;
use crate::{
    config::{self, Loaded, Outline},
    snapshot::Snapshot,
};

/// The exit code where the request would be refused: 1 is for what can't be told.
const REFUSED: u8 = 3;

/// What is asked.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The address that the request comes from.
    #[arg(long, value_name = "IP", required_unless_present = "request")]
    from: Option<IpAddr>,
    /// The trusted proxy that it comes through, which says where it is from.
    #[arg(long, value_name = "IP")]
    via: Option<IpAddr>,
    /// A file with the client's key, - for standard input. It goes where the URL says {key}, or
    /// into Authorization.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// As if it came with the key of this consumer.
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    consumer: Option<String>,
    /// The tool that it calls.
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// The Origin that a browser would name.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Why a request was refused, from its log on standard input.
    #[arg(long, value_name = "REQUEST_ID", conflicts_with_all = ["from", "method"])]
    request: Option<String>,
    /// GET, POST, ...
    #[arg(required_unless_present = "request")]
    method: Option<String>,
    /// https://HOST/PATH; write {key} where the key stands.
    #[arg(required_unless_present = "request")]
    url: Option<String>,
}

/// Explains. Exit code 0 where the request would go on, or the log's was found; 3 where it would be
/// refused; 1 where that can't be told.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match explain(arguments) {
        Ok(code) => code,
        Err(error) => fail(&*error),
    }
}

fn explain(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = config::load(&arguments.config, &config::process_environment);
    let label = arguments.config.display().to_string();
    let Loaded { snapshot: Some(snapshot), source, .. } = loaded else {
        let color = io::stderr().is_terminal();
        let problems = config::render(&loaded.problems, &loaded.source, &label, color);
        io::stderr().write_all(problems.as_bytes())?;
        return Ok(ExitCode::FAILURE);
    };
    let outline = Outline::of(&source);
    let out = &mut io::stdout();
    let page = words::Page { label: &label, color: out.is_terminal() };
    match &arguments.request {
        Some(id) => {
            let line = logged::find(io::stdin().lock(), id)?;
            page.logged(&line.case(&snapshot, &outline), &line, out)?;
            Ok(ExitCode::SUCCESS)
        }
        None => described(arguments, snapshot, &outline, (&page, out)),
    }
}

fn described(
    arguments: &Arguments,
    snapshot: Snapshot,
    outline: &Outline,
    (page, out): (&words::Page<'_>, &mut impl Write),
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let question = Question::of(arguments, &snapshot)?;
    let asked = question.ask(snapshot)?;
    page.heard(&asked.case(&question, outline), &asked, out)?;
    let refused = asked.refusal().is_some();
    Ok(if refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// The lines of an input; one that is longer than any log line is no log line.
fn lines(input: impl BufRead) -> impl Iterator<Item = io::Result<String>> {
    /// The log's own lines are far shorter.
    const LONGEST: usize = 256 * 1024;
    let mut input = input;
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let read = io::Read::take(&mut input, most).read_until(b'\n', &mut line);
        match read {
            Ok(0) => None,
            // The rest of what is no log line is no line of its own.
            Ok(LONGEST) if !line.ends_with(b"\n") => {
                Some(input.skip_until(b'\n').map(|_| String::new()))
            }
            // The log's own lines are UTF-8; another's line is none of a request.
            Ok(_) => Some(Ok(String::from_utf8(line).unwrap_or_default())),
            Err(error) => Some(Err(error)),
        }
    })
}
