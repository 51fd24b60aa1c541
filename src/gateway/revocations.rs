use std::{fmt::Write, fs, io, path::Path, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    BootError,
    kept_file::{self, KeptFile, Line},
};
use crate::{
    policy::{Revocations, read_revocation, read_salt, write_revocation, write_salt},
    proxy::State,
    types::{FingerprintKey, KeyMark},
};

/// How soon it is tried again to write what couldn't be. What changes is written at once.
const AGAIN: Duration = Duration::from_millis(500);

/// The name of the file.
const FILE: &str = "revocations";

/// How the last line of the file begins; the count of those that are revoked follows.
const END: &str = "#end ";

/// What is said of a process that has other marks for the same keys.
const OTHER_SALT: &str = "what it has revoked was marked by another fingerprint-salt than that of \
                          [state] dir; put back the file that was there when it started, or where \
                          there was none `unrevoke`, upgrade and revoke again";

/// Keeps revocations over a restart, where there is a state directory.
pub(super) struct RevocationKeeper {
    revocations: Arc<Revocations>,
    file: Option<KeptFile>,
    /// By what the marks are made.
    salt: KeyMark,
}

impl RevocationKeeper {
    /// The keeper of these revocations, with those of the file and of the process before put back.
    ///
    /// # Errors
    /// Where it can't be read who is revoked, or by another salt: then no mark is any key's, and whoever
    /// is revoked would be let in.
    pub(super) fn new(state: &State, taken: &str) -> Result<Self, BootError> {
        let now = Arc::clone(&state.world.load().snapshot);
        let (revocations, salt) = (Arc::clone(&state.revocations), &state.fingerprints);
        let file = now.state_dir.as_deref().map(|dir| {
            restore(&revocations, dir, salt)?;
            let changes = *revocations.changes().borrow();
            Ok(KeptFile::new(dir, (FILE, Some(changes)), &state.metrics))
        });
        let file = file.transpose()?;
        let mut reading = Reading::new(&revocations, salt);
        kept_file::take_over_strictly(taken, |line| reading.line(line), FILE)?;
        if reading.is_foreign {
            return Err(BootError::Upgrade(OTHER_SALT.to_owned()));
        }
        Ok(Self { revocations, file, salt: state.fingerprints.own_mark() })
    }

    /// Writes what has changed. Ends only when dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut changes = self.revocations.changes();
        loop {
            let keeper = Arc::clone(&self);
            // The disk may take its time.
            let _ = tokio::task::spawn_blocking(move || keeper.turn()).await;
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep(AGAIN) => {}
            }
        }
    }

    /// One turn; the last one is at the end of the drain.
    pub(super) fn turn(&self) {
        let Some(file) = &self.file else { return };
        let changes = || *self.revocations.changes().borrow();
        if let Some(kept) = file.write(changes, || self.text()) {
            self.revocations.are_kept(kept);
        }
    }

    /// Writes no more, because another process does; or again, because it doesn't.
    pub(super) fn close(&self, is_closed: bool) {
        // Before it is read what there is to hand over.
        self.revocations.seal(is_closed);
        if let Some(file) = &self.file {
            file.close(is_closed);
        }
    }

    /// Another process has them.
    pub(super) fn hand_over(&self) {
        self.revocations.hand_over();
    }

    /// All that is kept.
    pub(super) fn text(&self) -> String {
        let (mut text, list) = (String::new(), self.revocations.list());
        // Where nobody is revoked another salt does no harm.
        if !list.is_empty() {
            write_salt(&mut text, self.salt);
        }
        for revoked in &list {
            write_revocation(&mut text, revoked);
        }
        // A file that was cut, even at the end of a line, lacks it.
        let _ = writeln!(text, "{END}{}", list.len());
        text
    }
}

/// What is read of a file, line by line.
struct Reading<'r> {
    revocations: &'r Revocations,
    /// By what the marks are made here.
    salt: KeyMark,
    /// The file says by what its marks were made.
    says_salt: bool,
    /// How many there are, and how many the end of the file says that there are.
    read: usize,
    end: Option<usize>,
    /// By another one.
    is_foreign: bool,
}

impl<'r> Reading<'r> {
    fn new(revocations: &'r Revocations, salt: &FingerprintKey) -> Self {
        let salt = salt.own_mark();
        Self { revocations, salt, says_salt: false, read: 0, end: None, is_foreign: false }
    }

    /// Whether it has its end, and before that the salt wherever somebody is revoked.
    fn is_whole(&self) -> bool {
        self.end == Some(self.read) && (self.says_salt || self.read == 0)
    }

    fn line(&mut self, line: &str) -> Line {
        if let Some(salt) = read_salt(line) {
            self.says_salt = true;
            self.is_foreign |= salt != self.salt;
            return Line::Used;
        }
        if let Some(count) = line.strip_prefix(END) {
            self.end = count.parse().ok();
            return Line::Used;
        }
        self.read += 1;
        match read_revocation(line).map(|revoked| self.revocations.add(revoked)) {
            Some(Ok(_)) => Line::Used,
            Some(Err(_)) | None => Line::Damaged,
        }
    }
}

/// Puts back what the file says, where there is one.
fn restore(revocations: &Revocations, dir: &Path, salt: &FingerprintKey) -> Result<(), BootError> {
    let mut reading = Reading::new(revocations, salt);
    kept_file::read_strictly(dir, FILE, |line| reading.line(line))?;
    if reading.is_foreign {
        return Err(BootError::Salt(dir.join(FILE)));
    }
    let path = dir.join(FILE);
    if reading.is_whole() || fs::symlink_metadata(&path).is_err() {
        return Ok(());
    }
    Err(BootError::Kept { path, source: io::Error::other("a part of it is missing") })
}
