//! How a server speaks MCP, as far as that is known, and when to ask again.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::postiz::{Finding, NotNow};
use crate::{
    snapshot::{Dialect, DialectSetting},
    types::Name,
};

/// How long a finding is believed while nothing speaks against it: servers are updated without ever
/// being seen away.
const BELIEVED: Duration = Duration::from_secs(5 * 60);

/// How soon after an answer it may be asked again, and the first wait where there was none.
const RETRY: Duration = Duration::from_secs(1);

/// The longest wait for a server that doesn't answer.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The dialect of a server, shared by all workers.
pub(super) struct Known {
    dialect: AtomicU8,
    /// Whether it is for the gateway to find out.
    sought: bool,
    lost: Notify,
}

impl Known {
    pub(super) fn new(setting: Option<DialectSetting>) -> Self {
        let (sought, dialect) = match setting {
            None => (false, None),
            Some(DialectSetting::Auto) => (true, None),
            Some(DialectSetting::Is(dialect)) => (false, Some(dialect)),
        };
        Self { dialect: AtomicU8::new(coded(dialect)), sought, lost: Notify::new() }
    }

    pub(super) fn get(&self) -> Option<Dialect> {
        decoded(self.dialect.load(Ordering::Relaxed))
    }

    /// The server couldn't be reached. What comes back may be another version.
    pub(super) fn lose(&self) {
        if self.sought {
            self.set(None);
            self.lost.notify_one();
        }
    }

    fn set(&self, dialect: Option<Dialect>) {
        self.dialect.store(coded(dialect), Ordering::Relaxed);
    }

    /// Asks again and again, by `ask`, where there is something to find out, and says what it finds.
    pub(super) async fn keep_asking<A>(
        &self,
        (server, wants_bearer): (&Name, bool),
        ask: impl Fn() -> A,
    ) where
        A: Future<Output = Result<Finding, NotNow>>,
    {
        if !self.sought {
            return;
        }
        let (mut said, mut wait) = (None, RETRY);
        loop {
            // What was lost until now is asked for now.
            let _ = timeout(Duration::ZERO, self.lost.notified()).await;
            match ask().await {
                Ok(finding) => {
                    self.set(finding.dialect());
                    if said != Some(finding) {
                        said = Some(finding);
                        say(server, finding, wants_bearer);
                    }
                    wait = RETRY;
                    sleep(RETRY).await;
                    let _ = timeout(BELIEVED.saturating_sub(RETRY), self.lost.notified()).await;
                }
                Err(why) => {
                    tracing::debug!(upstream = %server, %why, "no Postiz can be told apart yet");
                    sleep(wait).await;
                    wait = (2 * wait).min(LONGEST_RETRY);
                }
            }
        }
    }
}

fn say(server: &Name, finding: Finding, wants_bearer: bool) {
    match finding {
        Finding::Is(postiz) => {
            let (version, dialect) = (postiz.versions(), postiz.dialect().as_str());
            tracing::info!(upstream = %server, %version, %dialect, "Postiz found");
            if wants_bearer && !postiz.knows_bearer() {
                tracing::warn!(
                    upstream = %server, %version,
                    "upstream_auth takes keys out of the path, and a Postiz before v2.19.0 looks nowhere \
                     else"
                );
            }
        }
        Finding::Unknown { asked, status } => tracing::warn!(
            upstream = %server, asked, status = status.as_u16(),
            "dialect = \"auto\" finds no version of Postiz that answers so"
        ),
    }
}

const fn coded(dialect: Option<Dialect>) -> u8 {
    match dialect {
        None => 0,
        Some(Dialect::LegacySse) => 1,
        Some(Dialect::Session) => 2,
        Some(Dialect::Stateless) => 3,
    }
}

