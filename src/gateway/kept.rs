use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::BootError;
use crate::{proxy::Seal, types::FingerprintKey};

const BYTES: usize = 32;

/// Random bytes that are a file of the state directory, so that they outlive the process; else they
/// are made for it.
type Kept = Zeroizing<Vec<u8>>;

/// The salt of fingerprints: a key looks the same in the logs of yesterday and today.
pub(super) fn fingerprint_key(state_dir: Option<&Path>) -> Result<FingerprintKey, BootError> {
    Ok(FingerprintKey::new(&bytes(state_dir, "fingerprint-salt")?))
}

/// The secret of sessions: a client's session survives a restart, and lives on any replica that has
/// a copy of the file.
pub(super) fn seal(state_dir: Option<&Path>) -> Result<Seal, BootError> {
    Seal::new(&bytes(state_dir, "session-secret")?).ok_or(BootError::Random)
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

/// Written beside and renamed: after kill -9 there is a whole file or none.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn fresh() -> Result<Kept, BootError> {
    let mut bytes = Zeroizing::new(vec![0; BYTES]);
    rand::fill(&mut bytes).map_err(|_| BootError::Random)?;
    Ok(bytes)
}
