//! Ordering certificates from an authority (ACME, RFC 8555): an account, one order, and the proofs that
//! it wants. When to order, and where what comes of it is kept, is not known here.

mod account;
mod backoff;
mod caller;
mod failure;
mod order;

pub use account::{Account, account};
pub use backoff::{chance, renewal, wait};
pub use failure::Failure;
pub use order::{Issued, Proof, Way, order};
