use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    BootError,
    kept_file::{self, KeptFile, Line},
};
use crate::{
    policy::{Revocations, read_revocation, write_revocation},
    proxy::State,
    snapshot::{Snapshot, UnknownKeys},
    types::FingerprintKey,
};

/// How soon it is tried again to write what couldn't be. What changes is written at once.
const AGAIN: Duration = Duration::from_millis(500);

/// The name of the file.
const FILE: &str = "revocations";

/// Keeps revocations over a restart, where there is a state directory.
pub(super) struct RevocationKeeper {
    revocations: Arc<Revocations>,
    file: Option<KeptFile>,
}

impl RevocationKeeper {
    /// The keeper of these revocations, with those of the file and of the process before put back that
    /// still mean something.
    pub(super) fn new(state: &State, taken: &str) -> Result<Self, BootError> {
        let now = Arc::clone(&state.world.load().snapshot);
        let revocations = Arc::clone(&state.revocations);
        let file = now.state_dir.as_deref().map(|dir| {
            restore(&revocations, dir)?;
            let changes = *revocations.changes().borrow();
            Ok(KeptFile::new(dir, FILE, Some(changes)))
        });
        let file = file.transpose()?;
        kept_file::take_over_strictly(taken, |line| put_back(&revocations, line), FILE)?;
        let keeper = Self { revocations, file };
        let_go(&keeper.revocations, &now, &state.fingerprints);
        Ok(keeper)
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
        if let Some(file) = &self.file {
            file.close(is_closed);
        }
    }

    /// All that is kept.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for revoked in self.revocations.list() {
            write_revocation(&mut text, &revoked);
        }
        text
    }
}

fn restore(revocations: &Revocations, dir: &Path) -> Result<(), BootError> {
    kept_file::read_strictly(dir, FILE, |line| put_back(revocations, line))
}

fn put_back(revocations: &Revocations, line: &str) -> Line {
    match read_revocation(line).map(|revoked| revocations.add(revoked)) {
        Some(Ok(_)) => Line::Used,
        Some(Err(_)) | None => Line::Damaged,
    }
}

/// Lets go of revoked keys that the configuration refuses itself: no consumer has them, and no route
/// forwards keys that nobody has.
pub(super) fn let_go(revocations: &Revocations, snapshot: &Snapshot, salt: &FingerprintKey) {
    let forwards = |unknown: UnknownKeys| unknown == UnknownKeys::Forward;
    let mut routes = snapshot.routes.iter().filter_map(|route| route.mcp());
    if revocations.list().is_empty() || routes.any(|rules| forwards(rules.unknown_keys)) {
        return;
    }
    let marks: std::collections::HashSet<_> =
        snapshot.consumers.keys().map(|key| salt.mark(key)).collect();
    for consumer in revocations.keep_only(|mark| marks.contains(mark)) {
        tracing::info!(%consumer, "no longer revoked: the configuration has its key no more");
    }
}
