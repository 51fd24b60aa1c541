//! What is under way: each exchange that was admitted, from then to its end. Here it can be looked
//! at, and ended from outside: by an operator, and by a change that would no longer let it in.
//!
//! Nothing here knows what lets anybody in, or how a client is told that it was ended; `proxy` does.

mod ending;
mod lately;
mod life;
mod living;
mod which;

pub use life::{Asked, Kind, Life, Now, Whose};
pub use living::{Alive, Living};
pub use which::Which;
