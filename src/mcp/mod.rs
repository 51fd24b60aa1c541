//! The protocol as its specification writes it: JSON-RPC messages, method names and event streams.
//! No policy and no I/O.

mod arguments;
mod endpoint;
mod events;
mod heads;
mod json;
mod listing;
mod marks;
mod message;
mod method;
mod session;
mod whole_events;

pub use arguments::look_at;
pub use endpoint::{FirstEvent, Replaced, Step, replace_data};
pub use events::EventScan;
pub use heads::{Heads, Line};
pub use listing::{Element, Listed, Sifted, Unreadable, sift};
pub use marks::{Marked, Marks, Place, marks, with_instead};
pub use message::{Body, Kind, Message, RpcId, Subject, error_response, read};
pub use method::Method;
pub use session::denies_session;
pub use whole_events::{Piece, WholeEvents, event_data, message_data, sift_event};
