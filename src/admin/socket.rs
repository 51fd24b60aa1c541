//! The admin socket as a file: for the gateway's own user from its first moment, and gone at its end.

use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// The file of a socket that is listened on. Dropped, it removes the file, if that is still its own.
pub struct SocketFile {
    path: PathBuf,
    /// Device and number.
    identity: (u64, u64),
    is_ours: bool,
}

/// Binds the admin socket.
///
/// # Errors
/// Where somebody answers there, where something else than a socket stands there, or where the
/// directory can't be written to; each says how to mend it.
pub fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    // The rename below would take one that nobody could connect to.
    SockAddr::unix(path).map_err(|error| worded(&error))?;
    make_way(path)?;
    // A socket is made with the rights that the umask leaves, and the umask is the whole process's. In
    // a directory that nobody else may enter it gets its own rights before anyone can see it.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let closed = tempfile::Builder::new()
        .prefix(".")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(directory.unwrap_or(Path::new(".")))
        .map_err(|error| worded(&error))?;
    let inside = closed.path().join("s");
    let listener = UnixListener::bind(&inside).map_err(|error| worded(&error))?;
    fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
    let made = fs::symlink_metadata(&inside)?;
    fs::rename(&inside, path)?;
    listener.set_nonblocking(true)?;
    let identity = (made.dev(), made.ino());
    let file = SocketFile { path: path.to_owned(), identity, is_ours: true };
    Ok((listener, file))
}

impl SocketFile {
    /// The file of a socket that another process has made and is about to hand over. It isn't ours yet.
    ///
    /// # Errors
    /// Where it isn't there.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        let identity = (found.dev(), found.ino());
        Ok(Self { path: path.to_owned(), identity, is_ours: false })
    }

    /// It is ours, or it is another process's.
    pub const fn set_ours(&mut self, is_ours: bool) {
        self.is_ours = is_ours;
    }
}

/// Makes sure that what stands there is nothing, or a socket that a process left behind.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(worded(&error)),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other(
            "what stands there is no socket; remove it, or name another path",
        ));
    }
    match connect(path) {
        // The rename takes its place.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(worded(&error)),
        _ => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "somebody answers there; is the gateway running already?",
        )),
    }
}

/// Connects to a socket, or fails at once: behind the full queue of a process that stands still it would
/// wait for ever.
///
/// # Errors
/// Where nobody listens, or has no room.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(OwnedFd::from(socket).into())
}

fn worded(error: &io::Error) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::NotFound => {
            "its directory isn't there; systemd makes /run/portcullis by RuntimeDirectory=portcullis"
        }
        io::ErrorKind::PermissionDenied => "this user may not make a socket in that directory",
        io::ErrorKind::InvalidInput => "the path is too long for a socket: about 90 bytes fit",
        _ => return io::Error::new(error.kind(), error.to_string()),
    };
    io::Error::new(error.kind(), text)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |found: fs::Metadata| (found.dev(), found.ino()) == self.identity;
        if self.is_ours && fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_is_for_its_owner_and_goes_with_its_process() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("admin.sock");
        let (listener, file) = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(UnixStream::connect(&path).is_ok());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "nothing else is left there: {left:?}");
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn one_that_was_left_behind_is_replaced_and_one_that_answers_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, first) = bind(&path).unwrap();
        let error = bind(&path).err().unwrap();
        assert!(error.to_string().contains("running already"), "{error}");
        // Whoever comes later and doesn't ask has it; it isn't ours to remove.
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }

    #[test]
    fn a_socket_that_was_handed_over_stays_until_it_is_ours() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("admin.sock");
        let (_listener, mut first) = bind(&path).unwrap();
        drop(SocketFile::of(&path).unwrap());
        assert!(path.exists(), "who failed to take over removes nothing");
        let mut second = SocketFile::of(&path).unwrap();
        second.set_ours(true);
        first.set_ours(false);
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays_and_what_can_not_be_made_says_why() {
        let dir = tempfile::TempDir::new().unwrap();
        let said = |path: &Path| bind(path).err().unwrap().to_string();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(said(&file).contains("no socket"));
        std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("link")).unwrap();
        assert!(said(&dir.path().join("link")).contains("no socket"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "x");
        assert!(said(&dir.path().join("absent/s")).contains("isn't there"));
        assert!(said(&dir.path().join("x".repeat(120))).contains("too long"));
    }
}
