//! Another configuration for a process that runs: compiled whole, then put in the place of the one in
//! force, or refused whole.

mod fixed;
mod names;
mod watch;

use std::{
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior},
};
pub use watch::Look;

use super::{
    doors::Doors,
    fleet::{self, Fleet},
    sizes,
    turnstile::Turnstile,
    upgrade::Followed,
};
use crate::{
    admin::{Ask, Family, ReloadAnswer, ReloadAsked},
    config::{self, Problem, Severity},
    host::{self, Hangups, Notice},
    observe::ReloadOutcome,
    proxy::State,
    snapshot::Snapshot,
    types::{Method, Nanos},
    upstream::World,
};

/// How often is looked: whether the file has changed, and which configurations are in use still.
const TURN: Duration = Duration::from_secs(1);

/// Who puts configurations in force, one after the other.
pub(super) struct Reloader {
    /// Where configurations come from.
    pub(super) file: Option<PathBuf>,
    /// The file as it was when what is in force was read.
    pub(super) as_loaded: Look,
    pub(super) parts: Arc<Parts>,
    /// Who has a configuration ready.
    pub(super) given: mpsc::Receiver<Given>,
    /// Who asks at the admin socket.
    pub(super) asked: mpsc::Receiver<ReloadAsked>,
    /// The older processes, which go by the same file.
    pub(super) family: Option<Arc<Family>>,
    /// The file of the process that has taken over.
    pub(super) followed: Option<Followed>,
}

/// What goes by the configuration.
pub(super) struct Parts {
    /// What the planes and the keepers go by.
    pub(super) main: Arc<State>,
    /// What each worker goes by.
    pub(super) workers: Vec<Arc<State>>,
    pub(super) doors: Arc<Doors>,
    pub(super) fleet: Fleet,
    pub(super) turnstile: Turnstile,
}

impl Parts {
    /// Puts a configuration in force. Everything that can fail is done before anything is changed.
    fn apply(&self, snapshot: Snapshot) -> Result<(), Vec<Problem>> {
        let before = self.main.world.load_full();
        // One that has handed over only ends by it what it no longer lets be: nothing else counts there.
        let fixed = match self.turnstile.is_gone() {
            true => Vec::new(),
            false => fixed::changed(&before.snapshot, &snapshot),
        };
        if !fixed.is_empty() {
            return Err(fixed);
        }
        let change = self.doors.prepare(&snapshot).map_err(|error| {
            let hint = "nothing was changed; mend it and reload";
            vec![Problem::of_file(&error.to_string(), hint)]
        })?;
        let shown = (&self.main.metrics, &self.main.pressure);
        let servers = fleet::servers(&snapshot, shown, Some(&before));
        self.main.limiter.make_room(sizes::of_limiter(&snapshot), Nanos::now());
        let world = World { snapshot: Arc::new(snapshot), servers };
        for worker in &self.workers {
            let own = worker.world.load();
            worker.world.store(Arc::new(world.for_worker(Some((&before, &own)))));
        }
        self.fleet.tend(&world);
        // Last: who judges all that lives goes by this one, and what a worker lets in by what was before
        // sees then that its own is another, and is judged once more.
        self.main.world.store(Arc::new(world));
        for (listener, address) in change.opens() {
            tracing::info!(%listener, %address, "listening");
        }
        self.doors.change(change);
        Ok(())
    }
}

/// A configuration to put in force, and who hears what is wrong with it.
pub(super) struct Given(Snapshot, std_mpsc::Sender<Result<(), Vec<Problem>>>);

/// A gateway that runs, for who has another configuration for it and no file.
#[derive(Clone)]
pub struct Running(mpsc::Sender<Given>);

impl Running {
    /// The gateway that takes what is given.
    pub(super) fn new() -> (Self, mpsc::Receiver<Given>) {
        let (give, given) = mpsc::channel(1);
        (Self(give), given)
    }

