use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{BootError, kept};
use crate::observe::Metrics;

/// The largest file that is read, in bytes.
const MOST: u64 = 64 << 20;

/// A file of lines in the state directory, that outlives the process: even one that was killed.
pub(super) struct KeptFile {
    path: PathBuf,
    /// What is in it, for messages: `bans`.
    what: &'static str,
    written: Mutex<Written>,
    failing: AtomicBool,
    metrics: Metrics,
}

struct Written {
    /// The changes that are in the file; `None` where nobody knows what is.
    changes: Option<u64>,
    /// Another process keeps the file.
    is_closed: bool,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It was read.
    Used,
    /// It is none that was ever written, or there is no room for it.
    Damaged,
}

impl KeptFile {
    /// A file of that name, with the changes that are in it.
    pub(super) fn new(
        dir: &Path,
        (what, written): (&'static str, Option<u64>),
        metrics: &Metrics,
    ) -> Self {
        metrics.state_file(what);
        let (path, metrics) = (dir.join(what), metrics.clone());
        let written = Mutex::new(Written { changes: written, is_closed: false });
        Self { path, what, written, failing: AtomicBool::new(false), metrics }
    }

    /// Writes no more, because another process does; or again, because it doesn't.
    pub(super) fn close(&self, is_closed: bool) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).is_closed = is_closed;
    }

    /// What is in it is no longer so, though nothing has changed: the next turn writes it anew.
    pub(super) fn is_stale(&self) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).changes = None;
    }

    /// Writes the text, if there are changes that aren't in the file. The changes that are in it now,
    /// where that is known.
    pub(super) fn write(
        &self,
        changes: impl Fn() -> u64,
        text: impl FnOnce() -> String,
    ) -> Option<u64> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the text is made: what changes meanwhile is written with the next turn.
        let changes = changes();
        // In a closed one it is another process that keeps them.
        if written.is_closed || written.changes == Some(changes) {
            return Some(changes);
        }
        match kept::write(&self.path, text().as_bytes()) {
            Ok(()) => {
                written.changes = Some(changes);
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(file = %self.path.display(), "the {} are kept again", self.what);
                }
            }
            Err(error) => {
                self.metrics.state_write_failed(self.what);
                // Said once, and tried again with each turn.
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let file = self.path.display();
                    tracing::error!(%file, %error, "the {} can't be kept", self.what);
                }
            }
        }
        written.changes
    }
}

/// Reads the lines of a file. One that can't be read, or a line of it, keeps nobody from starting. Gives
/// whether what was read is still there, whole: else it is to be written anew.
pub(super) fn read_lines(dir: &Path, what: &'static str, line: impl FnMut(&str) -> Line) -> bool {
    let path = dir.join(what);
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the {what} can't be read");
            put_aside(&path);
            return false;
        }
    };
    let first = tell_damaged(&bytes, line, |damaged, first| {
        // Once for all: a file of something else has many lines.
        let file = path.display();
        tracing::warn!(%file, damaged, first, "lines of the {what} that can't be used were left out");
        put_aside(&path);
    });
    first.is_none()
}

/// Reads every line, and tells how many can't be used and which is the first, if there is one.
fn tell_damaged(
    bytes: &[u8],
    line: impl FnMut(&str) -> Line,
    tell: impl FnOnce(usize, usize),
) -> Option<usize> {
    let mut all = damaged(bytes, line);
    let first = all.next()?;
    tell(1 + all.count(), first);
    Some(first)
}

/// The numbers of the lines that can't be used, counted from 1. Every line is read by the end.
fn damaged(bytes: &[u8], mut line: impl FnMut(&str) -> Line) -> impl Iterator<Item = usize> {
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let mut is_damaged = move |bytes: &[u8]| {
        std::str::from_utf8(bytes).map_or(Line::Damaged, &mut line) == Line::Damaged
    };
    lines.filter(move |(line, _)| !line.is_empty() && is_damaged(line)).map(|(_, number)| number)
}

/// Reads the lines of a file that keeps somebody out: one that can't be read, or a line of it, would let
/// that one in.
///
/// # Errors
/// Where there is such a file or line.
pub(super) fn read_strictly(
    dir: &Path,
    what: &'static str,
    line: impl FnMut(&str) -> Line,
) -> Result<(), BootError> {
    let path = dir.join(what);
    let bytes = match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BootError::Kept { path, source }),
        Ok(bytes) => bytes,
    };
    let first = damaged(&bytes, line).next();
    first.map_or(Ok(()), |number| {
        let source = io::Error::other(format!("line {number} can't be used"));
        Err(BootError::Kept { path, source })
    })
}

/// Reads the same of what another process had, for this one goes on in its place.
pub(super) fn take_over(text: &str, line: impl FnMut(&str) -> Line, what: &'static str) {
    tell_damaged(text.as_bytes(), line, |damaged, first| {
        tracing::warn!(damaged, first, "{what} of the process before that can't be used");
    });
}

/// Reads what keeps somebody out of what another process had.
///
/// # Errors
/// Where a line can't be used.
pub(super) fn take_over_strictly(
    text: &str,
    line: impl FnMut(&str) -> Line,
    what: &'static str,
) -> Result<(), BootError> {
    let first = damaged(text.as_bytes(), line).next();
    let said = |number| format!("line {number} of its {what} can't be used");
    first.map_or(Ok(()), |number| Err(BootError::Upgrade(said(number))))
}

/// What the next change would write over: somebody may still make something of it.
fn put_aside(file: &Path) {
    let aside = file.with_extension("bad");
    if fs::rename(file, &aside).is_ok() {
        tracing::warn!(file = %aside.display(), "the file as it was is kept there");
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let found = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_symlink() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link that leads nowhere"));
        }
        found => found?,
    };
    // Of a pipe the opening alone would wait for ever.
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(file)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Turns again and again. Ends only when dropped.
pub(super) async fn keep<K: Send + Sync + 'static>(keeper: Arc<K>, every: Duration, turn: fn(&K)) {
    let mut turns = tokio::time::interval(every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let keeper = Arc::clone(&keeper);
        // The disk may take its time.
        let _ = tokio::task::spawn_blocking(move || turn(&keeper)).await;
    }
}
