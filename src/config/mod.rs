//! Text becomes a [`Snapshot`], or a list of everything that is wrong with it.
//!
//! ```text
//! text --toml--> a tree that knows its places --read--> drafts --compile--> Snapshot
//!                         |                               |
//!                         +------------ Problem ----------+
//! ```
//!
//! The tree is `toml`'s own, with the place of every key and value, and it is read by hand. Serde's
//! derive ends at the first fault and forgets places once a value is taken; here a file with twenty
//! mistakes has to give twenty problems, each pointing at its line, and an unknown setting has to be
//! one more of them. Every name that is read is remembered, so what nobody asked for is unknown.
//!
//! This room alone reads the environment and the files that a configuration names.

mod access;
mod acme;
mod arguments;
mod audit;
mod bans;
mod certificates;
mod client_authorities;
mod conflicts;
mod consumers;
mod defaults;
mod document;
mod endpoint;
mod endpoints;
mod files;
mod globs;
mod health;
mod known_presets;
mod known_sets;
mod limits;
mod listeners;
mod mask;
mod named;
mod oauth;
mod once;
mod outline;
mod pins;
mod presets;
mod problem;
mod reading;
mod render;
mod routes;
mod rules;
mod secrets;
mod sets;
mod table;
mod tool_limits;
mod upstreams;
mod value;
mod weak;

#[cfg(test)]
mod robustness;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
pub use named::{NamedTool, named_tools};
pub use outline::{NetWord, Outline, Owner};
pub use problem::{Place, Problem, Severity, Span};
use reading::Reading;
pub use render::render;

use crate::snapshot::{
    Certificate, CertificateFiles, ClientAuthority, ClientAuthorityFiles, Snapshot,
};

/// The largest configuration that is read, in bytes: 100,000 consumers need a quarter of it.
const MAX_BYTES: u64 = 64 << 20;

/// What a configuration refers to outside itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where relative paths start: the directory of the configuration file.
    pub base_dir: &'a Path,
    /// Looks up what `env:NAME` names.
    pub environment: &'a dyn Fn(&str) -> Option<OsString>,
    /// The time against which certificates and consumers are checked.
    pub now: SystemTime,
}

/// What came of a configuration.
pub struct Loaded {
    /// The compiled configuration; only where no problem is an error.
    pub snapshot: Option<Snapshot>,
    /// Every problem, in the order of the file.
    pub problems: Vec<Problem>,
    /// The text that the problems point into; what [`render`] wants.
    pub source: String,
}

/// An address or a net, as the configuration writes them.
///
/// # Errors
/// What is wrong with it, and how to mend it.
pub fn net(text: &str) -> Result<IpNet, String> {
    value::net(text).map_err(value::Fault::told)
}

/// How long an operator bans somebody: a duration as the configuration writes them, up to a year.
///
/// # Errors
/// What is wrong with it, and how to mend it.
pub fn ban_length(text: &str) -> Result<Duration, String> {
    value::ban_length(text).map_err(value::Fault::told)
}

/// Whether a preset lets a tool be called, as far as the tool's name tells.
pub fn preset_lets_in(preset: &str, tool: &str) -> bool {
    let now = SystemTime::now();
    let around = Surroundings { base_dir: Path::new(""), environment: &|_| None, now };
    presets::lets_in(preset, tool, (rules::read, &around))
}

/// The `[admin] socket` of a file, whatever else is wrong with it: who asks for it has not all that
/// the gateway has, its environment say.
///
/// # Errors
/// Where the file can't be read.
pub fn admin_socket(path: &Path) -> Result<Option<PathBuf>, Box<Problem>> {
    let text = read(path)?;
    let (tree, _) = toml::de::DeTable::parse_recoverable(&text);
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let around = Surroundings { base_dir, environment: &|_| None, now: SystemTime::now() };
    Ok(document::admin_socket(tree.get_ref(), &mut Reading::new(&text, around)))
}

/// Reads the files of a certificate again, as they are now.
///
/// # Errors
/// What is wrong with them: the problem has no place in a file.
pub fn certificate(files: &CertificateFiles, now: SystemTime) -> Result<Certificate, Box<Problem>> {
    certificates::again(files, now)
}

/// Reads the files again of who answers for clients, as they are now.
///
/// # Errors
/// What is wrong with them.
pub fn client_authority(
    (files, required): (&ClientAuthorityFiles, bool),
    now: SystemTime,
) -> Result<ClientAuthority, Box<Problem>> {
    client_authorities::again((files, required), now)
}

/// The environment of this process, for [`load`].
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Reads and compiles a file. A file that can't be read is one problem without a place.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<OsString>) -> Loaded {
    match read(path) {
        Ok(text) => {
            let base_dir = path.parent().unwrap_or(Path::new(""));
            compile_text(&text, Surroundings { base_dir, environment, now: SystemTime::now() })
        }
        Err(problem) => Loaded { snapshot: None, problems: vec![*problem], source: String::new() },
    }
}

/// Compiles a configuration.
pub fn compile_text(text: &str, around: Surroundings<'_>) -> Loaded {
    let (tree, faults) = toml::de::DeTable::parse_recoverable(text);
    let mut reading = Reading::new(text, around);
    for fault in &faults {
        reading.syntax(fault);
    }
    let snapshot = document::read(tree.get_ref(), &mut reading);
    let problems = reading.into_problems();
    let fine = problems.iter().all(|problem| problem.severity == Severity::Warning);
    Loaded { snapshot: snapshot.filter(|_| fine), problems, source: text.to_owned() }
}

fn read(path: &Path) -> Result<String, Box<Problem>> {
    let unreadable = |fault: &io::Error| {
        let (message, hint) = match fault.kind() {
            io::ErrorKind::NotFound => ("there is no such file", "check the path"),
            io::ErrorKind::PermissionDenied => (
                "this user may not read the file",
                "make it readable for the user that the gateway runs as",
            ),
            io::ErrorKind::IsADirectory => {
                ("this is a directory, not a file", "name the configuration file in it")
            }
            _ => ("the file cannot be read", "check that it is a plain file on a sound disk"),
        };
        Box::new(Problem::of_file(message, hint))
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|fault| unreadable(&fault))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(Box::new(Problem::of_file(
            "the file is larger than 64 MiB",
            "this is probably not a configuration",
        )));
    }
    String::from_utf8(bytes).map_err(|fault| {
        let at = fault.utf8_error().valid_up_to();
        let message = format!("the file is not UTF-8: byte {at} belongs to no character");
        Box::new(Problem::of_file(&message, "save it as UTF-8"))
    })
}
