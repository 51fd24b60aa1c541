use std::{
    env, io,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

/// The arguments of a process that takes over, and of one that only starts it.
const UPGRADE: &str = "--upgrade";
const APART: &str = "--apart";

/// The program's file, as it was found at the start: once another has its place, the system tells the
/// name with a note that it was deleted.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Notes where the program is. Before another one can have its place.
pub(super) fn remember_program() {
    if let Ok(program) = env::current_exe() {
        let _ = PROGRAM.set(program);
    }
}

/// Starts the program that has our file's name by now, with our own arguments and what makes it take
/// over. It isn't our child, for what we start only starts it and leaves: so it belongs to whoever takes
/// in orphans, as a service belongs to its manager.
pub(super) fn start_successor() -> io::Result<()> {
    let program = PROGRAM.get().ok_or(io::ErrorKind::NotFound)?;
    let own: Vec<_> = env::args_os().skip(1).filter(|word| word != UPGRADE).collect();
    let mut command = Command::new(program);
    let mut child = command.args(own).args([UPGRADE, APART]).stdin(Stdio::null()).spawn()?;
    // It leaves in no time; nobody having asked how, it would stay as a dead one.
    let waiting = thread::Builder::new().name("successor".to_owned());
    waiting.spawn(move || child.wait()).map(|_| ())
}

/// The other half of it: starts this program again, without the argument that says so.
///
/// # Errors
/// Where it can't be started.
pub fn start_orphan() -> io::Result<()> {
    let own = env::args_os().skip(1).filter(|word| word != APART);
    Command::new(env::current_exe()?).args(own).stdin(Stdio::null()).spawn().map(|_| ())
}
