//! Arguments become one subcommand, and what it returns an exit code.

mod ban;
pub mod check;
mod demo;
mod explain;
pub mod key;
mod live;
mod pins;
mod printed;
mod reload;
mod revoke;
mod run;
mod socket;
mod status;

use std::{path::PathBuf, process::ExitCode};

use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

/// A hardened streaming gateway for MCP traffic.
#[derive(Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM, then drain and exit 0.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Take over from the gateway that runs: its listening sockets, what it has counted and what it
        /// keeps. It lets its calls and streams end.
        #[arg(long)]
        upgrade: bool,
        /// Start another process that does, and leave.
        #[arg(long, hide = true)]
        apart: bool,
    },
    /// Check a configuration: every problem at once, with its place and how to mend it.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Ask the servers behind, with each consumer's upstream key, if they have the tools that
        /// rules name.
        #[arg(long)]
        live: bool,
    },
    /// Why a request passes or is refused: gate by gate, with the lines of the file that decide. Exit
    /// code 3 where it would be refused.
    Explain(Box<explain::Arguments>),
    /// Who is banned by the gateway that runs, through its admin socket.
    Ban {
        #[command(subcommand)]
        command: ban::BanCommand,
    },
    /// Which tools the gateway that runs trusts as they are described, through its admin socket.
    Pins {
        #[command(subcommand)]
        command: pins::PinsCommand,
    },
    /// Have the gateway that runs read its configuration again. Exit code 1 where it is refused, and
    /// the old one stays in force.
    Reload(socket::SocketArguments),
    /// What is under way at the gateway that runs, through its admin socket: a table on a terminal, a JSON
    /// object a line else.
    Status {
        #[command(flatten)]
        socket: socket::SocketArguments,
    },
    /// End what is under way, through the admin socket. Exit code 1 where nothing was.
    Kill(status::KillArguments),
    /// Refuse the keys of a consumer from now on, whatever the configuration says, and end what they
    /// hold open. It holds over restarts, until the configuration no longer has the keys.
    Revoke(revoke::ConsumerArguments),
    /// Let the keys of a revoked consumer count again.
    Unrevoke(revoke::ConsumerArguments),
    /// Who is revoked.
    Revocations {
        #[command(flatten)]
        socket: socket::SocketArguments,
    },
    /// Run the whole thing on loopback, before an embedded MCP server.
    Demo,
    /// Make a key for a consumer.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
}

#[derive(Subcommand)]
enum KeyCommand {
    /// A new key, shown once, and the consumer block to paste.
    New {
        /// The consumer's name.
        name: String,
    },
}

/// What is wrong with the arguments, without the argument itself: pasted in the wrong place, it may be
/// a key, and the message goes to screens and logs.
fn without_values(mut wrong: clap::Error) -> clap::Error {
    for context in
        [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand]
    {
        let is_ours = |value: &ContextValue| match value {
            // An option's own name.
            ContextValue::String(text) => text.starts_with("--") && text.contains('<'),
            _ => true,
        };
        if wrong.get(context).is_some_and(|value| !is_ours(value)) {
            wrong.insert(context, ContextValue::String("(not shown)".to_owned()));
        }
    }
    // They repeat it.
    wrong.remove(ContextKind::Suggested);
    wrong.remove(ContextKind::TrailingArg);
    wrong
}

/// Runs what the arguments ask for. Wrong arguments end the process with a usage message and 2.
pub fn main() -> ExitCode {
    let arguments = Arguments::try_parse().map_err(without_values);
    match arguments.unwrap_or_else(|wrong| wrong.exit()).command {
        Command::Run { config, upgrade, apart: false } => run::run(&config, upgrade),
        Command::Run { apart: true, .. } => run::apart(),
        Command::Check { config, live } => check::run(&config, live),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Ban { command } => ban::run(&command),
        Command::Pins { command } => pins::run(&command),
        Command::Reload(socket) => reload::run(&socket),
        Command::Status { socket } => status::run(&socket),
        Command::Kill(arguments) => status::kill(&arguments),
        Command::Revoke(arguments) => revoke::revoke(&arguments),
        Command::Unrevoke(arguments) => revoke::unrevoke(&arguments),
        Command::Revocations { socket } => revoke::list(&socket),
        Command::Demo => demo::run(),
        Command::Key { command: KeyCommand::New { name } } => key::new(&name),
    }
}
