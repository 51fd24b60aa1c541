//! One process takes over from another: its listening sockets, what it has counted, and what it keeps.
//! The older one lets its calls and streams end. `words` says who says what, and when.

mod elders;
mod estate;
mod giver;
mod runtime_dir;
mod taker;
mod words;

use std::{
    os::unix::net::UnixListener,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use estate::Secrets;
use giver::Giver;
use runtime_dir::RuntimeDir;
use taker::Taker;
use tokio::{net, sync::oneshot};

use super::{
    BootError,
    doors::Doors,
    keepers::{Keepers, Texts},
    sockets::{Lent, Sockets},
    turnstile::Turnstile,
};
use crate::{
    admin::{self, Family, SocketFile},
    edge::Challenges,
    proxy::State,
    snapshot::Snapshot,
    types::Nanos,
};

/// How long either side may take for what takes no time. While it lasts nobody is let in.
const SOON: Duration = Duration::from_secs(5);

/// The file that the process goes by which has taken over.
pub(super) type Followed = oneshot::Receiver<Option<PathBuf>>;

/// A process that begins, and what it was handed over.
pub(super) struct Arrival {
    taker: Option<Taker>,
    pub(super) sockets: Sockets,
    pub(super) turnstile: Turnstile,
    pub(super) secrets: Secrets,
}

/// A process that serves, as those that come after it see it.
pub(super) struct Departure {
    pub(super) turnstile: Turnstile,
    pub(super) lent: Lent,
    /// It is told once, with how long streams have.
    pub(super) handed_over: Option<oneshot::Receiver<Duration>>,
    /// It is told once, with the file that the process which has taken over goes by, if it says.
    pub(super) followed: Option<Followed>,
    giver: Option<Arc<Giver>>,
    home: Option<Home>,
    taker: Option<Taker>,
    /// Of the sockets that are handed over.
    files: Vec<SocketFile>,
}

/// Where a process is found by the others of its gateway.
struct Home {
    own: Option<UnixListener>,
    _own_file: SocketFile,
    next: Option<UnixListener>,
    family: Arc<Family>,
}

impl Arrival {
    /// Where nobody is taken over from.
    pub(super) fn alone(snapshot: &Snapshot) -> Result<Self, BootError> {
        Self::begin(snapshot, None)
    }

    /// Takes over from the process behind the admin socket. Where there is none, it just begins: a
    /// service manager that always upgrades has to begin somewhere.
    pub(super) fn upgrade(snapshot: &Snapshot) -> Result<Self, BootError> {
        let Some(socket) = &snapshot.admin_socket else { return Err(BootError::NoFamily) };
        let taker = Taker::ask(socket)?;
        if taker.is_none() {
            tracing::info!("--upgrade: there is no process to take over from");
        }
        Self::begin(snapshot, taker)
    }

    fn begin(snapshot: &Snapshot, mut taker: Option<Taker>) -> Result<Self, BootError> {
        let secrets = taker.as_ref().map(|taker| taker.secrets.clone());
        let secrets = Secrets::find(snapshot, secrets)?;
        let sockets = taker.as_mut().map(|taker| std::mem::take(&mut taker.sockets));
        let sockets = Sockets::taken(sockets.unwrap_or_default());
        Ok(Self { taker, sockets, turnstile: Turnstile::new(), secrets })
    }

    /// What the listeners need of it.
    pub(super) fn doors(&self) -> (Sockets, Turnstile) {
        (self.sockets.clone(), self.turnstile.clone())
    }

    /// Puts in what was kept and counted. With it, this process is the one.
    pub(super) fn settle(
        mut self,
        state: &State,
        (doors, challenges): (&Arc<Doors>, &Challenges),
        admin_file: Option<SocketFile>,
    ) -> Result<(Arc<Keepers>, Departure), BootError> {
        let mut files: Vec<SocketFile> = admin_file.into_iter().collect();
        let home = self.find_home(&state.world.load().snapshot, &mut files)?;
        let keepers = match &self.taker {
            None => Keepers::new(state, (doors, challenges), &Texts::default())?,
            Some(taker) => {
                let estate = taker.ready()?;
                state.limiter.take_over(&estate.buckets, Nanos::now());
                let keepers = Keepers::new(state, (doors, challenges), &estate.texts)?;
                taker.taken()?;
                keepers
            }
        };
        files.iter_mut().for_each(|file| file.set_ours(true));
        let (keepers, turnstile) = (Arc::new(keepers), self.turnstile);
        let ((told, handed_over), (tell, followed)) = (oneshot::channel(), oneshot::channel());
        self.sockets.close_rest();
        let lent = self.sockets.lent();
        let giver = home.as_ref().map(|home| {
            Arc::new(Giver {
                lent: lent.clone(),
                turnstile: turnstile.clone(),
                keepers: Arc::clone(&keepers),
                secrets: self.secrets.clone(),
                family: Arc::clone(&home.family),
                limiter: Arc::clone(&state.limiter),
                world: Arc::clone(&state.world),
                handed_over: Mutex::new(Some((told, tell))),
                is_busy: AtomicBool::new(false),
            })
        });
        if home.is_none() {
            lent.close();
        }
        let (handed_over, followed) = (Some(handed_over), Some(followed));
        let taker = self.taker;
        let departure =
            Departure { turnstile, lent, handed_over, followed, giver, home, taker, files };
        Ok((keepers, departure))
    }

    fn find_home(
        &mut self,
        snapshot: &Snapshot,
        files: &mut Vec<SocketFile>,
    ) -> Result<Option<Home>, BootError> {
        let Some(admin_socket) = &snapshot.admin_socket else { return Ok(None) };
        let dir = RuntimeDir::of(admin_socket);
        let mut elders = self.taker.as_ref().map(|taker| taker.elders.clone()).unwrap_or_default();
        let mut settle = || {
            dir.make()?;
            dir.sweep();
            let unknown = dir.living().into_iter().filter(|one| !elders.contains(one));
            let unknown: Vec<_> = unknown.collect();
            elders.extend(unknown);
            let (own, own_file) = admin::bind(&dir.own())?;
            let (next, next_file) = self.sockets.unix(&dir.next())?;
            files.push(next_file);
            let family = Arc::new(Family::new(dir.own(), elders.clone()));
            Ok(Home { own: Some(own), _own_file: own_file, next: Some(next), family })
        };
        let failed = |source| BootError::AdminSocket { path: dir.path().to_owned(), source };
        settle().map(Some).map_err(failed)
    }
}

impl Departure {
    /// Where this process is asked as long as it lives, and who is older.
    pub(super) fn own_socket(&mut self) -> Option<UnixListener> {
        self.home.as_mut()?.own.take()
    }

    /// Who is older.
    pub(super) fn family(&self) -> Option<Arc<Family>> {
        self.home.as_ref().map(|home| Arc::clone(&home.family))
    }

    /// Answers those who want to take over, until one has.
    pub(super) fn answer(&mut self, state: &State) -> impl Future<Output = ()> + Send + 'static {
        let next = self.home.as_mut().and_then(|home| home.next.take());
        let (giver, turnstile) = (self.giver.clone(), self.turnstile.clone());
        let (leases, metrics) = (state.leases.clone(), state.metrics.clone());
        let counting = self.family().map(|family| elders::count_leases(family, leases, metrics));
        async move {
            let Some(((giver, next), counting)) = giver.zip(next).zip(counting) else { return };
            let next = match net::UnixListener::from_std(next) {
                Ok(next) => next,
                Err(error) => return tracing::error!(%error, "nobody will be able to take over"),
            };
            let answering = async { tokio::join!(giver.answer(next), counting) };
            tokio::select! {
                _ = answering => {}
                () = turnstile.gone() => {}
            }
        }
    }

    /// Tells the process that was taken over from that this one accepts, and what file it goes by.
    /// Whether there is one.
    pub(super) fn serving(
        &mut self,
        file: Option<PathBuf>,
    ) -> impl FnOnce() -> bool + Send + 'static {
        let taker = self.taker.take();
        move || taker.map(|taker| taker.serving(file)).is_some()
    }

    /// The end. Files of sockets that another process has by now stay.
    pub(super) fn end(mut self) {
        let is_given = self.giver.as_ref().is_some_and(|giver| giver.is_given());
        self.files.iter_mut().for_each(|file| file.set_ours(!is_given));
    }
}
