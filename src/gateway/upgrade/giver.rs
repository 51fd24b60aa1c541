use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    net::{UnixListener, unix::UCred},
    sync::oneshot,
};

use super::{
    SOON,
    estate::{Estate, Secrets},
    words::{self, Handed, Hello, PROTOCOL, Word},
};
use crate::{
    admin::Family,
    gateway::{keepers::Keepers, sockets::Lent, turnstile::Turnstile},
    host::{self, Line, Notice},
    policy::Limiter,
    types::Nanos,
    upstream::World,
};

/// How long a process that takes over has to bind what it needs.
const PREPARES: Duration = Duration::from_secs(30);

/// Who is told how long the streams of this process have, and who by what file the other one goes.
pub(super) type Told = (oneshot::Sender<Duration>, oneshot::Sender<Option<PathBuf>>);

/// The side of a process that is taken over from.
pub(super) struct Giver {
    pub(super) lent: Lent,
    pub(super) turnstile: Turnstile,
    pub(super) keepers: Arc<Keepers>,
    pub(super) secrets: Secrets,
    pub(super) family: Arc<Family>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) world: Arc<ArcSwap<World>>,
    /// Where it is told that this process has handed over.
    pub(super) handed_over: Mutex<Option<Told>>,
    pub(super) is_busy: AtomicBool,
}

/// Why another process doesn't take over.
enum NotGiven {
    /// It is told so.
    Refused(&'static str),
    /// It went away, was too slow, or said what nobody should.
    Failed(io::Error),
}

impl From<io::Error> for NotGiven {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Giver {
    /// Answers those who want to take over, until one has. Ends only when dropped.
    pub(super) async fn answer(self: Arc<Self>, listener: UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let caller = stream.peer_cred();
            let (Ok(caller), Ok(stream)) = (caller, stream.into_std()) else { continue };
            let giver = Arc::clone(&self);
            // It blocks; and while it does, another one has to be told that it comes too late.
            tokio::task::spawn_blocking(move || giver.converse(stream, caller));
        }
    }

    fn converse(&self, stream: UnixStream, caller: UCred) {
        let Ok(line) = Line::new(stream) else { return };
        match heard(&line).and_then(|hello| self.give_once(&line, (caller, &hello))) {
            Ok(pid) => tracing::info!(pid, "handed over"),
            Err(NotGiven::Refused(why)) => {
                tracing::warn!(why, "handing over was refused");
                let _ = words::say(&line, Word::Refused, why.as_bytes());
            }
            Err(NotGiven::Failed(why)) => {
                let why = match why.kind() {
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset => "the other process ended".to_owned(),
                    io::ErrorKind::TimedOut => "the other process took too long".to_owned(),
                    _ => why.to_string(),
                };
                tracing::warn!(%why, "handing over failed: this process goes on");
            }
        }
    }

    /// Hands over, unless it is about to already.
    fn give_once(&self, line: &Line, who: (UCred, &Hello)) -> Result<i32, NotGiven> {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return Err(NotGiven::Refused("another process is taking over already"));
        }
        let given = self.give(line, who);
        self.is_busy.store(false, Ordering::Release);
        given
    }

    /// Hands over. Which process it was that took it.
    fn give(&self, line: &Line, (caller, hello): (UCred, &Hello)) -> Result<i32, NotGiven> {
        if std::process::id() == 1 {
            return Err(NotGiven::Refused(
                "it is the first process of a container, which ends with it; start another container",
            ));
        }
        let (pid, version) = (caller.pid().unwrap_or_default(), &*hello.version);
        // Nobody else can enter the directory; should somebody, it is still not enough.
        if ![0, rustix::process::geteuid().as_raw()].contains(&caller.uid()) {
            return Err(NotGiven::Refused("it is of another user"));
        }
        if hello.protocol != PROTOCOL {
            return Err(NotGiven::Refused(
                "its version hands over in another way; restart it instead",
            ));
        }
        let timeout = self.world.load().snapshot.timeouts.drain_timeout;
        let lent = self.lent.with(|sockets, handles| {
            let sockets = sockets.into_iter().map(str::to_owned).collect();
            let handed = Handed { sockets, elders: self.family.with_ourselves() };
            let handed = serde_json::to_vec(&handed).unwrap_or_default();
            words::say_with(line, Word::Sockets, &handed, handles)
        });
        lent.ok_or(NotGiven::Refused("this process is ending"))??;
        self.secrets.say(line)?;
        tracing::info!(pid, version, "another process wants to take over");
        words::expect(line, Word::Ready, PREPARES)?;
        let file = self.let_go(line)?;
        host::notify(Notice::MainProcess(pid));
        self.lent.close();
        if let Some((ending, reloading)) = self.handed_over().take() {
            let _ = ending.send(timeout);
            let _ = reloading.send(file);
        }
        Ok(pid)
    }

    /// From here on nobody comes in and nothing is kept, unless the other process fails. The file that
    /// the other one goes by.
    fn let_go(&self, line: &Line) -> io::Result<Option<PathBuf>> {
        // Most of it now: while nobody is let in, the disk has little to do.
        self.keepers.turn();
        let shut = self.turnstile.shut();
        let closed = self.keepers.close();
        let buckets = self.limiter.hand_over(Nanos::now());
        Estate { buckets, texts: closed.texts() }.say(line)?;
        words::expect(line, Word::Taken, SOON)?;
        words::say(line, Word::Go, &[])?;
        let file = match words::expect(line, Word::Serving, SOON) {
            // It has our word and lives: two must not serve.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                tracing::warn!("the other process has taken over, but doesn't say that it serves");
                None
            }
            serving => Some(PathBuf::from(OsStr::from_bytes(&serving?.body))),
        };
        closed.for_good();
        shut.for_good();
        Ok(file.filter(|file| file.is_absolute()))
    }

    fn handed_over(&self) -> MutexGuard<'_, Option<Told>> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another process has taken over.
    pub(super) fn is_given(&self) -> bool {
        self.handed_over().is_none()
    }
}

/// What the other process says of itself. Before it is refused: it would not hear why, with its own word
/// unheard.
fn heard(line: &Line) -> Result<Hello, NotGiven> {
    let hello = words::expect(line, Word::Hello, SOON)?;
    serde_json::from_slice(&hello.body).map_err(|_| words::unexpected().into())
}
