//! What may be there once, and names that have to be.

use std::{collections::HashMap, hash::Hash};

use super::{Span, mask::shown, reading::Reading, table::nearest};
use crate::types::Name;

/// Things that may be there once, and where each was first seen.
pub(super) struct Once<K> {
    seen: HashMap<K, Span>,
    label: &'static str,
}

impl<K: Eq + Hash> Once<K> {
    pub(super) fn new(label: &'static str) -> Self {
        Self { seen: HashMap::new(), label }
    }

    /// Reports `message` where the thing has been there before.
    pub(super) fn note(&mut self, key: K, at: &Span, message: &str, reading: &mut Reading<'_>) {
        if let Some(first) = self.seen.get(&key) {
            let place = reading.place(first);
            reading.error(at, message).related(place, self.label);
        } else {
            self.seen.insert(key, at.clone());
        }
    }
}

/// Reports a name that nothing has.
pub(super) fn unknown_name<'n>(
    kind: &str,
    (name, at): (&Name, &Span),
    defined: impl Iterator<Item = &'n Name>,
    reading: &mut Reading<'_>,
) {
    let defined: Vec<&str> = defined.map(Name::as_str).collect();
    let hint = match nearest(name.as_str(), defined.iter().copied()) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None if defined.is_empty() => format!("the file defines no {kind}"),
        None => format!("there is: {}", defined.join(", ")),
    };
    let message = format!("there is no {kind} {}", shown(name.as_str()));
    reading.error(at, message).hint(hint);
}
