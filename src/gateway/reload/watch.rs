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
    read: Option<Seen>,
    /// How it was a turn ago: who writes it may not be done.
    seen: Option<Seen>,
}

/// A file as it was just before it was read.
#[derive(Clone, Copy, Debug)]
pub struct Look(Option<Seen>);

impl Look {
    /// No file, or nobody has looked.
    pub(in crate::gateway) const NONE: Self = Self(None);

    /// Looks at it now.
    pub fn at(file: &Path) -> Self {
        Self(look(file).ok())
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    written: Option<SystemTime>,
    length: u64,
    number: u64,
}

impl Watched {
    /// A file that was so when it was read.
    pub(super) const fn new(file: Option<PathBuf>, read: Look) -> Self {
        let Look(read) = read;
        Self { file, read, seen: read }
    }

    /// Whether the file is another by now than the one that was read, whoever may have told another process
    /// to read it meanwhile.
    pub(super) async fn was_overtaken(&mut self) -> bool {
        let now = self.look().await;
        now.is_some() && now != self.read
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

    async fn look(&self) -> Option<Seen> {
        let file = self.file.clone()?;
        tokio::task::spawn_blocking(move || look(&file).ok()).await.ok().flatten()
    }
}

fn look(file: &Path) -> io::Result<Seen> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(file)?;
    Ok(Seen { written: found.modified().ok(), length: found.len(), number: found.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_was_written_after_it_was_read_is_noticed_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let look = Look::at(path);
        let watched = || Watched::new(Some(path.to_owned()), look);
        assert!(!watched().was_overtaken().await);
        fs::write(path, "another").unwrap();
        let mut watched = watched();
        assert!(watched.was_overtaken().await);
        watched.is_read().await;
        assert!(!watched.was_overtaken().await);
        assert!(!Watched::new(None, Look::NONE).was_overtaken().await);
    }
}
