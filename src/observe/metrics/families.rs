//! Every metric there is, on one page.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

/// Declares the metrics: the documentation of a field is the help text of the metric.
macro_rules! families {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ident = $name:literal $labels:tt $($buckets:ident)?;)+) => {
        pub(super) struct Families {
            $($(#[doc = $help])+ pub(super) $field: $kind,)+
        }

        impl Families {
            /// Makes every metric and registers it. Names and labels are constants, so what may
            /// be wrong with them the first test finds.
            pub(super) fn register(registry: &Registry) -> Self {
                $(
                    let help = concat!($($help),+).trim_start();
                    let opts = families!(@opts $kind, concat!("portcullis_", $name), help $(, $buckets)?);
                    let labels: &[&str] = &$labels;
                    let $field = $kind::new(opts, labels).expect("a valid metric");
                    registry.register(Box::new($field.clone())).expect("a name of its own");
                )+
                Self { $($field),+ }
            }
        }
    };
    (@opts HistogramVec, $name:expr, $help:expr, $buckets:ident) => {
        HistogramOpts::new($name, $help).buckets($buckets.to_vec())
    };
    (@opts $kind:ident, $name:expr, $help:expr) => {
        Opts::new($name, $help)
    };
}

/// From a refusal (tens of microseconds) to a tool that asks a model (minutes); two and a half
/// steps a decade tell a slow upstream from a slow gateway.
const EXCHANGE: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0, 300.0];

/// A stream lives from a moment to days; the steps are the idle limits that middle boxes have.
const STREAM: [f64; 9] = [1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0];

families! {
    /// Exchanges that have ended, by the status that the client was sent.
    requests: IntCounterVec = "requests_total" ["route", "consumer", "method", "status"];
    /// Seconds from the end of a request's head to the end of its exchange, streams included.
    request_duration: HistogramVec = "request_duration_seconds" ["route", "consumer"] EXCHANGE;
    /// Seconds from the end of a request's head to the head of its answer.
    first_byte: HistogramVec = "first_byte_seconds" ["route"] EXCHANGE;
    /// Exchanges that were refused or failed, by the reason that the client was told.
    refusals: IntCounterVec = "refusals_total" ["route", "reason"];
    /// What lists in observe mode would have refused; connections have no route.
    observed_refusals: IntCounterVec = "observed_refusals_total" ["route", "reason"];
    /// Bans that began, by the cause.
    bans: IntCounterVec = "bans_total" ["cause"];
    /// Addresses and nets that are banned now.
    banned: IntGaugeVec = "banned_addresses" [];
    /// How much of a budget is used today, 1 for all; of keys that no consumer has, by the one that used most.
    budget_used: GaugeVec = "budget_used_ratio" ["route", "consumer", "budget"];
    /// Event streams open now.
    streams_open: IntGaugeVec = "streams_open" ["route", "consumer"];
    /// Seconds that event streams were open.
    stream_seconds: HistogramVec = "stream_seconds" ["route"] STREAM;
    /// Events relayed to clients.
    stream_events: IntCounterVec = "stream_events_total" ["route"];
    /// MCP messages that ended, by how; a tool counts by name if the upstream lists it or the configuration names it.
    mcp_calls: IntCounterVec = "mcp_calls_total" ["route", "consumer", "method", "tool", "outcome"];
    /// Seconds that MCP messages took.
    mcp_call_duration: HistogramVec = "mcp_call_duration_seconds" ["method", "tool"] EXCHANGE;
    /// Client connections open now.
    connections_open: IntGaugeVec = "connections_open" ["listener"];
    /// Client connections accepted, or refused and by which cap or rule.
    connections: IntCounterVec = "connections_total" ["listener", "outcome"];
    /// How often each cap of the configuration was reached.
    limits_reached: IntCounterVec = "limits_reached_total" ["limit"];
    /// Errors of HTTP/2 that clients were told of, by their code: floods, malformed fields, requests too many.
    http2_errors: IntCounterVec = "http2_errors_total" ["code"];
    /// TLS handshakes, by how they ended.
    tls_handshakes: IntCounterVec = "tls_handshakes_total" ["listener", "outcome"];
    /// Tools whose description turned out to be another than the pinned one.
    tool_changes: IntCounterVec = "tool_changes_total" ["upstream"];
    /// Tools that are described now in another way than they were trusted in.
    changed_tools: IntGaugeVec = "changed_tools" ["upstream"];
    /// Whether requests go to an endpoint, 1 or 0; there where there are several or `health` is asked for.
    upstream_healthy: IntGaugeVec = "upstream_healthy" ["upstream", "endpoint"];
    /// Requests under way to an upstream now, streams and tunnels included.
    upstream_in_flight: IntGaugeVec = "upstream_requests_in_flight" ["upstream"];
    /// Streams of an upstream that clients of one key share, open now.
    shared_streams: IntGaugeVec = "shared_streams_open" ["upstream"];
    /// Messages on shared streams that went to nobody: of another gateway's client, or of one that has left.
    shared_messages_dropped: IntCounterVec = "shared_messages_dropped_total" ["upstream"];
    /// Writes of a file of the state directory that failed; each is tried again.
    state_write_failures: IntCounterVec = "state_write_failures_total" ["file"];
    /// When a certificate ends, in seconds since 1970.
    certificate_expiry: IntGaugeVec = "certificate_expiry_timestamp_seconds" ["listener", "name"];
    /// Orders of certificates that have ended, by how.
    acme_orders: IntCounterVec = "acme_orders_total" ["listener", "outcome"];
    /// Seconds from a request sent upstream to the head of the answer.
    upstream_duration: HistogramVec = "upstream_request_duration_seconds" ["upstream"] EXCHANGE;
    /// When the configuration in force was loaded, in seconds since 1970.
    config_loaded: IntGaugeVec = "config_last_reload_success_timestamp_seconds" [];
    /// Configurations that were read again, by what became of them: those refused changed nothing.
    config_reloads: IntCounterVec = "config_reloads_total" ["outcome"];
    /// Processes of this gateway: the one that serves, and older ones that let their streams end.
    processes: IntGaugeVec = "family_processes" [];
    /// Always 1; its label is the version that runs.
    build: IntGaugeVec = "build_info" ["version"];
}
