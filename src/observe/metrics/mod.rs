//! Everything that the gateway counts.
//!
//! A label is a configured name, a word of a closed list, or the name of a tool that [`KnownTools`]
//! gave out; no method takes a text that a client could have chosen. So the number of series is bounded:
//! calls have the most, a series for every route, consumer, tool and outcome that met.
//!
//! [`KnownTools`]: super::KnownTools

mod children;
mod families;
mod gone;
mod guards;
mod http2;

use std::{sync::Arc, time::Duration};

use children::{Call, Children, Exchange};
use families::Families;
pub use gone::Names;
pub use guards::{ConnectionGuard, EndpointHealth, InFlight, SharedStreamsMeter, StreamGuard};
use prometheus::{Registry, TextEncoder, process_collector::ProcessCollector};

use super::{
    audit::AuditSink,
    log::LogSink,
    record::{Event, Record},
};
use crate::types::{Denial, Limit, Name};

/// The gateway's metrics. Clones count together; two gateways in one process don't meet.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: Families,
    exchanges: Children<Exchange>,
    calls: Children<Call>,
}

/// What became of a connection. The label `outcome` of `connections_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// Served.
    Accepted,
    /// `[access]` doesn't let the address in.
    Address,
    /// No PROXY header where there has to be one: the peer isn't a trusted proxy, or the header is
    /// malformed or late.
    ProxyHeader,
    /// `limits.connections` or `limits.connections_per_address` is reached.
    Connections,
    /// It is banned, and was told so before.
    Banned,
    /// `limits.descriptors` or `limits.memory` is reached.
    Overload,
    /// Accepted before, and closed now in favour of another: nothing was under way on it.
    Shed,
}

/// What became of a configuration that was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It is in force.
    Applied,
    /// Something is wrong with it, so nothing has changed.
    Refused,
}

impl ReloadOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// How a TLS handshake ended. The label `outcome` of `tls_handshakes_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeOutcome {
    /// Completed.
    Ok,
    /// The two sides didn't agree, or the client left.
    Failed,
    /// It took longer than `timeouts.handshake`.
    Timeout,
    /// Too many were under way.
    Busy,
    /// An authority was shown a proof, and there was no more to it.
    Challenge,
    /// The client was asked for a certificate, and showed none or one that isn't believed.
    Certificate,
}

/// What became of an order of a certificate. The label `outcome` of `acme_orders_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderOutcome {
    /// There is a certificate.
    Issued,
    /// There is none, and the log says why.
    Failed,
}

impl OrderOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Failed => "failed",
        }
    }
}

/// Whose budget of which tools it is. All of it is the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BudgetLabels {
    /// The route whose budget it is, if it is one's.
    pub route: Option<Name>,
    /// The consumer, if it is one's.
    pub consumer: Option<Name>,
    /// The tools, as they are written there.
    pub budget: Box<str>,
}

impl ConnectionOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Address => "address",
            Self::ProxyHeader => "proxy_header",
            Self::Connections => "connections",
            Self::Banned => "banned",
            Self::Overload => "overload",
            Self::Shed => "shed",
        }
    }
}

impl HandshakeOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Challenge => "challenge",
            Self::Certificate => "certificate",
        }
    }
}

impl Metrics {
    /// Metrics of their own registry, with those of the log and of the process.
    pub fn new(log: &LogSink) -> Self {
        let registry = Registry::new();
        let families = Families::register(&registry);
        let counts = log.counts();
        let others: [Box<dyn prometheus::core::Collector>; 3] = [
            Box::new(counts.dropped),
            Box::new(counts.redactions),
            Box::new(ProcessCollector::for_self()),
        ];
        for collector in others {
            // A name twice would be a bug that the test of all names finds; it isn't worth a crash.
            let _ = registry.register(collector);
        }
        for limit in Limit::ALL {
            families.limits_reached.with_label_values(&[limit.as_str()]);
        }
        for word in http2::WORDS {
            families.http2_errors.with_label_values(&[word]);
        }
        for outcome in [ReloadOutcome::Applied, ReloadOutcome::Refused] {
            families.config_reloads.with_label_values(&[outcome.as_str()]);
        }
        families.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        families.banned.with_label_values::<&str>(&[]).set(0);
        let (exchanges, calls) = (Children::new(), Children::new());
        Self(Arc::new(Inner { registry, families, exchanges, calls }))
    }