    /// Puts a configuration in force, and waits until it is. Blocks its thread.
    ///
    /// # Errors
    /// What can't change in a running process, or not be done.
    pub fn apply(&self, snapshot: Snapshot) -> Result<(), Vec<Problem>> {
        let ended = |_| vec![Problem::of_file("the gateway has ended", "start it again")];
        let (answer, answered) = std_mpsc::channel();
        self.0.try_send(Given(snapshot, answer)).map_err(|_| ended(()))?;
        answered.recv().map_err(|_| ended(())).flatten()
    }
}

/// By whom the file is read again.
enum By {
    Socket(ReloadAsked),
    Signal,
    /// It has changed, and is watched.
    Change,
    /// Another process has taken over, and has read it.
    Successor,
}

/// What came of a file.
struct Tried {
    snapshot: Option<Snapshot>,
    problems: Vec<Problem>,
    source: String,
}

impl Reloader {
    /// Reloads whenever somebody asks, by SIGHUP too where `signals` are heard, or the file changes, where
    /// it is watched. Ends only when dropped.
    pub(super) async fn run(mut self, signals: bool) {
        let mut hangups = signals.then(Hangups::listen).and_then(|heard| {
            let failed =
                |error: &std::io::Error| tracing::error!(%error, "can't listen for SIGHUP");
            heard.inspect_err(failed).ok()
        });
        self.parts.fleet.tend(&self.parts.main.world.load());
        let mut watched = watch::Watched::new(self.file.clone(), self.as_loaded);
        let (mut retired, mut tick) = (Vec::new(), time::interval(TURN));
        let mut names = names::Names::default();
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Whoever had it read again while this process came up was heard by the one before.
        if watched.was_overtaken().await {
            watched.is_read().await;
            self.reload_by(By::Change, &mut retired).await;
        }
        loop {
            let by = tokio::select! {
                // Where there is no socket, nobody ever asks.
                Some(asked) = self.asked.recv() => By::Socket(asked),
                Some(given) = self.given.recv() => {
                    self.take(given, &mut retired).await;
                    continue;
                }
                () = hung_up(&mut hangups) => By::Signal,
                file = followed(&mut self.followed) => {
                    self.file = file.or(self.file.take());
                    watched = watch::Watched::new(self.file.clone(), Look::NONE);
                    By::Successor
                }
                _ = tick.tick() => {
                    retire(&mut retired);
                    names.turn(&self.parts.main, retired.is_empty());
                    if !watched.has_changed(&self.parts.main.world).await {
                        continue;
                    }
                    By::Change
                }
            };
            watched.is_read().await;
            self.reload_by(by, &mut retired).await;
            // Not with the tick alone: reloads that follow one another would keep it waiting.
            retire(&mut retired);
        }
    }

    /// Puts in force what somebody has ready.
    async fn take(&self, Given(snapshot, answer): Given, retired: &mut Vec<Arc<Snapshot>>) {
        let before = Arc::clone(&self.parts.main.world.load().snapshot);
        let applied = self.apply(snapshot).await;
        if applied.is_ok() {
            retired.push(before);
        }
        let _ = answer.send(applied);
    }

    async fn reload_by(&self, by: By, retired: &mut Vec<Arc<Snapshot>>) {
        // The service is whoever has the listeners.
        let is_service = !self.parts.turnstile.is_gone();
        if is_service {
            host::notify(Notice::Reloading);
        }
        let before = Arc::clone(&self.parts.main.world.load().snapshot);
        let answer = self.reload().await;
        if is_service {
            host::notify(Notice::Ready);
        }
        let applied = answer.applied;
        if applied {
            retired.push(before);
        }
        match by {
            // Who asked may have gone. The socket asks the others itself.
            By::Socket(ReloadAsked(answered)) => drop(answered.send(answer)),
            By::Signal if applied => self.tell_elders().await,
            By::Successor if !applied => tracing::error!(
                "another process has taken over by a file that can't be put in force here: what was \
                 revoked by it goes on here; `portcullis kill` ends it"
            ),
            By::Signal | By::Change | By::Successor => {}
        }
    }

