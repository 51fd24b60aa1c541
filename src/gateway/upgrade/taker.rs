use std::{
    io,
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    SOON,
    estate::{Estate, Secrets},
    runtime_dir::RuntimeDir,
    words::{self, Handed, Hello, PROTOCOL, Word},
};
use crate::{
    admin::Elder,
    gateway::{boot::BootError, sockets::Named},
    host::Line,
};

/// How long the older process may take to say what it has: it may be busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// The conversation of a process that takes over. Dropped before the end, the older one goes on.
pub(super) struct Taker {
    line: Line,
    pub(super) sockets: Vec<Named>,
    pub(super) secrets: Secrets,
    pub(super) elders: Vec<Elder>,
}

impl Taker {
    /// Asks the process behind an admin socket for its sockets. `None` where there is none.
    pub(super) fn ask(admin_socket: &Path) -> Result<Option<Self>, BootError> {
        let dir = RuntimeDir::of(admin_socket);
        match dir.check() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            checked => checked.map_err(|error| failed(&error))?,
        }
        let stream = match UnixStream::connect(dir.next()) {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(&error)),
        };
        let line = Line::new(stream).map_err(|error| failed(&error))?;
        Self::converse(line).map(Some)
    }

    fn converse(line: Line) -> Result<Self, BootError> {
        let gone = |error: io::Error| failed(&error);
        let hello = Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        let hello = serde_json::to_vec(&hello).unwrap_or_default();
        words::say(&line, Word::Hello, &hello).map_err(gone)?;
        let (word, heard) = words::hear(&line, PATIENCE).map_err(gone)?;
        match word {
            Word::Sockets => {}
            Word::Refused => {
                let why = std::str::from_utf8(&heard.body).unwrap_or("the running process refuses");
                return Err(BootError::Upgrade(why.to_owned()));
            }
            _ => return Err(failed(&words::unexpected())),
        }
        let handed: Option<Handed> = serde_json::from_slice(&heard.body).ok();
        let handed = handed.filter(|handed| handed.sockets.len() == heard.descriptors.len());
        let Handed { sockets, elders } = handed.ok_or_else(|| failed(&words::unexpected()))?;
        let named = |(name, socket)| Named { name, socket };
        let sockets = sockets.into_iter().zip(heard.descriptors).map(named).collect();
        let secrets = Secrets::hear(&line).map_err(gone)?;
        Ok(Self { line, sockets, secrets, elders })
    }

    /// All is bound: what the older process has kept and counted. It accepts no more from here on.
    pub(super) fn ready(&self) -> Result<Estate, BootError> {
        let heard =
            words::say(&self.line, Word::Ready, &[]).and_then(|()| Estate::hear(&self.line));
        heard.map_err(|error| failed(&error))
    }

    /// All is in its place. From here on this process is the one.
    pub(super) fn taken(&self) -> Result<(), BootError> {
        let go = words::say(&self.line, Word::Taken, &[])
            .and_then(|()| words::expect(&self.line, Word::Go, SOON));
        go.map(|_| ()).map_err(|error| failed(&error))
    }

    /// It accepts, and goes by that file: what the file no longer lets be, the other one ends too.
    pub(super) fn serving(self, file: Option<PathBuf>) {
        let file = file.and_then(|file| std::path::absolute(file).ok()).unwrap_or_default();
        // Without the word the other one learns of it by and by.
        let _ = words::say(&self.line, Word::Serving, file.as_os_str().as_bytes());
    }
}

fn failed(error: &io::Error) -> BootError {
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => {
            "the running process broke off; its log says why".to_owned()
        }
        io::ErrorKind::TimedOut => "the running process doesn't answer".to_owned(),
        _ => error.to_string(),
    };
    BootError::Upgrade(text)
}
