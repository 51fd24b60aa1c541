//! The only room that names pingora-core: it gives start order, runtimes and the table of
//! listening sockets. Accepting, TLS and HTTP are ours, and so are signals and the drain.

mod accepting;
mod descriptors;
mod memory;
mod server;
mod stop;

pub use accepting::accept_all;
pub use descriptors::raise_descriptor_limit;
pub use memory::{memory_limit, resident_memory};
pub use server::{Service, Socket, Task, run};
pub use stop::{Hangups, Stop};