    /// The older processes read the file too. Those that watch it would anyway.
    async fn tell_elders(&self) {
        let Some(family) = self.family.clone().filter(|family| !family.elders().is_empty()) else {
            return;
        };
        let ask = move || family.ask(&Ask { method: Method::Post, path: "/reload", body: None });
        for (elder, answer) in tokio::task::spawn_blocking(ask).await.unwrap_or_default() {
            let answer = answer.map(|body| serde_json::from_slice::<ReloadAnswer>(&body));
            if !matches!(answer, Ok(Ok(ReloadAnswer { applied: true, .. }))) {
                tracing::error!(
                    elder.pid,
                    "an older process didn't read the file; its log says why"
                );
            }
        }
    }

    async fn reload(&self) -> ReloadAnswer {
        let Some(file) = self.file.clone() else {
            let problem = Problem::of_file("there is no file", "this gateway was made without one");
            return self.refused(vec![problem], ("", "none"));
        };
        let label = file.display().to_string();
        let read = tokio::task::spawn_blocking(move || {
            let loaded = config::load(&file, &config::process_environment);
            let config::Loaded { snapshot, problems, source } = loaded;
            Tried { snapshot, problems, source }
        });
        let Ok(Tried { snapshot, mut problems, source }) = read.await else {
            let problem = Problem::of_file("the file can't be compiled", "see the log");
            return self.refused(vec![problem], ("", &label));
        };
        let text = (&*source, &*label);
        let Some(snapshot) = snapshot else { return self.refused(problems, text) };
        if let Err(more) = self.apply(snapshot).await {
            problems.extend(more);
            return self.refused(problems, text);
        }
        self.parts.main.metrics.config_reloaded(ReloadOutcome::Applied);
        self.parts.main.metrics.config_loaded();
        tracing::info!(file = text.1, "the configuration was reloaded");
        say(&problems);
        ReloadAnswer { applied: true, problems: config::render(&problems, &source, &label, false) }
    }

    /// Puts a configuration in force, on a thread where that may take a while: a hundred thousand consumers
    /// do, and whoever is served by this one shouldn't wait for it.
    async fn apply(&self, snapshot: Snapshot) -> Result<(), Vec<Problem>> {
        let parts = Arc::clone(&self.parts);
        let applied = tokio::task::spawn_blocking(move || parts.apply(snapshot)).await;
        let lost = |_| vec![Problem::of_file("it can't be put in force", "see the log")];
        applied.map_err(lost).flatten()
    }

    fn refused(&self, problems: Vec<Problem>, (source, label): (&str, &str)) -> ReloadAnswer {
        self.parts.main.metrics.config_reloaded(ReloadOutcome::Refused);
        tracing::error!(file = label, "the configuration was refused: the old one stays in force");
        say(&problems);
        ReloadAnswer { applied: false, problems: config::render(&problems, source, label, false) }
    }
}

/// A line of the log for each problem. None quotes a secret: those of the file are concealed where its
/// text is shown, and a message never has one.
fn say(problems: &[Problem]) {
    for Problem { severity, place, message, hint, .. } in problems {
        let (line, column) = (place.as_ref().map(|at| at.line), place.as_ref().map(|at| at.column));
        match severity {
            Severity::Error => tracing::error!(line, column, hint, "{message}"),
            Severity::Warning => tracing::warn!(line, column, hint, "{message}"),
        }
    }
}

async fn hung_up(hangups: &mut Option<Hangups>) {
    match hangups {
        Some(hangups) => hangups.next().await,
        None => std::future::pending().await,
    }
}

/// Waits until another process has taken over.
async fn followed(told: &mut Option<Followed>) -> Option<PathBuf> {
    if let Some(waiting) = told {
        let file = waiting.await;
        *told = None;
        if let Ok(file) = file {
            return file;
        }
    }
    std::future::pending().await
}

/// Lets go of configurations that nobody goes by any more. A hundred thousand consumers take a while,
/// which no exchange should have to wait for.
fn retire(retired: &mut Vec<Arc<Snapshot>>) {
    let (in_use, gone): (Vec<_>, Vec<_>) =
        std::mem::take(retired).into_iter().partition(|old| Arc::strong_count(old) > 1);
    *retired = in_use;
    if !gone.is_empty() {
        tokio::task::spawn_blocking(move || drop(gone));
    }
}
