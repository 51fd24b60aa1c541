use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::kept;
use crate::{
    observe::Metrics,
    policy::{BanRules, Bans, read_line, write_line},
    snapshot::Snapshot,
    types::Nanos,
};

/// How soon a change is written, and the count of bans set right.
const TURN: Duration = Duration::from_secs(1);

/// The largest file that is read, in bytes: a full table is a third of it.
const MOST: u64 = 8 << 20;

/// Keeps the bans over a restart, where there is a state directory, and counts those that hold.
pub(super) struct BanKeeper {
    bans: Arc<Bans>,
    metrics: Metrics,
    snapshot: Arc<ArcSwap<Snapshot>>,
    file: Option<PathBuf>,
    /// The changes that are in the file.
    written: Mutex<u64>,
    failing: AtomicBool,
}

impl BanKeeper {
    /// The keeper of these bans, with those of the file put back. A file that can't be read, or a line
    /// of it, keeps nobody from starting.
    pub(super) fn new(
        bans: &Arc<Bans>,
        metrics: &Metrics,
        snapshot: &Arc<ArcSwap<Snapshot>>,
    ) -> Self {
        let file = snapshot.load().state_dir.as_deref().map(|dir| dir.join("bans"));
        if let Some(file) = &file {
            restore(bans, &snapshot.load().bans, file);
        }
        Self {
            bans: Arc::clone(bans),
            metrics: metrics.clone(),
            snapshot: Arc::clone(snapshot),
            file,
            written: Mutex::new(bans.changes()),
            failing: AtomicBool::new(false),
        }
    }

    /// Writes what has changed, again and again. Ends only when dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut turns = tokio::time::interval(TURN);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let keeper = Arc::clone(&self);
            // The disk may take its time.
            let _ = tokio::task::spawn_blocking(move || keeper.turn()).await;
        }
    }

    /// One turn; the last one is at the end of the drain.
    pub(super) fn turn(&self) {
        let now = Nanos::now();
        self.metrics.banned_now(self.bans.sweep(&self.snapshot.load().bans, now));
        let Some(file) = &self.file else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the bans are read: what changes meanwhile is written with the next turn.
        let changes = self.bans.changes();
        if *written == changes {
            return;
        }
        match kept::write(file, self.text(now).as_bytes()) {
            Ok(()) => {
                *written = changes;
                self.failing.store(false, Ordering::Relaxed);
            }
            // Said once, and tried again with each turn.
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::error!(file = %file.display(), %error, "the bans can't be kept");
            }
            Err(_) => {}
        }
    }

    fn text(&self, now: Nanos) -> String {
        let (mut text, clock) = (String::new(), Timestamp::now());
        for ban in self.bans.kept(now) {
            write_line(&mut text, &ban, clock);
        }
        text
    }
}

fn restore(bans: &Bans, rules: &BanRules, file: &Path) {
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "the bans can't be read");
            return put_aside(file);
        }
    };
    let (now, clock) = (Nanos::now(), Timestamp::now());
    let restored = |line: &[u8]| {
        let line = std::str::from_utf8(line).ok()?;
        Some(bans.restore(rules, &read_line(line, clock).ok()?, now))
    };
    let (mut damaged, mut first) = (0_usize, 0);
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if restored(line) != Some(true) {
            first = if damaged == 0 { number + 1 } else { first };
            damaged += 1;
        }
    }
    if damaged > 0 {
        // Once for all: a file of something else has many lines.
        let (path, file) = (file, file.display());
        tracing::warn!(%file, damaged, first, "lines of the bans that can't be used were left out");
        put_aside(path);
    }
}

/// What the next ban would write over: somebody may still make something of it.
fn put_aside(file: &Path) {
    let aside = file.with_extension("bad");
    if fs::rename(file, &aside).is_ok() {
        tracing::warn!(file = %aside.display(), "the file as it was is kept there");
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Of a pipe the opening alone would wait for ever.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(file)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{
        config::{Surroundings, compile_text},
        observe::{LogSink, tracing_dispatch},
    };

    fn keeper(dir: &Path) -> (Arc<Bans>, BanKeeper) {
        let text = format!(
            "listeners = [{{ name = \"http\", address = \"127.0.0.1:0\" }}]\n\
             upstreams.postiz.endpoints = [\"http://127.0.0.1:1\"]\n\
             routes = [{{ name = \"mcp\", paths = [\"/mcp\"], upstream = \"postiz\" }}]\n\
             state.dir = {dir:?}\n"
        );
        let around = Surroundings {
            base_dir: Path::new("."),
            environment: &|_| None,
            now: std::time::SystemTime::UNIX_EPOCH,
        };
        let snapshot = compile_text(&text, around).snapshot.unwrap();
        let bans = Arc::new(Bans::new(64));
        let metrics = Metrics::new(&LogSink::memory());
        let keeper = BanKeeper::new(&bans, &metrics, &Arc::new(ArcSwap::from_pointee(snapshot)));
        (bans, keeper)
    }

    #[test]
    fn what_changes_is_written_for_its_owner_alone_and_read_back() {
        let dir = tempfile::TempDir::new().unwrap();
        let (bans, first) = keeper(dir.path());
        first.turn();
        let file = dir.path().join("bans");
        assert!(!file.exists(), "nothing has changed");
        bans.add("192.0.2.0/24".parse().unwrap(), None, Nanos::now()).unwrap();
        first.turn();
        assert_eq!(fs::read_to_string(&file).unwrap(), "192.0.2.0/24 lifted 1 operator\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, _) = keeper(dir.path());
        assert_eq!(again.list(Nanos::now()).len(), 1);
    }

    #[test]
    fn a_damaged_line_is_left_out_and_said() {
        let dir = tempfile::TempDir::new().unwrap();
        let lines = b"192.0.2.7/32 2999-01-01T00:00:00Z 2 wrong_keys\n192.0.2.8/32 2999-\n\xff\n\n\
                      203.0.113.0/24 lifted 1 operator";
        fs::write(dir.path().join("bans"), lines).unwrap();
        let sink = LogSink::memory();
        let dispatch = tracing_dispatch(&sink, "info").unwrap();
        let kept = tracing::dispatcher::with_default(&dispatch, || {
            keeper(dir.path()).0.list(Nanos::now())
        });
        let nets: Vec<String> = kept.iter().map(|ban| ban.net.to_string()).collect();
        assert_eq!(nets, ["192.0.2.7/32", "203.0.113.0/24"]);
        let said = sink.contents();
        assert!(said.contains("\"damaged\":\"2\",\"first\":\"2\""), "{said}");
    }

    #[test]
    fn a_file_of_bans_that_is_none_keeps_nobody_from_starting() {
        let dir = tempfile::TempDir::new().unwrap();
        fs::create_dir(dir.path().join("bans")).unwrap();
        assert!(keeper(dir.path()).0.list(Nanos::now()).is_empty());
    }
}
