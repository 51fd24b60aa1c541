use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::types::Method;

/// Where an authority looks for proofs (RFC 8555 8.3).
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Proofs for an authority that this is the host of a name (HTTP-01): redirect listeners show them.
/// Clones are one.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<HashMap<Box<str>, Arc<str>>>>);

/// A proof that is shown until it is dropped.
pub struct Shown {
    tokens: Tokens,
    token: Box<str>,
}

impl Tokens {
    /// Shows a key authorization at its token.
    pub fn show(&self, token: &str, authorization: &str) -> Shown {
        self.shown().insert(token.into(), authorization.into());
        Shown { tokens: self.clone(), token: token.into() }
    }

    /// What stands at a path, as it is written: a token has one spelling.
    pub(super) fn answer(&self, method: Method, path: &str) -> Option<Arc<str>> {
        let token = path.strip_prefix(PREFIX).filter(|_| method == Method::Get)?;
        self.shown().get(token).cloned()
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.tokens.shown().remove(&self.token);
    }
}
