use bytes::Bytes;

use super::memory::Held;
use crate::{
    policy::{Lease, Principal},
    types::Credential,
};

/// Proof that the page was read to its end. Only `admit` makes one, and `forward` asks for it.
pub(super) struct Permit(());

impl Permit {
    /// Made at the last line of the page, nowhere else.
    pub(super) const fn granted() -> Self {
        Self(())
    }
}

/// An exchange that may go upstream.
pub(super) struct Admission {
    /// The proof.
    pub(super) permit: Permit,
    /// The key that was presented.
    pub(super) credential: Credential,
    /// Who that is.
    pub(super) principal: Principal,
    /// The body, whole; empty where the method has none.
    pub(super) body: Held<Bytes>,
    /// The slot of the stream that will open, where one will.
    pub(super) lease: Option<Lease>,
}
