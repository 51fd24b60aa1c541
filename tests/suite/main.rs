//! Scenarios: each boots the same assembly as `main`, holds both ends of it, and proves one rule
//! through the whole of it. The files stand in the order in which to read them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a failure may panic"
)]

mod harness;
mod noon;

mod smoke;

mod http2;
mod routing;
mod rules;
mod strict;

mod denials;

mod addresses;
mod admin_socket;
mod bans;
mod budgets;
mod caps;
mod credentials;
mod holding;
mod limits;
mod observing;
mod proxies_before;
mod proxy_protocol;
mod shedding;

mod audit;
mod browsers;
mod dialects;
mod endpoints;
mod forwarding;
mod legacy;
mod oauth;
mod sessions;
mod shared;
mod streaming;
mod upstream_auth;
mod upstream_tls;
mod upstreams;

mod acme;
mod certificates;
mod client_certificates;
mod drain;
mod ending;
mod metrics;
mod panics;
mod process;
mod records;
mod timeouts;
mod tls;
mod web;
