//! Portcullis: a hardened streaming gateway for MCP traffic.
//!
//! This page is the map. A room imports from the floors below it and from itself, never up and
//! never sideways; `tests/architecture.rs` holds it to that.
//!
//! | floor | room | what it is for |
//! |---|---|---|
//! | 6 | `cli` | arguments become one subcommand; exit codes |
//! | 5 | [`gateway`], [`demo`] | the assembly: bind, run, drain; the only part that knows all others |
//! | 4 | [`host`] | pingora-core: services, signals, the sockets' hand-over |
//! | 4 | [`edge`] | a connection before it is HTTP: firewall, caps, TLS |
//! | 4 | [`proxy`] | an exchange: head, admission, forwarding, relay, record |
//! | 4 | [`admin`] | metrics and health |
//! | 4 | [`acme`] | certificates ordered from an authority |
//! | 3 | [`upstream`] | named servers: names resolved again, health, the choice of an endpoint, the pool of connections |
//! | 3 | [`config`] | text becomes a [`snapshot`], or a list of problems |
//! | 2 | [`live`] | what is under way, how it is shown and ended |
//! | 2 | [`wire`] | bytes become one canonical request and response |
//! | 2 | [`snapshot`] | the compiled configuration |
//! | 1 | [`policy`] | who may do what |
//! | 1 | [`mcp`] | the protocol as its specification writes it |
//! | 1 | [`observe`] | metrics, the access record, the log and its second net |
//! | 0 | [`types`] | words that everybody may use |

pub mod acme;
pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod edge;
pub mod gateway;
pub mod host;
pub mod live;
pub mod mcp;
pub mod observe;
pub mod policy;
pub mod proxy;
pub mod snapshot;
pub mod types;
pub mod upstream;
pub mod wire;
