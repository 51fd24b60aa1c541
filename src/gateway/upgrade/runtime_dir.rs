use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::admin::{self, Elder};

/// The most older processes.
const MOST: usize = 64;

/// Where the processes of one gateway find each other: beside the admin socket, and for its owner alone.
/// Whoever could put a socket there would be given the listening ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuntimeDir(PathBuf);

impl RuntimeDir {
    /// The directory of an admin socket, whether it is there or not.
    pub(super) fn of(socket: &Path) -> Self {
        let mut path = OsString::from(socket);
        path.push(".d");
        Self(path.into())
    }

    /// Makes it, or makes sure that it is as it was made.
    pub(super) fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.check(),
        }
    }

    /// Makes sure that nobody else can have put anything there.
    pub(super) fn check(&self) -> io::Result<()> {
        let found = fs::symlink_metadata(&self.0)?;
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        if found.is_dir() && is_ours && found.mode() & 0o077 == 0 {
            return Ok(());
        }
        let text = "it has to be a directory of this user's that nobody else may enter; remove it, \
                    and it is made anew";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the next process asks for the sockets.
    pub(super) fn next(&self) -> PathBuf {
        self.0.join("next")
    }

    /// Where this process is asked, also when another has the admin socket.
    pub(super) fn own(&self) -> PathBuf {
        self.0.join(std::process::id().to_string())
    }

    /// Other processes that live: also those whom nobody took over from, because who had the admin socket
    /// was killed.
    pub(super) fn living(&self) -> Vec<Elder> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let elder = |entry: fs::DirEntry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let socket = entry.path();
            let lives = pid != std::process::id() && admin::connect(&socket).is_ok();
            lives.then_some(Elder { pid, socket })
        };
        entries.filter_map(elder).take(MOST).collect()
    }

    /// Removes the sockets of processes that were killed.
    pub(super) fn sweep(&self) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        // Who hears somebody at the door to a hand-over takes it for the beginning of one.
        let others = entries.map(|entry| entry.path()).filter(|path| *path != self.next());
        for path in others {
            let is_socket = fs::symlink_metadata(&path).is_ok_and(|m| m.file_type().is_socket());
            let answered = admin::connect(&path);
            let refused =
                answered.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if is_socket && refused {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    };

    use super::*;

    #[test]
    fn it_is_made_for_its_owner_alone_and_taken_only_so() {
        let dir = tempfile::TempDir::new().unwrap();
        let runtime = RuntimeDir::of(&dir.path().join("admin.sock"));
        assert_eq!(runtime.path(), dir.path().join("admin.sock.d"));
        assert_eq!(runtime.check().unwrap_err().kind(), io::ErrorKind::NotFound);
        runtime.make().unwrap();
        runtime.make().unwrap();
        assert_eq!(fs::metadata(runtime.path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o750)).unwrap();
        assert!(runtime.make().unwrap_err().to_string().contains("nobody else may enter"));
        let elsewhere = RuntimeDir::of(&dir.path().join("other.sock"));
        fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o700)).unwrap();
        symlink(runtime.path(), elsewhere.path()).unwrap();
        assert!(elsewhere.make().is_err(), "a link may lead elsewhere by then");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let dir = tempfile::TempDir::new().unwrap();
        let runtime = RuntimeDir::of(&dir.path().join("admin.sock"));
        runtime.make().unwrap();
        let path = |name: &str| runtime.path().join(name);
        let _lives = UnixListener::bind(path("1")).unwrap();
        drop(UnixListener::bind(path("2")).unwrap());
        fs::write(path("file"), "x").unwrap();
        runtime.sweep();
        assert!(path("1").exists() && !path("2").exists() && path("file").exists());
    }
}
