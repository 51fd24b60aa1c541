use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::kept_file::{self, KeptFile, Line};
use crate::{
    observe::Metrics,
    policy::{BanRules, Bans, read_line, write_line},
    types::{Nanos, WallClock},
    upstream::World,
};

/// How soon a change is written, and the count of bans set right.
const TURN: Duration = Duration::from_secs(1);

/// The name of the file.
const FILE: &str = "bans";

/// Keeps the bans over a restart, where there is a state directory, and counts those that hold.
pub(super) struct BanKeeper {
    bans: Arc<Bans>,
    metrics: Metrics,
    world: Arc<ArcSwap<World>>,
    file: Option<KeptFile>,
    /// As it was when the file was written.
    clock: Mutex<WallClock>,
}

impl BanKeeper {
    /// The keeper of these bans, with those of the file and of the process before put back.
    pub(super) fn new(
        bans: &Arc<Bans>,
        metrics: &Metrics,
        (world, taken): (&Arc<ArcSwap<World>>, &str),
    ) -> Self {
        let now = Arc::clone(&world.load().snapshot);
        let file = now.state_dir.as_deref().map(|dir| {
            let is_whole = restore(bans, &now.bans, dir) && taken.is_empty();
            KeptFile::new(dir, (FILE, is_whole.then(|| bans.changes())), metrics)
        });
        kept_file::take_over(taken, line(bans, &now.bans), FILE);
        let (bans, world) = (Arc::clone(bans), Arc::clone(world));
        let clock = Mutex::new(WallClock::now());
        Self { bans, metrics: metrics.clone(), world, file, clock }
    }

    /// Writes what has changed, again and again. Ends only when dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        kept_file::keep(self, TURN, Self::turn).await;
    }

    /// One turn; the last one is at the end of the drain.
    pub(super) fn turn(&self) {
        let now = Nanos::now();
        self.metrics.banned_now(self.bans.sweep(&self.world.load().snapshot.bans, now));
        if let Some(file) = &self.file {
            // The file tells when bans end by the clock on the wall. Where that was put on or back, a ban
            // would end sooner after a restart, or later, than here.
            let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            if clock.has_jumped() {
                *clock = WallClock::now();
                file.is_stale();
            }
            drop(clock);
            file.write(|| self.bans.changes(), || self.text());
        }
    }

    /// Writes no more, because another process does; or again, because it doesn't.
    pub(super) fn close(&self, is_closed: bool) {
        if let Some(file) = &self.file {
            file.close(is_closed);
        }
    }

    /// All that is kept.
    pub(super) fn text(&self) -> String {
        let (mut text, now, clock) = (String::new(), Nanos::now(), Timestamp::now());
        for ban in self.bans.kept(now) {
            write_line(&mut text, &ban, clock);
        }
        text
    }
}

fn restore(bans: &Bans, rules: &BanRules, dir: &Path) -> bool {
    kept_file::read_lines(dir, FILE, line(bans, rules))
}

fn line(bans: &Bans, rules: &BanRules) -> impl FnMut(&str) -> Line {
    let (now, clock) = (Nanos::now(), Timestamp::now());
    move |line| match read_line(line, clock) {
        Ok(ban) if bans.restore(rules, &ban, now) => Line::Used,
        _ => Line::Damaged,
    }
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
        let keeper = BanKeeper::new(&bans, &metrics, (&World::alone(snapshot), ""));
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
