use std::{fs, os::unix::fs::MetadataExt, path::Path};

use crate::config::Problem;

/// What was seen of files that belong together, and are read again when one of them changes.
#[derive(Default)]
pub(super) struct Seen {
    stamps: Option<Stamps>,
    /// Whether what these stamps stand for was read, and read once more when it stood still.
    done: bool,
    /// What was said to be wrong.
    said: Option<String>,
}

/// One for each file. `None` for what can't be seen.
pub(super) type Stamps = Vec<Option<Stamp>>;

/// What changes with a file, behind all links: certbot and Kubernetes put new links in old places.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// The files of now, by their paths from a directory.
pub(super) fn stamps<'p>(directory: &Path, paths: impl IntoIterator<Item = &'p str>) -> Stamps {
    let stamp = |path: &str| {
        let seen = fs::metadata(directory.join(path)).ok()?;
        Some(Stamp {
            inode: (seen.dev(), seen.ino()),
            size: seen.size(),
            written: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        })
    };
    paths.into_iter().map(stamp).collect()
}

impl Seen {
    /// Reads the files, where they are not those that were read. What is wrong with them is given once,
    /// and only when they stand still: whoever writes two files is between them for a moment.
    pub(super) fn look<T>(
        &mut self,
        stamps: Stamps,
        read: impl FnOnce() -> Result<T, Box<Problem>>,
    ) -> Option<Result<T, Box<Problem>>> {
        let stands_still = self.stamps.as_ref() == Some(&stamps);
        if self.done && stands_still {
            return None;
        }
        (self.stamps, self.done) = (Some(stamps), stands_still);
        let read = read();
        match &read {
            Ok(_) => self.said = None,
            Err(problem) if !stands_still || self.said.as_ref() == Some(&problem.message) => {
                return None;
            }
            Err(problem) => self.said = Some(problem.message.clone()),
        }
        Some(read)
    }
}
