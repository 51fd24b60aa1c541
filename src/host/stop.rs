use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Mutex, oneshot},
};

use crate::types::Drain;

/// What ends the gateway.
pub enum Stop {
    /// SIGTERM or SIGINT; a second one ends it at once.
    Signals,
    /// A test's word, or the word's sender going away.
    Told(oneshot::Receiver<()>),
}

/// Our own signal source. Pingora's graceful end sleeps for a fixed time even when nothing is open
/// and hears no second signal; so the drain is done here, and Pingora is told to end fast.
pub(super) struct Ending {
    pub(super) stop: Mutex<Stop>,
    pub(super) drain: Drain,
    /// Called when the drain begins; gives how long it may take.
    pub(super) begin: Box<dyn Fn() -> Duration + Send + Sync>,
}

#[async_trait]
impl ShutdownSignalWatch for Ending {
    async fn recv(&self) -> ShutdownSignal {
        let mut stop = self.stop.lock().await;
        match &mut *stop {
            Stop::Told(word) => {
                let _ = word.await;
                self.drain().await;
            }
            Stop::Signals => match Signals::listen() {
                Ok(mut signals) => {
                    signals.ending().await;
                    tokio::select! {
                        () = self.drain() => {}
                        () = signals.ending() => tracing::warn!("second signal: ending at once"),
                    }
                }
                Err(error) => tracing::error!(%error, "can't listen for signals"),
            },
        }
        ShutdownSignal::FastShutdown
    }
}

impl Ending {
    async fn drain(&self) {
        let grace = (self.begin)();
        self.drain.run(grace).await;
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP: somebody wants the configuration to be read again. Unheard, it would end the process and
/// every stream with it.
pub struct Hangups(Signal);

impl Hangups {
    /// From here on none ends the process. While nobody listens they are lost.
    ///
    /// # Errors
    /// Where the system lets nobody listen.
    pub fn survive() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _within = runtime.enter();
        // What is set for the process stays set when this is gone.
        signal(SignalKind::hangup()).map(drop)
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
            std::future::pending().await
        }
    }
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn ending(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
