//! Tools as they were when somebody trusted them. A server that changes the description of a tool
//! speaks to the model behind the client's back ("rug pull"): the name that the rules let in is the
//! same, and what it says isn't.

mod line;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
pub use line::PinLine;

use crate::types::ToolDigest;

/// How many tools of an upstream are pinned. A server with more has its other tools treated as changed.
const MOST: usize = 1024;

/// The longest name that is pinned, in bytes: none of MCP's is longer.
const LONGEST: usize = 256;

/// `pin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinMode {
    /// A change is logged and counted.
    Observe,
    /// The tool is hidden too until somebody accepts it.
    Enforce,
}

/// The pinned tools of one upstream.
pub struct Pins {
    mode: PinMode,
    /// Whether a tool that was never seen is trusted as it is.
    first_use: bool,
    /// Replaced and never changed: a call looks at it, and lists that bring something new are few.
    tools: ArcSwap<BTreeMap<Arc<str>, Pin>>,
    changes: AtomicU64,
}

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// As somebody trusted it; `None`: nobody has.
    pub accepted: Option<ToolDigest>,
    /// As the upstream described it last; `None`: it hasn't yet.
    pub seen: Option<ToolDigest>,
}

/// What a description turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The trusted one, or the first.
    Trusted,
    /// Another one, which was seen before.
    Changed,
    /// Another one, and it is news.
    News(Option<ToolDigest>),
}

/// There is no such tool that waits to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingToAccept;

impl Pin {
    /// Whether it is as it was trusted.
    pub fn is_trusted(self) -> bool {
        self.accepted.is_some() && self.seen.is_none_or(|seen| self.accepted == Some(seen))
    }
}

impl Pins {
    /// No tool is known yet, and each is trusted as it is seen first.
    pub fn on_first_use(mode: PinMode) -> Self {
        Self { mode, first_use: true, tools: ArcSwap::default(), changes: AtomicU64::new(0) }
    }

    /// These tools are trusted and no other.
    pub fn of(mode: PinMode, trusted: impl IntoIterator<Item = (Arc<str>, ToolDigest)>) -> Self {
        let pin = |accepted| Pin { accepted: Some(accepted), seen: None };
        let tools = trusted.into_iter().map(|(name, digest)| (name, pin(digest))).collect();
        Self { first_use: false, tools: ArcSwap::from_pointee(tools), ..Self::on_first_use(mode) }
    }

    /// Whether a change hides a tool.
    pub fn are_enforced(&self) -> bool {
        self.mode == PinMode::Enforce
    }

    /// Whether a tool that was never seen is trusted as it is.
    pub const fn begin_on_first_use(&self) -> bool {
        self.first_use
    }

    /// Whether a tool may be called and listed, as far as it is known.
    pub fn let_in(&self, name: &str) -> bool {
        let known = || self.tools.load().get(name).copied();
        let trusts_new = || self.first_use && has_room(&self.tools.load(), name);
        !self.are_enforced() || known().map_or_else(trusts_new, Pin::is_trusted)
    }

    /// Whether a tool may be listed that is described so: by this very description, whatever another list
    /// has said before it or says meanwhile.
    pub fn let_in_as(&self, name: &str, text: &str) -> bool {
        if !self.are_enforced() {
            return true;
        }
        let tools = self.tools.load();
        match tools.get(name) {
            Some(pin) => pin.accepted == Some(ToolDigest::of(text)),
            None => self.first_use && has_room(&tools, name),
        }
    }

    /// Notes how the upstream describes a tool now.
    pub fn see(&self, name: &str, digest: ToolDigest) -> Sighting {
        if let Some(pin) = self.tools.load().get(name)
            && pin.seen == Some(digest)
        {
            return if pin.is_trusted() { Sighting::Trusted } else { Sighting::Changed };
        }
        let mut sighting = Sighting::Changed;
        self.change(|tools| {
            let pin = tools.get(name).copied();
            if pin.is_none() && !has_room(tools, name) {
                sighting = Sighting::News(None);
                return false;
            }
            let accepted = match pin {
                Some(pin) => pin.accepted,
                None => self.first_use.then_some(digest),
            };
            let seen = Pin { accepted, seen: Some(digest) };
            let trusted = seen.is_trusted();
            sighting = if trusted { Sighting::Trusted } else { Sighting::News(accepted) };
            tools.insert(name.into(), seen) != Some(seen)
        });
        sighting
    }

    /// Trusts a tool as it is described now, if that is still what was looked at.
    ///
    /// # Errors
    /// Where it isn't known, is trusted already, or has changed once more.
    pub fn accept(&self, name: &str, seen: ToolDigest) -> Result<(), NothingToAccept> {
        let mut accepted = Err(NothingToAccept);
        self.change(|tools| {
            let waits = |pin: &&mut Pin| !pin.is_trusted() && pin.seen == Some(seen);
            let Some(pin) = tools.get_mut(name).filter(waits) else {
                accepted = Err(NothingToAccept);
                return false;
            };
            pin.accepted = pin.seen;
            accepted = Ok(());
            true
        });
        accepted
    }

