use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use aws_lc_rs::rand;

use super::BootError;
use crate::types::FingerprintKey;

const SALT_BYTES: usize = 32;

/// The salt of fingerprints: kept in the state directory, so that a key looks the same in the logs
/// of yesterday and today; else made for this process.
pub(super) fn fingerprint_key(state_dir: Option<&Path>) -> Result<FingerprintKey, BootError> {
    let salt = match state_dir {
        Some(dir) => kept(&dir.join("fingerprint-salt"))?,
        None => fresh()?,
    };
    Ok(FingerprintKey::new(&salt))
}

fn kept(path: &Path) -> Result<Vec<u8>, BootError> {
    let failed = |source| BootError::State { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(salt) if salt.len() == SALT_BYTES => Ok(salt),
        Ok(_) => {
            let damaged = "not a salt of 32 bytes; remove it to have a new one made";
            Err(failed(io::Error::new(io::ErrorKind::InvalidData, damaged)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let salt = fresh()?;
            write(path, &salt).map_err(failed)?;
            Ok(salt)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Written beside and renamed: after kill -9 there is a whole salt or none.
fn write(path: &Path, salt: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(salt)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn fresh() -> Result<Vec<u8>, BootError> {
    let mut salt = vec![0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| BootError::Random)?;
    Ok(salt)
}