    /// Shows the counts of an audit, of which there is one at most.
    pub fn show_audit(&self, audit: &AuditSink) {
        let counts = audit.counts();
        let collectors: [Box<dyn prometheus::core::Collector>; 4] = [
            Box::new(counts.records),
            Box::new(counts.dropped),
            Box::new(counts.failing),
            Box::new(counts.redactions),
        ];
        for collector in collectors {
            let _ = self.0.registry.register(collector);
        }
    }

    /// Counts an exchange that has ended. The record of an opened stream counts nothing: its
    /// guard does.
    pub fn record(&self, record: &Record) {
        if record.event != Event::Exchange {
            return;
        }
        let families = &self.0.families;
        let exchange = self.0.exchanges.get(&record.into(), families);
        exchange.requests.inc();
        exchange.duration.observe(record.duration.as_secs_f64());
        if let Some(first_byte) = record.first_byte {
            exchange.first_byte.observe(first_byte.as_secs_f64());
        }
        if let Some(reason) = record.reason {
            let route = children::label(record.route.as_ref());
            families.refusals.with_label_values(&[route, reason]).inc();
        }
        if let Some(reason) = record.observed {
            let route = children::label(record.route.as_ref());
            families.observed_refusals.with_label_values(&[route, reason]).inc();
        }
        for labels in children::CallLabels::of(record) {
            let call = self.0.calls.get(&labels, families);
            call.calls.inc();
            call.duration.observe(record.duration.as_secs_f64());
        }
    }

    /// Counts a stream as open until the guard is dropped.
    pub fn stream_opened(&self, route: &Name, consumer: Option<&Name>) -> StreamGuard {
        let Families { streams_open, stream_seconds, stream_events, .. } = &self.0.families;
        let route = route.as_str();
        StreamGuard::new(
            streams_open.with_label_values(&[route, children::label(consumer)]),
            stream_seconds.with_label_values(&[route]),
            stream_events.with_label_values(&[route]),
        )
    }

    /// Counts a connection as accepted, and as open until the guard is dropped.
    pub fn connection_opened(&self, listener: &Name) -> ConnectionGuard {
        self.connection(listener, ConnectionOutcome::Accepted);
        let open = &self.0.families.connections_open;
        ConnectionGuard::new(open.with_label_values(&[listener.as_str()]))
    }

    /// Counts a connection that was closed, unserved or with nothing under way.
    pub fn connection_refused(&self, listener: &Name, outcome: ConnectionOutcome) {
        self.connection(listener, outcome);
    }

    /// Counts a connection that a list in observe mode would have refused.
    pub fn connection_observed(&self, denial: Denial) {
        let labels = [children::label(None), denial.face().reason];
        self.0.families.observed_refusals.with_label_values(&labels).inc();
    }

    fn connection(&self, listener: &Name, outcome: ConnectionOutcome) {
        let labels = [listener.as_str(), outcome.as_str()];
        self.0.families.connections.with_label_values(&labels).inc();
    }

    /// Counts a ban that began. The cause is a word of a closed list.
    pub fn banned(&self, cause: &'static str) {
        self.0.families.bans.with_label_values(&[cause]).inc();
    }

    /// Notes how many are banned now.
    pub fn banned_now(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.0.families.banned.with_label_values::<&str>(&[]).set(count);
    }

    /// Notes how much of a budget is used: 1 for all.
    pub fn budget_used(&self, labels: &BudgetLabels, share: f64) {
        let BudgetLabels { route, consumer, budget } = labels;
        let labels = [children::label(route.as_ref()), children::label(consumer.as_ref()), budget];
        self.0.families.budget_used.with_label_values(&labels).set(share);
    }

    /// Counts that a cap was reached.
    pub fn reached(&self, limit: Limit) {
        self.0.families.limits_reached.with_label_values(&[limit.as_str()]).inc();
    }

    /// Counts an error of HTTP/2 that a client was told of (RFC 9113 7), by its code.
    pub fn http2_error(&self, code: u32) {
        let word = http2::word(code);
        self.0.families.http2_errors.with_label_values(&[word]).inc();
    }

    /// Counts a head over HTTP/2 that was too large to become a request.
    pub fn http2_list_too_large(&self) {
        self.0.families.http2_errors.with_label_values(&[http2::LIST_TOO_LARGE]).inc();
    }

