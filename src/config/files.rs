//! Files that a configuration names: certificates, keys, secrets.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
};

use super::{mask::shown, reading::Reading, table::Item};

/// More than any certificate chain or key needs.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a whole file. A file that can't be read is reported, by the path that was written.
pub(super) fn read(item: &Item<'_>, path: &str, reading: &mut Reading<'_>) -> Option<Contents> {
    match read_bounded(path, reading) {
        Ok(contents) => Some(contents),
        Err(fault) => {
            let (what, hint) = match fault.kind() {
                io::ErrorKind::NotFound => (
                    "does not exist",
                    "a relative path starts at the directory of the configuration file",
                ),
                io::ErrorKind::PermissionDenied => (
                    "may not be read by this user",
                    "make it readable for the user that the gateway runs as",
                ),
                io::ErrorKind::IsADirectory => ("is a directory", "name the file in it"),
                io::ErrorKind::InvalidInput => {
                    ("is no plain file", "name a file, not a pipe or a device")
                }
                io::ErrorKind::FileTooLarge => ("is larger than 1 MiB", "is it the right file?"),
                _ => ("can't be read", "check that it is a plain file on a sound disk"),
            };
            let message = format!("`{}`: {} {what}", item.name, shown(path));
            reading.error(&item.at, message).hint(hint);
            None
        }
    }
}

/// A file that was read.
pub(super) struct Contents {
    pub(super) bytes: zeroize::Zeroizing<Vec<u8>>,
    metadata: Metadata,
}

fn read_bounded(path: &str, reading: &Reading<'_>) -> io::Result<Contents> {
    // Opening a pipe would wait for who writes to it, perhaps for ever.
    let mut options = File::options();
    let file = options
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(reading.path(path))?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Contents { bytes, metadata })
}

impl Contents {
    /// Warns where every user of the machine can read what should be a secret.
    pub(super) fn warn_if_world_readable(
        &self,
        item: &Item<'_>,
        path: &str,
        reading: &mut Reading<'_>,
    ) {
        use std::os::unix::fs::PermissionsExt;
        if self.metadata.permissions().mode() & 0o004 != 0 {
            let message = format!("every user of this machine can read {}", shown(path));
            reading
                .warning(&item.at, message)
                .hint(format!("run: chmod 600 {}", shown(path).trim_matches('"')));
        }
    }
}
