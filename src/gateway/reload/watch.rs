use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;

use crate::upstream::World;

/// A file that may change, where the configuration has it watched. It is looked at by its name: editors
/// and deployments put another in its place.
pub(super) struct Watched {
    file: Option<PathBuf>,
    /// How it was when it was read last.
    read: Option<Look>,
    /// How it was a turn ago: who writes it may not be done.
    seen: Option<Look>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    written: Option<SystemTime>,
    length: u64,
    number: u64,
}

impl Watched {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        let read = file.as_deref().and_then(|file| look(file).ok());
        Self { file, read, seen: read }
    }

    /// Whether the file has changed, and stayed so for a turn.
    pub(super) async fn has_changed(&mut self, world: &Arc<ArcSwap<World>>) -> bool {
        if !world.load().snapshot.watch {
            return false;
        }
        let now = self.look().await;
        let is_still = now == self.seen;
        self.seen = now;
        // A file that isn't there is on its way.
        is_still && now.is_some() && now != self.read
    }

    /// It is about to be read: what it is now is no news then.
    pub(super) async fn is_read(&mut self) {
        self.read = self.look().await;
        self.seen = self.read;
    }

    async fn look(&self) -> Option<Look> {
        let file = self.file.clone()?;
        tokio::task::spawn_blocking(move || look(&file).ok()).await.ok().flatten()
    }
}

fn look(file: &Path) -> io::Result<Look> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(file)?;
    Ok(Look { written: found.modified().ok(), length: found.len(), number: found.ino() })
}
