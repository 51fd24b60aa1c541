//! A file that is only added to, and put aside when it is large. The writer's thread alone has it, so
//! nothing here is locked; but others may move or remove the file, and a disk may be full.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{AuditRotation, Unwritten};

/// The file of records.
pub(super) struct AuditFile {
    rotation: AuditRotation,
    /// Nothing after a fault: it is opened again, which looks at how it ends.
    open: Option<Open>,
    /// It couldn't be put aside, which was said.
    is_stuck: bool,
}

struct Open {
    file: File,
    /// Device and number: what has the name may be another file by now.
    identity: (u64, u64),
    length: u64,
}

impl AuditFile {
    /// Opens it, or makes it for its owner alone.
    pub(super) fn open(rotation: AuditRotation) -> io::Result<Self> {
        let open = open(&rotation.path)?;
        Ok(Self { rotation, open: Some(open), is_stuck: false })
    }

    /// Writes lines. Where somebody waits for one they are on the disk then, not only in the system's
    /// hands: a record that a cut of power takes back was no condition for anything.
    pub(super) fn put(&mut self, lines: &[u8], is_waited_for: bool) -> Result<(), Unwritten> {
        let mut written = 0;
        self.put_each(lines, is_waited_for, &mut written).map_err(|why| {
            self.open = None;
            let begun = lines.get(..written).unwrap_or_default();
            Unwritten { written: memchr::memrchr(b'\n', begun).map_or(0, |end| end + 1), why }
        })
    }

    fn put_each(&mut self, lines: &[u8], sync: bool, written: &mut usize) -> io::Result<()> {
        self.follow()?;
        let mut grows = false;
        loop {
            let rest = lines.get(*written..).unwrap_or_default();
            let length = self.open.as_ref().map_or(0, |open| open.length);
            let room = self.rotation.size.saturating_sub(length);
            let piece = whole_lines(rest, if grows { u64::MAX } else { room });
            // A line that is larger than a file has one to itself.
            let piece = if piece.is_empty() && length == 0 { first_line(rest) } else { piece };
            let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
            open.write(piece, written)?;
            if sync {
                open.file.sync_data()?;
            }
            if piece.len() == rest.len() {
                return Ok(());
            }
            grows = !self.put_aside()?;
        }
    }

    /// Opens what has the name now, if that is another file or none: somebody moved ours away.
    fn follow(&mut self) -> io::Result<()> {
        let found = fs::metadata(&self.rotation.path);
        match (&mut self.open, found) {
            (Some(open), Ok(found)) if identity(&found) == open.identity => {
                // Cut short by somebody, perhaps.
                open.length = found.len();
            }
            _ => self.open = Some(open(&self.rotation.path)?),
        }
        Ok(())
    }

    /// Begins a new file in the place of the old one. Where that can't be, which is said once, the
    /// records go on in the old one: they matter more than its size.
    fn put_aside(&mut self) -> io::Result<bool> {
        if let Err(why) = self.rename() {
            if !std::mem::replace(&mut self.is_stuck, true) {
                tracing::error!(%why, "the audit file can't be put aside, and grows");
            }
            return Ok(false);
        }
        self.is_stuck = false;
        self.open = Some(open(&self.rotation.path)?);
        Ok(true)
    }

    /// Renames the file and those before it. The file first, out of the way: where that can't be, the older
    /// ones stay where they are, however often it is tried.
    fn rename(&self) -> io::Result<()> {
        let path = &self.rotation.path;
        let on_its_way = aside(path, 0);
        fs::rename(path, &on_its_way)?;
        let shifted = self.shift(&on_its_way);
        if shifted.is_err() {
            // It goes on under its own name.
            let _ = fs::rename(&on_its_way, path);
        }
        shifted
    }

    /// Renames the files before it, the oldest first, and then the one that is on its way to them.
    fn shift(&self, on_its_way: &Path) -> io::Result<()> {
        let AuditRotation { path, keep, .. } = &self.rotation;
        for number in (1..*keep).rev() {
            match fs::rename(aside(path, number), aside(path, number + 1)) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
                _ => {}
            }
        }
        fs::rename(on_its_way, aside(path, 1))?;
        // More were kept once.
        let mut number = keep + 1;
        while fs::remove_file(aside(path, number)).is_ok() {
            number += 1;
        }
        Ok(())
    }
}

impl Open {
    /// Counts what was written, also where the rest can't be.
    fn write(&mut self, mut lines: &[u8], written: &mut usize) -> io::Result<()> {
        while !lines.is_empty() {
            match self.file.write(lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    *written += count;
                    self.length += u64::try_from(count).unwrap_or(u64::MAX);
                    lines = lines.get(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Opens a file at its end, which is the end of a line: one that a full disk or a kill tore stands by
/// itself, or the next record would be lost with it.
fn open(path: &Path) -> io::Result<Open> {
    // Asked before: to open a FIFO may take until somebody reads it.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let found = file.metadata()?;
    let mut length = found.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    } else if let Some(dir) = path.parent() {
        // Its name too has to outlive a cut of power. Where it can't be helped, it can't.
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
        length += 1;
    }
    Ok(Open { identity: identity(&found), length, file })
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// `audit.jsonl.1`.
fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// As many lines as fit.
fn whole_lines(lines: &[u8], room: u64) -> &[u8] {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if lines.len() <= room {
        return lines;
    }
    let within = lines.get(..room).unwrap_or_default();
    let end = memchr::memrchr(b'\n', within).map_or(0, |end| end + 1);
    lines.get(..end).unwrap_or_default()
}

fn first_line(lines: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1);
    lines.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