const fn decoded(code: u8) -> Option<Dialect> {
    match code {
        1 => Some(Dialect::LegacySse),
        2 => Some(Dialect::Session),
        3 => Some(Dialect::Stateless),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use http::StatusCode;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        observe::{LogSink, tracing_dispatch},
        upstream::postiz::Postiz,
    };

    const OLD: Result<Finding, NotNow> = Ok(Finding::Is(Postiz::UpTo2_7));
    const SESSIONS: Result<Finding, NotNow> = Ok(Finding::Is(Postiz::From2_19));
    const NEW: Result<Finding, NotNow> = Ok(Finding::Is(Postiz::From2_23));
    const ODD: Result<Finding, NotNow> =
        Ok(Finding::Unknown { asked: "GET /", status: StatusCode::FOUND });
    const AWAY: Result<Finding, NotNow> = Err(NotNow::Status(StatusCode::BAD_GATEWAY));

    /// Answers one question after the other, the last again and again, and loses the server before
    /// some; then says in which seconds it was asked, and what was logged.
    async fn run(
        answers: &[Result<Finding, NotNow>],
        lost_at: &[u64],
        until: u64,
    ) -> (Vec<u64>, Vec<String>, Option<Dialect>) {
        let known = Known::new(Some(DialectSetting::Auto));
        let (begun, next, asked) = (Instant::now(), Cell::new(0), RefCell::new(Vec::new()));
        let ask = || {
            let answer = answers[next.replace((next.get() + 1).min(answers.len() - 1))];
            asked.borrow_mut().push(begun.elapsed().as_secs());
            async move { answer }
        };
        let lose = async {
            for second in lost_at {
                tokio::time::sleep_until(begun + Duration::from_secs(*second)).await;
                known.lose();
                assert_eq!(known.get(), None, "what was found may be gone");
            }
            tokio::time::sleep_until(begun + Duration::from_secs(until)).await;
        };
        let sink = LogSink::memory();
        let dispatch = tracing_dispatch(&sink, "info").unwrap();
        let guard = tracing::dispatcher::set_default(&dispatch);
        let name = Name::parse("postiz").unwrap();
        tokio::select! {
            () = known.keep_asking((&name, true), ask) => {}
            () = lose => {}
        }
        drop(guard);
        let line = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", line["level"].as_str().unwrap(), line["event"].as_str().unwrap())
        };
        (asked.take(), sink.contents().lines().map(line).collect(), known.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_finding_is_believed_for_five_minutes_and_said_once() {
        let (asked, said, known) = run(&[SESSIONS, SESSIONS, NEW], &[], 601).await;
        assert_eq!(asked, [0, 300, 600]);
        assert_eq!(said, ["info Postiz found"; 2]);
        assert_eq!(known, Some(Dialect::Stateless));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_asked_ever_more_rarely() {
        let (asked, said, known) = run(&[AWAY], &[], 100).await;
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 61, 91]);
        assert!(said.is_empty() && known.is_none());
        let (asked, ..) = run(&[AWAY, AWAY, AWAY, NEW, AWAY, NEW], &[10], 300).await;
        assert_eq!(asked, [0, 1, 3, 7, 10, 11], "an answer ends the patience");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_connection_has_it_asked_again_at_most_once_a_second() {
        let (asked, _, known) = run(&[NEW, OLD], &[10, 10, 10], 200).await;
        assert_eq!((asked, known), (vec![0, 10], Some(Dialect::LegacySse)));
        let (asked, ..) = run(&[NEW, AWAY, NEW], &[20, 20], 200).await;
        assert_eq!(asked, [0, 20, 21]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_found_and_does_not_fit_is_a_warning() {
        let (_, said, known) = run(&[OLD, ODD, ODD], &[], 900).await;
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[1].starts_with("warn upstream_auth takes keys out of the path"), "{said:?}");
        assert!(said[2].starts_with("warn dialect = \"auto\" finds no"), "{said:?}");
        assert_eq!(known, None);
    }

    #[tokio::test]
    async fn what_is_configured_is_never_asked_for_nor_lost() {
        for (setting, dialect) in [
            (None, None),
            (Some(DialectSetting::Is(Dialect::Session)), Some(Dialect::Session)),
            (Some(DialectSetting::Is(Dialect::LegacySse)), Some(Dialect::LegacySse)),
        ] {
            let known = Known::new(setting);
            known.lose();
            let name = Name::parse("postiz").unwrap();
            known.keep_asking((&name, true), || async { panic!("it was asked") }).await;
            assert_eq!(known.get(), dialect);
        }
    }
}
