//! The questions of `health`.

use std::sync::Arc;

use tokio::{task::JoinSet, time::sleep};

use super::{NoReply, Question, Server, instance::Instance, standing::Asked};
use crate::{snapshot::HealthCheck, types::Method};

/// How a server is as a whole, by the answers to `health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody asks, so nobody knows.
    Unasked,
    /// No endpoint has been asked to the end yet.
    Unknown,
    /// Some endpoint is well.
    Well,
    /// None is.
    Ill,
}

impl Server {
    /// How it is.
    pub fn health(&self) -> Health {
        if self.upstream.health.is_none() {
            return Health::Unasked;
        }
        let mut all = Health::Ill;
        for instance in &self.instances {
            match instance.known.standing.asked() {
                Asked::Well => return Health::Well,
                Asked::Nothing => all = Health::Unknown,
                Asked::Ill => {}
            }
        }
        all
    }

    /// Asks each endpoint again and again, where the configuration wants that. Ends only when dropped.
    pub async fn keep_health_known(self: &Arc<Self>) {
        let mut asking = JoinSet::new();
        for at in 0..self.instances.len() {
            let server = Arc::clone(self);
            asking.spawn(async move { server.keep_asking(at).await });
        }
        while asking.join_next().await.is_some() {}
        std::future::pending().await
    }

    async fn keep_asking(&self, at: usize) {
        let Some(check) = &self.upstream.health else { return };
        let Some(instance) = self.instances.get(at) else { return };
        loop {
            // Where it couldn't be asked at all, that speaks neither for it nor against it.
            if let Some(well) = self.is_well(instance, check).await {
                let change = instance.known.standing.answered(well.is_ok(), check);
                self.say(instance, change, well.err().unwrap_or_default());
            }
            sleep(check.interval).await;
        }
    }

    /// Whether it answers, and not that it can't; `None` where the gateway had no descriptor to ask.
    /// A 404 is an answer: who asks has no key, and needn't know a page that is there.
    async fn is_well(
        &self,
        instance: &Instance,
        check: &HealthCheck,
    ) -> Option<Result<(), &'static str>> {
        let path = check.path.as_bytes();
        let question = Question { method: Method::Get, path, fields: &[], body: None };
        Some(match self.ask_whether_well(instance, &question, check.timeout).await {
            Ok(status) if status.is_server_error() => Err("it answers with a server error"),
            Ok(_) => Ok(()),
            Err(NoReply::NoRoom) => return None,
            Err(NoReply::Unreachable) => Err("it can't be reached"),
            Err(NoReply::Late) => Err("it doesn't answer in time"),
            Err(NoReply::Gone) => Err("it ended before it answered"),
            Err(NoReply::Unreadable) => Err("its answer can't be read"),
        })
    }
}
