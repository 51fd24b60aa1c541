//! Series of names that the configuration has no more.
//!
//! A name that a reload takes away would be shown for as long as the process lives, and each of a
//! thousand reloads can bring others.

use std::collections::HashSet;

use prometheus::{
    core::{Collector, MetricVec, MetricVecBuilder},
    proto::{LabelPair, Metric},
};

use super::families::Families;
use crate::types::Name;

/// The names that a configuration has.
#[derive(Default)]
pub struct Names<'n> {
    /// Of its routes.
    pub routes: HashSet<&'n str>,
    /// Of its consumers.
    pub consumers: HashSet<&'n str>,
    /// Of its listeners.
    pub listeners: HashSet<&'n str>,
    /// Of the upstreams that its routes lead to.
    pub upstreams: HashSet<&'n str>,
    /// Each of their endpoints, behind the name of its upstream.
    pub endpoints: HashSet<(&'n str, &'n str)>,
}

impl Names<'_> {
    /// Whether a route and a consumer are there, as far as they are named at all.
    pub(super) fn have(&self, route: Option<&Name>, consumer: Option<&Name>) -> bool {
        route.is_none_or(|route| self.routes.contains(route.as_str()))
            && consumer.is_none_or(|consumer| self.consumers.contains(consumer.as_str()))
    }

    fn have_all(&self, labels: &[LabelPair]) -> bool {
        let value = |name: &str| {
            let label = labels.iter().find(|label| label.name() == name);
            label.map(LabelPair::value).filter(|value| !value.is_empty())
        };
        let knows = |name: &str, names: &HashSet<&str>| {
            value(name).is_none_or(|value| names.contains(value))
        };
        let endpoint = value("upstream").zip(value("endpoint"));
        knows("route", &self.routes)
            && knows("consumer", &self.consumers)
            && knows("listener", &self.listeners)
            && knows("upstream", &self.upstreams)
            && endpoint.is_none_or(|endpoint| self.endpoints.contains(&endpoint))
    }
}

/// Takes away what no name is left of. What is counted as open now stays until nothing is.
pub(super) fn forget(families: &Families, names: &Names<'_>) {
    let none_open = |metric: &Metric| metric.get_gauge().get_value() <= 0.0;
    let Families { requests, refusals, observed_refusals, stream_events, mcp_calls, .. } = families;
    let Families { connections, tls_handshakes, tool_changes, acme_orders, .. } = families;
    for counters in [
        requests,
        refusals,
        observed_refusals,
        stream_events,
        mcp_calls,
        connections,
        tls_handshakes,
        tool_changes,
        acme_orders,
        &families.shared_messages_dropped,
    ] {
        sweep(counters, names, |_| true);
    }
    let Families { request_duration, first_byte, stream_seconds, upstream_duration, .. } = families;
    for histograms in [request_duration, first_byte, stream_seconds, upstream_duration] {
        sweep(histograms, names, |_| true);
    }
    let Families { changed_tools, upstream_healthy, certificate_expiry, .. } = families;
    for gauges in [changed_tools, upstream_healthy, certificate_expiry] {
        sweep(gauges, names, |_| true);
    }
    sweep(&families.budget_used, names, |_| true);
    let Families { streams_open, connections_open, upstream_in_flight, shared_streams, .. } =
        families;
    for open in [streams_open, connections_open, upstream_in_flight, shared_streams] {
        sweep(open, names, none_open);
    }
}

fn sweep<B: MetricVecBuilder>(
    series: &MetricVec<B>,
    names: &Names<'_>,
    may_go: impl Fn(&Metric) -> bool,
) {
    for family in series.collect() {
        for metric in family.get_metric() {
            let labels = metric.get_label();
            if !names.have_all(labels) && may_go(metric) {
                let labels = labels.iter().map(|label| (label.name(), label.value())).collect();
                // Whoever took it away before has done the same.
                let _ = series.remove::<&str, std::hash::RandomState>(&labels);
            }
        }
    }
}
