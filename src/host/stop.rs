use std::{future::pending, time::Duration};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Mutex, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::successor::start_successor;
use crate::types::Drain;

/// How long an answer to an operator may hold up the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What ends the gateway.
pub enum Stop {
    /// SIGTERM or SIGINT; a second one ends it at once.
    Signals,
    /// A test's word, or the word's sender going away.
    Told(oneshot::Receiver<()>),
}

/// How the gateway ends.
pub struct Ending {
    /// What ends it.
    pub stop: Stop,
    /// It is told that another process has taken over, and how long streams have then.
    pub handed_over: Option<oneshot::Receiver<Duration>>,
    /// What lets everything under way end.
    pub drain: Drain,
    /// Is called once when that begins; gives how long what is under way has.
    pub begin: Box<dyn Fn() -> Duration + Send + Sync>,
    /// What is being answered to operators. When all else has ended, that gets a second.
    pub answering: TaskTracker,
}

/// Our own signal source. Pingora's graceful end sleeps for a fixed time even when nothing is open
/// and hears no second signal; so the drain is done here, and Pingora is told to end fast.
pub(super) struct Watched(Mutex<Ending>);

impl From<Ending> for Watched {
    fn from(ending: Ending) -> Self {
        Self(ending.into())
    }
}

#[async_trait]
impl ShutdownSignalWatch for Watched {
    async fn recv(&self) -> ShutdownSignal {
        let mut ending = self.0.lock().await;
        ending.comes().await;
        ending.answering.close();
        let _ = timeout(LAST_ANSWERS, ending.answering.wait()).await;
        ShutdownSignal::FastShutdown
    }
}

impl Ending {
    /// Waits until there is nothing left to do.
    async fn comes(&mut self) {
        let Self { stop, handed_over, drain, begin, .. } = self;
        let mut word = match Word::of(stop) {
            Ok(word) => word,
            Err(error) => return tracing::error!(%error, "can't listen for signals"),
        };
        let given = tokio::select! {
            () = word.comes() => None,
            given = told(handed_over) => Some(given),
        };
        if let Some(given) = given {
            tokio::select! {
                () = drain.hand_over(given) => return,
                () = word.comes() => {}
            }
        }
        let grace = begin();
        tokio::select! {
            () = drain.run(grace) => {}
            () = word.comes() => tracing::warn!("second signal: ending at once"),
        }
    }
}

/// Waits for another process to take over. Where nobody can, for ever.
async fn told(handed_over: &mut Option<oneshot::Receiver<Duration>>) -> Duration {
    match handed_over.take() {
        Some(told) => match told.await {
            Ok(timeout) => timeout,
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

/// The word that ends it.
enum Word<'s> {
    Told(Option<&'s mut oneshot::Receiver<()>>),
    Signals(Signals),
}

impl<'s> Word<'s> {
    fn of(stop: &'s mut Stop) -> std::io::Result<Self> {
        Ok(match stop {
            Stop::Told(word) => Self::Told(Some(word)),
            Stop::Signals => Self::Signals(Signals::listen()?),
        })
    }

    /// Waits for it. Cancelled, it loses none.
    async fn comes(&mut self) {
        match self {
            Self::Signals(signals) => signals.ending().await,
            Self::Told(Some(word)) => {
                let _ = word.await;
                *self = Self::Told(None);
            }
            // It comes once.
            Self::Told(None) => pending().await,
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

/// SIGHUP: somebody wants the configuration to be read again. Unheard, it would end the process and
/// every stream with it.
pub struct Hangups(Signal);

impl Hangups {
    /// From here on none ends the process, and no SIGUSR2 either, nor a file that may not grow
    /// (SIGXFSZ): that is an error of who writes it. While nobody listens they are lost.
    ///
    /// # Errors
    /// Where the system lets nobody listen.
    pub fn survive() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _within = runtime.enter();
        // What is set for the process stays set when this is gone.
        signal(SignalKind::hangup()).map(drop)?;
        signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)?;
        signal(SignalKind::user_defined2()).map(drop)
    }

    /// From here on they are heard.
    ///
    /// # Errors
    /// Where the system lets nobody listen.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for one. Those that come before it is waited for are one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            pending().await
        }
    }
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    async fn ending(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.upgrade.recv() => {
                    tracing::info!("SIGUSR2: starting the process that takes over");
                    if let Err(error) = start_successor() {
                        tracing::error!(%error, "it can't be started");
                    }
                }
            }
        }
    }
}
