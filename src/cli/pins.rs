//! `portcullis pins`: which tools the gateway that runs trusts.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;

use super::{
    printed::Printed,
    run::fail,
    socket::{SocketArguments, asked},
};
use crate::{
    admin::{AcceptRequest, Ask, PinsAnswer},
    policy::PinLine,
    types::{Method, Untrusted},
};

/// How much of a digest is for eyes, in hex digits.
const SHOWN: usize = 12;

/// What is done with pinned tools.
#[derive(Subcommand)]
pub(super) enum PinsCommand {
    /// All of them: a table on a terminal; else a JSON object a line, which `pins` of an upstream takes
    /// as its file.
    List {
        #[command(flatten)]
        socket: SocketArguments,
    },
    /// Trust a tool as its server describes it now.
    Accept {
        /// The upstream's name.
        upstream: String,
        /// The tool's name.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        tool: Option<String>,
        /// Every tool of the upstream that has changed.
        #[arg(long)]
        all: bool,
        /// The digest of the description that you looked at: another one isn't accepted.
        #[arg(long, value_name = "HEX")]
        seen: Option<String>,
        #[command(flatten)]
        socket: SocketArguments,
    },
}

/// Exit code 1 where the gateway can't be asked or refuses, with the reason on standard error.
pub(super) fn run(command: &PinsCommand) -> ExitCode {
    match answer(command, &mut Printed::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn answer(command: &PinsCommand, out: &mut Printed<impl Write>) -> Result<(), Box<dyn Error>> {
    match command {
        PinsCommand::List { socket } => {
            let ask = Ask { method: Method::Get, path: "/pins", body: None };
            let PinsAnswer { pins } = asked(socket, &ask)?;
            out.pins(&pins, "No tool is pinned.")?;
        }
        PinsCommand::Accept { upstream, tool, seen, socket, .. } => {
            let (upstream, tool, seen) = (upstream.clone(), tool.clone(), seen.clone());
            let body = serde_json::to_vec(&AcceptRequest { upstream, tool, seen })?;
            let ask = Ask { method: Method::Post, path: "/pins", body: Some(&body) };
            let PinsAnswer { pins } = asked(socket, &ask)?;
            out.pins(&pins, "Nothing waits to be accepted.")?;
        }
    }
    Ok(())
}

impl<W: Write> Printed<W> {
    fn pins(&mut self, pins: &[PinLine], none: &str) -> io::Result<()> {
        if !self.eyes {
            return self.lines(pins);
        }
        if pins.is_empty() {
            return writeln!(self.out, "{none}");
        }
        let head = ["UPSTREAM", "TOOL", "STATE", "ACCEPTED", "SEEN"].map(str::to_owned);
        let row = |line: &PinLine| {
            let digest = |hex: &Option<String>| {
                hex.as_deref().and_then(|hex| hex.get(..SHOWN)).unwrap_or("-").to_owned()
            };
            // A server's names go to a terminal.
            let tool = Untrusted::new(&line.tool).to_string();
            [
                line.upstream.clone(),
                tool,
                state(line).to_owned(),
                digest(&line.accepted),
                digest(&line.seen),
            ]
        };
        let rows: Vec<_> = std::iter::once(head).chain(pins.iter().map(row)).collect();
        self.table(&rows)
    }
}

fn state(line: &PinLine) -> &'static str {
    match line.pin() {
        Some(pin) if pin.is_trusted() => "trusted",
        Some(pin) if pin.accepted.is_none() => "new",
        _ => "changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ToolDigest;

    #[test]
    fn eyes_get_a_table_and_programs_what_a_file_of_pins_is() {
        let (one, two) = (ToolDigest::of("1").to_string(), ToolDigest::of("2").to_string());
        let line = |tool: &str, accepted: Option<&String>, seen: Option<&String>| PinLine {
            upstream: "postiz".to_owned(),
            tool: tool.to_owned(),
            accepted: accepted.cloned(),
            seen: seen.cloned(),
        };
        let pins = [
            line("integrationList", Some(&one), Some(&one)),
            line("postsList", Some(&one), Some(&two)),
            line("new\u{1b}[31m", None, Some(&two)),
        ];
        let printed = |eyes, pins: &[PinLine]| {
            let mut out = Printed { out: Vec::new(), eyes };
            out.pins(pins, "No tool is pinned.").unwrap();
            String::from_utf8(out.out).unwrap()
        };
        let table = "\
UPSTREAM  TOOL             STATE    ACCEPTED      SEEN
postiz    integrationList  trusted  6b86b273ff34  6b86b273ff34
postiz    postsList        changed  6b86b273ff34  d4735e3a265e
postiz    new?[31m         new      -             d4735e3a265e
";
        assert_eq!(printed(true, &pins), table);
        assert_eq!(printed(true, &[]), "No tool is pinned.\n");
        let lines = printed(false, &pins);
        let read = lines.lines().map(|line| serde_json::from_str::<PinLine>(line).unwrap());
        assert!(read.eq(pins));
    }
}
