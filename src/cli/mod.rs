//! Arguments become one subcommand, and what it returns an exit code.

mod ban;
pub mod check;
mod demo;
mod explain;
pub mod key;
mod live;
mod run;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

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

/// Runs what the arguments ask for. Wrong arguments end the process with a usage message and 2.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config } => run::run(&config),
        Command::Check { config, live } => check::run(&config, live),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Ban { command } => ban::run(&command),
        Command::Demo => demo::run(),
        Command::Key { command: KeyCommand::New { name } } => key::new(&name),
    }
}
