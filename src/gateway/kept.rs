use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::BootError;

pub(super) const BYTES: usize = 32;

/// Random bytes that are a file of the state directory, so that they outlive the process; else they
/// are made for it.
pub(super) type Kept = Zeroizing<Vec<u8>>;

/// The salt of fingerprints and digests: a key looks the same in the logs of yesterday and today.
pub(super) fn salt(state_dir: Option<&Path>) -> Result<Kept, BootError> {
    bytes(state_dir, "fingerprint-salt")
}

/// The secret of sessions: a client's session survives a restart, and lives on any replica that has
/// a copy of the file.
pub(super) fn seal(state_dir: Option<&Path>) -> Result<Kept, BootError> {
    bytes(state_dir, "session-secret")
}

fn bytes(state_dir: Option<&Path>, name: &str) -> Result<Kept, BootError> {
    state_dir.map_or_else(fresh, |dir| kept(&dir.join(name)))
}

fn kept(path: &Path) -> Result<Kept, BootError> {
    let failed = |source| BootError::State { path: path.to_owned(), source };
    match fs::read(path).map(Zeroizing::new) {
        Ok(bytes) if bytes.len() == BYTES => Ok(bytes),
        Ok(_) => {
            let damaged = "not 32 bytes; remove it to have it made anew";
            Err(failed(io::Error::new(io::ErrorKind::InvalidData, damaged)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = fresh()?;
            write(path, &bytes).map_err(failed)?;
            Ok(bytes)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Written beside and renamed: after kill -9 there is a whole file or none. What stood there is no
/// file of ours: it would keep its owner and its mode, and show others the secret.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
}

fn fresh() -> Result<Kept, BootError> {
    let mut bytes = Zeroizing::new(vec![0; BYTES]);
    rand::fill(&mut bytes).map_err(|_| BootError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_once_is_kept_for_its_owner_alone() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("session-secret");
        // Left behind, or put there by somebody who waits for it.
        let beside = path.with_extension("new");
        fs::write(&beside, "x").unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        let made = kept(&path).unwrap();
        assert_eq!(*made, *kept(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!beside.exists());
        assert_ne!(*made, *kept(&dir.path().join("fingerprint-salt")).unwrap());
    }

    #[test]
    fn a_file_of_another_length_is_an_error_that_says_how_to_mend_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("session-secret");
        fs::write(&path, [7; 31]).unwrap();
        let said = kept(&path).unwrap_err().to_string();
        assert!(said.contains("session-secret") && said.contains("remove it"), "{said}");
    }
}