    /// Puts back what was kept of a tool. `false` where there is no room.
    pub fn restore(&self, name: &str, kept: Pin) -> bool {
        let mut restored = false;
        self.change(|tools| {
            restored = tools.contains_key(name) || has_room(tools, name);
            restored && tools.insert(name.into(), kept) != Some(kept)
        });
        restored
    }

    /// Every known tool, by name.
    pub fn list(&self) -> Vec<(Arc<str>, Pin)> {
        self.tools.load().iter().map(|(name, pin)| (Arc::clone(name), *pin)).collect()
    }

    /// How many are not as they were trusted.
    pub fn changed(&self) -> usize {
        self.tools.load().values().filter(|pin| !pin.is_trusted()).count()
    }

    /// Counts up with each change, for whoever keeps them.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// `edit` says whether it has changed something; it may be asked again where two change at once.
    fn change(&self, mut edit: impl FnMut(&mut BTreeMap<Arc<str>, Pin>) -> bool) {
        let mut changed = false;
        self.tools.rcu(|tools| {
            let mut edited = BTreeMap::clone(tools);
            changed = edit(&mut edited);
            if changed { Arc::new(edited) } else { Arc::clone(tools) }
        });
        if changed {
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Whether one more can be kept: there is room, and its name can stand on a terminal.
fn has_room(tools: &BTreeMap<Arc<str>, Pin>, name: &str) -> bool {
    let is_plain = !name.chars().any(char::is_control);
    tools.len() < MOST && (1..=LONGEST).contains(&name.len()) && is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> ToolDigest {
        ToolDigest::of(text)
    }

    #[test]
    fn a_tool_is_trusted_as_it_is_seen_first_and_hidden_while_it_is_another() {
        let pins = Pins::on_first_use(PinMode::Enforce);
        assert!(pins.let_in("a"), "nobody has described it yet");
        assert_eq!(pins.see("a", digest("1")), Sighting::Trusted);
        assert_eq!(pins.see("a", digest("2")), Sighting::News(Some(digest("1"))));
        assert_eq!(pins.see("a", digest("2")), Sighting::Changed);
        assert!(!pins.let_in("a") && pins.let_in("b"));
        assert_eq!(pins.changed(), 1);
        assert_eq!(pins.see("a", digest("1")), Sighting::Trusted, "it was taken back");
        assert!(pins.let_in("a"));
    }

    #[test]
    fn what_is_accepted_is_trusted_from_then_on() {
        let pins = Pins::on_first_use(PinMode::Enforce);
        pins.see("a", digest("1"));
        assert_eq!(pins.accept("a", digest("1")), Err(NothingToAccept));
        assert_eq!(pins.accept("b", digest("1")), Err(NothingToAccept));
        pins.see("a", digest("2"));
        assert_eq!(pins.accept("a", digest("3")), Err(NothingToAccept), "not what is there");
        assert_eq!(pins.accept("a", digest("2")), Ok(()));
        assert!(pins.let_in("a"));
        assert_eq!(pins.see("a", digest("1")), Sighting::News(Some(digest("2"))));
    }

    #[test]
    fn observed_a_change_hides_nothing() {
        let pins = Pins::on_first_use(PinMode::Observe);
        pins.see("a", digest("1"));
        assert_eq!(pins.see("a", digest("2")), Sighting::News(Some(digest("1"))));
        assert!(pins.let_in("a"));
    }

    #[test]
    fn of_a_list_that_somebody_wrote_no_other_tool_is_trusted() {
        let pins = Pins::of(PinMode::Enforce, [("a".into(), digest("1"))]);
        assert!(pins.let_in("a") && !pins.let_in("b"));
        assert_eq!(pins.see("b", digest("1")), Sighting::News(None));
        assert!(!pins.let_in("b"));
        assert_eq!(pins.see("a", digest("2")), Sighting::News(Some(digest("1"))));
        assert_eq!((pins.accept("b", digest("1")), pins.changed()), (Ok(()), 1));
    }

    #[test]
    fn a_list_of_made_up_tools_has_an_end() {
        let pins = Pins::on_first_use(PinMode::Enforce);
        for number in 0..MOST {
            assert_eq!(pins.see(&number.to_string(), digest("1")), Sighting::Trusted);
        }
        assert_eq!(pins.see("one more", digest("1")), Sighting::News(None));
        assert_eq!(pins.list().len(), MOST);
        assert!(!pins.let_in("one more") && pins.let_in("7"));
        assert_eq!(
            Pins::on_first_use(PinMode::Enforce).see("a\nb", digest("1")),
            Sighting::News(None)
        );
    }

    #[test]
    fn nothing_new_is_no_change() {
        let pins = Pins::on_first_use(PinMode::Observe);
        pins.see("a", digest("1"));
        let changes = pins.changes();
        pins.see("a", digest("1"));
        assert_eq!(pins.changes(), changes);
        let kept = pins.list();
        let again = Pins::on_first_use(PinMode::Observe);
        assert!(kept.iter().all(|(name, pin)| again.restore(name, *pin)));
        assert_eq!(again.list(), kept);
    }
}
