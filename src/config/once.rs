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
        Some(name) => format!("did you mean {}?", shown(name)),
        None if defined.is_empty() => format!("the file defines no {kind}"),
        None => {
            // Somebody's key may stand as a name, and a hint shows all there are.
            let names: Vec<String> = defined.into_iter().map(shown).collect();
            format!("there is: {}", names.join(", ").replace('"', ""))
        }
    };
    let message = format!("there is no {kind} {}", shown(name.as_str()));
    reading.error(at, message).hint(hint);
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::SystemTime};

    use crate::config::{Surroundings, compile_text, render};

    #[test]
    fn a_key_that_stands_as_a_name_is_in_no_hint() {
        for asked in ["postiz", "c4n4ryc4n4rycanary2"] {
            let text = format!(
                "upstreams.c4n4ryc4n4rycanary1 = {{ endpoints = [\"http://127.0.0.1:3000\"] }}\n\
                 routes = [{{ name = \"mcp\", paths = [\"/mcp/{{key}}\"], upstream = \"{asked}\" }}]\n"
            );
            let around = Surroundings {
                base_dir: Path::new(""),
                environment: &|_| None,
                now: SystemTime::UNIX_EPOCH,
            };
            let loaded = compile_text(&text, around);
            let said = render(&loaded.problems, &text, "test", false);
            assert!(said.contains("there is no upstream") && !said.contains("canary"), "{said}");
        }
    }
}
