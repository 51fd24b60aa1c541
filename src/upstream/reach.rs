//! A connection to one of a server's endpoints.

use std::{os::fd::AsRawFd, sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::Instant};

use super::{
    Server,
    choice::Choice,
    instance::Instance,
    standing::{Asked, Change},
};
use crate::{
    snapshot::Endpoint,
    wire::{Connection, Transport},
};

/// A connection, and where it leads.
pub struct Reached {
    /// The endpoint: it is what `Host` names.
    pub endpoint: Arc<Endpoint>,
    /// The connection.
    pub connection: Connection<Transport>,
}

/// No connection could be made. Nothing of the request left the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// Every address refused.
    Refused,
    /// None answered in time.
    Late,
    /// The descriptors of the process are short: none was left to connect with, or too few after it.
    NoRoom,
    /// The endpoint that it had to be is out or can't be reached, and another one is in: what it knew
    /// is lost, and can begin anew there.
    Lost,
}

impl Server {
    /// A connection: a kept one that is still quiet, or a new one. Where there is a choice and an
    /// endpoint can't be reached, the next is tried, for nothing was sent yet.
    ///
    /// # Errors
    /// Where no address answered within `timeout`, that of all endpoints together.
    pub async fn connection(
        &self,
        choice: Choice<'_>,
        timeout: Duration,
    ) -> Result<Reached, Unreachable> {
        if let ([only], Choice::Of(_)) = (&*self.instances, choice) {
            return self.kept_or_new(only, timeout).await;
        }
        match choice {
            // Boxed, for one endpoint has no part in it.
            Choice::Bound(endpoint) => Box::pin(self.bound(endpoint, timeout)).await,
            Choice::Of(_) => Box::pin(self.any(choice, timeout)).await,
        }
    }

    async fn kept_or_new(
        &self,
        instance: &Instance,
        timeout: Duration,
    ) -> Result<Reached, Unreachable> {
        let connection = match instance.pool.take() {
            Some(kept) => kept,
            None => self.connect_anew(instance, timeout).await?,
        };
        Ok(Reached { endpoint: Arc::clone(&instance.endpoint), connection })
    }

    /// To the one endpoint that has the session or stream. It is tried even if another request
    /// couldn't connect a moment ago, for a session isn't lost by that; but not where it is known to
    /// be ill, or each of its clients would wait for it. A server that was started anew says by itself
    /// that it knows no session.
    async fn bound(&self, endpoint: &Endpoint, timeout: Duration) -> Result<Reached, Unreachable> {
        let own = |instance: &&Instance| instance.endpoint.authority == endpoint.authority;
        // Of a configuration that was.
        let instance = self.instances.iter().find(own).ok_or(Unreachable::Lost)?;
        let another = || self.has_another(instance);
        if instance.known.standing.asked() == Asked::Ill && another() {
            return Err(Unreachable::Lost);
        }
        let reached = self.kept_or_new(instance, timeout).await;
        reached.map_err(|why| match why {
            Unreachable::Refused | Unreachable::Late if another() => Unreachable::Lost,
            // Nothing is there to begin anew with, and the session may outlive this.
            why => why,
        })
    }

    /// To the key's own endpoint, or to the next. Those that are out come last, and are tried all the
    /// same where nothing else is left: better a slow answer than none.
    async fn any(&self, choice: Choice<'_>, timeout: Duration) -> Result<Reached, Unreachable> {
        let until = Instant::now() + timeout;
        let (order, mut skipped) = (self.in_order(choice), Vec::new());
        let mut last = Unreachable::Refused;
        for (index, instance) in order.iter().enumerate() {
            // Asked when it is its turn: it may be the one request that finds out.
            if !instance.known.standing.may_be_tried(Instant::now()) {
                skipped.push(*instance);
                continue;
            }
            let others = order.iter().skip(index + 1);
            let more = others.filter(|other| other.known.standing.is_in()).count() > 0;
            match self.kept_or_new(instance, share(until, more)).await {
                Err(why @ (Unreachable::Refused | Unreachable::Late)) => last = why,
                reached => return reached,
            }
        }
        for (index, instance) in skipped.iter().enumerate() {
            match self.kept_or_new(instance, share(until, index + 1 < skipped.len())).await {
                Err(why @ (Unreachable::Refused | Unreachable::Late)) => last = why,
                reached => return reached,
            }
        }
        Err(last)
    }

    /// All endpoints, the key's own first.
    fn in_order(&self, choice: Choice<'_>) -> Vec<&Instance> {
        let mut order: Vec<_> = self.instances.iter().collect();
        if let Choice::Of(affinity) = choice {
            order.sort_by_cached_key(|instance| !affinity.to(instance.known.mark));
        }
        order
    }

    fn has_another(&self, instance: &Instance) -> bool {
        let other = |other: &&Instance| !std::ptr::eq(*other, instance);
        self.instances.iter().filter(other).any(|other| other.known.standing.is_in())
    }

    /// The endpoint that the gateway's own questions go to: the first that is in.
    pub(super) fn first_in(&self) -> &Endpoint {
        let found = self.instances.iter().find(|instance| instance.known.standing.is_in());
        found.map_or(self.upstream.endpoints.first(), |instance| &instance.endpoint)
    }

    /// The instance at an endpoint of this server.
    pub(super) fn at(&self, endpoint: &Endpoint) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.endpoint.authority == endpoint.authority)
    }

    /// A new connection.
    pub(super) async fn connect_anew(
        &self,
        instance: &Instance,
        timeout: Duration,
    ) -> Result<Connection<Transport>, Unreachable> {
        let opened = instance.open(timeout).await;
        // No fault of the endpoint: else a flood of clients could put every endpoint out.
        if opened.as_ref().err() != Some(&Unreachable::NoRoom) {
            self.noted(instance, opened.is_ok());
        }
        let transport = opened?;
        let of_upstream = |socket: &TcpStream| self.pressure.of_upstream(socket.as_raw_fd());
        if transport.socket().is_some_and(of_upstream) {
            return Err(Unreachable::NoRoom);
        }
        Ok(Connection::new(transport))
    }

    /// Notes whether an endpoint could be connected to. The only one is never out for that: there is
    /// nothing else to try.
    fn noted(&self, instance: &Instance, reached: bool) {
        let standing = &instance.known.standing;
        if let [_] = &*self.instances {
            if !reached {
                self.dialect.lose();
            }
            return;
        }
        let change = match reached {
            true => standing.reached(),
            false => standing.missed(Instant::now()),
        };
        self.say(instance, change, "no connection can be made");
    }

    /// Tells an operator of a change. What comes back may be another version.
    pub(super) fn say(&self, instance: &Instance, change: Option<Change>, why: &'static str) {
        let (upstream, endpoint) = (&self.upstream.name, &*instance.endpoint.authority);
        match change {
            None => return,
            Some(Change::Out) => {
                tracing::warn!(%upstream, endpoint, why, "endpoint out");
            }
            Some(Change::In) => tracing::info!(%upstream, endpoint, "endpoint in"),
        }
        self.dialect.lose();
    }
}

/// The time that one endpoint has: where more are left, one that doesn't answer leaves half to them.
fn share(until: Instant, more: bool) -> Duration {
    let left = until.saturating_duration_since(Instant::now());
    if more { left / 2 } else { left }
}

#[cfg(test)]
mod tests;
