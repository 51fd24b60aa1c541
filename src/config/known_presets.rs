//! The presets that were compiled so far, for whoever reads on: a thousand consumers may use one.

use std::sync::Arc;

use crate::policy::Rules;

/// What presets were compiled to, by name and for which channels.
#[derive(Default)]
pub(super) struct KnownPresets(Vec<(&'static str, Vec<String>, Arc<Rules>)>);

impl KnownPresets {
    pub(super) fn find(&self, name: &str, channels: &[String]) -> Option<Arc<Rules>> {
        let mut all = self.0.iter();
        let known = all.find(|(known, of, _)| *known == name && of == channels);
        known.map(|(.., rules)| Arc::clone(rules))
    }

    pub(super) fn add(&mut self, name: &'static str, channels: &[String], rules: &Arc<Rules>) {
        self.0.push((name, channels.to_owned(), Arc::clone(rules)));
    }
}
