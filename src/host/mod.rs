//! The only room that names pingora-core: it gives start order and runtimes. Accepting, TLS and HTTP are
//! ours, and so are signals, the drain and the hand-over of listening sockets.

mod accepting;
mod descriptors;
mod line;
mod memory;
mod notify;
mod server;
mod stop;
mod successor;

pub use accepting::accept_all;
pub use descriptors::raise_descriptor_limit;
pub use line::{Heard, Line, is_listening};
pub use memory::{memory_limit, resident_memory};
pub use notify::{Notice, notify};
pub use server::{Service, Socket, Task, run};
pub use stop::{Ending, Hangups, Stop};
pub use successor::start_orphan;
