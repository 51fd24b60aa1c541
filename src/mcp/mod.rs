//! The protocol as its specification writes it: JSON-RPC messages, method names and event streams.
//! No policy and no I/O.

mod endpoint;
mod events;
mod message;
mod method;

pub use endpoint::{FirstEvent, Replaced, Step, replace_data};
pub use events::EventScan;
pub use message::{Body, Kind, Message, RpcId, error_response, read};
pub use method::Method;