    /// Counts a TLS handshake.
    pub fn handshake(&self, listener: &Name, outcome: HandshakeOutcome) {
        let labels = [listener.as_str(), outcome.as_str()];
        self.0.families.tls_handshakes.with_label_values(&labels).inc();
    }

    /// Counts a tool that is described in a new way.
    pub fn tool_changed(&self, upstream: &Name) {
        self.0.families.tool_changes.with_label_values(&[upstream.as_str()]).inc();
    }

    /// Notes how many tools are described in another way than they were trusted in.
    pub fn changed_tools(&self, upstream: &Name, count: usize) {
        let series = self.0.families.changed_tools.with_label_values(&[upstream.as_str()]);
        series.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Shows the requests under way to an upstream, none yet.
    pub fn in_flight(&self, upstream: &Name) -> InFlight {
        let family = &self.0.families.upstream_in_flight;
        InFlight::new(family.with_label_values(&[upstream.as_str()]))
    }

    /// Shows the health of an upstream's endpoint. The label is what the configuration says of it.
    pub fn endpoint_health(&self, upstream: &Name, authority: &str) -> EndpointHealth {
        let family = &self.0.families.upstream_healthy;
        EndpointHealth::new(family.with_label_values(&[upstream.as_str(), authority]))
    }

    /// Shows the streams of an upstream that clients share, none yet.
    pub fn shared_streams(&self, upstream: &Name) -> SharedStreamsMeter {
        let Families { shared_streams, shared_messages_dropped, .. } = &self.0.families;
        let labels = [upstream.as_str()];
        SharedStreamsMeter::new(
            shared_streams.with_label_values(&labels),
            shared_messages_dropped.with_label_values(&labels),
        )
    }

    /// Notes how long an upstream took to its head.
    pub fn upstream_answered(&self, upstream: &Name, took: Duration) {
        let series = self.0.families.upstream_duration.with_label_values(&[upstream.as_str()]);
        series.observe(took.as_secs_f64());
    }

    /// Notes when a certificate ends, in seconds since 1970.
    pub fn certificate(&self, listener: &Name, name: &Name, expires_at: i64) {
        let labels = [listener.as_str(), name.as_str()];
        self.0.families.certificate_expiry.with_label_values(&labels).set(expires_at);
    }

    /// Shows a certificate no longer.
    pub fn certificate_gone(&self, listener: &Name, name: &Name) {
        let labels = [listener.as_str(), name.as_str()];
        // It may never have been shown.
        let _ = self.0.families.certificate_expiry.remove_label_values(&labels);
    }

    /// Shows a file of the state directory from its beginning, so that its first failure is an increase.
    pub fn state_file(&self, file: &'static str) {
        self.0.families.state_write_failures.with_label_values(&[file]);
    }

    /// Counts a write of a file of the state directory that failed.
    pub fn state_write_failed(&self, file: &'static str) {
        self.0.families.state_write_failures.with_label_values(&[file]).inc();
    }

    /// Counts an order of a certificate that has ended.
    pub fn acme_order(&self, listener: &Name, outcome: OrderOutcome) {
        let labels = [listener.as_str(), outcome.as_str()];
        self.0.families.acme_orders.with_label_values(&labels).inc();
    }

    /// Counts a configuration that was read again.
    pub fn config_reloaded(&self, outcome: ReloadOutcome) {
        self.0.families.config_reloads.with_label_values(&[outcome.as_str()]).inc();
    }

    /// So many processes of this gateway live.
    pub fn processes(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.0.families.processes.with_label_values::<&str>(&[]).set(count);
    }

    /// Notes that a configuration came into force now.
    pub fn config_loaded(&self) {
        let now = jiff::Timestamp::now().as_second();
        self.0.families.config_loaded.with_label_values::<&str>(&[]).set(now);
    }

    /// Forgets what is counted of names that the configuration hasn't. Takes a moment where there are many.
    pub fn keep_only(&self, names: &Names<'_>) {
        let Inner { families, exchanges, calls, .. } = &*self.0;
        exchanges.retain(|labels| labels.is_of(names));
        calls.retain(|labels| labels.is_of(names));
        gone::forget(families, names);
    }

    /// Everything, in the text format 0.0.4.
    pub fn render(&self) -> String {
        // Encoding fails for a family without series alone, and the registry gives none such.
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
