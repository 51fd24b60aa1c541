//! What the operator sees: metrics, one record an exchange, the log and its second net, the audit.

mod audit;
mod line;
mod lines;
mod log;
mod metrics;
mod path;
mod record;
mod redact;
mod tools;
mod trace;

pub use audit::{AuditRotation, AuditSink, AuditedCall, Named, Noted, Operation};
pub use line::LogFormat;
pub use lines::QUEUE_BYTES;
pub use log::LogSink;
pub use metrics::{
    BudgetLabels, ConnectionGuard, ConnectionOutcome, EndpointHealth, HandshakeOutcome, InFlight,
    Metrics, Names, OrderOutcome, ReloadOutcome, SharedStreamsMeter, StreamGuard,
};
pub use path::LoggablePath;
pub use record::{Batched, Event, Outcome, Record};
pub use redact::{MASK, Redacted, Syntax, redact};
pub use tools::{KnownTools, ToolLabel};
pub use trace::{BadFilter, init_tracing, install_panic_hook, tracing_dispatch};
