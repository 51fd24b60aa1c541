//! The tools that are counted by their names. A label has to be one of few, and no client's text: the
//! names that rules write out, and those that an upstream lists as its own.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

use super::redact::{Syntax, redact};

/// The longest name that is a label, in bytes.
const MAX_BYTES: usize = 128;

/// The label `tool`. [`KnownTools`] alone gives names out, so none can be made of a client's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToolLabel(Shown);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shown {
    Nothing,
    Other,
    /// A reference to what the set holds: a call counted costs no allocation.
    Named(Arc<str>),
}

impl ToolLabel {
    /// No tool is called.
    pub const NONE: Self = Self(Shown::Nothing);

    /// A tool that isn't known.
    pub const OTHER: Self = Self(Shown::Other);

    /// The label's value.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Shown::Nothing => "",
            Shown::Other => "other",
            Shown::Named(name) => name,
        }
    }
}

/// The tools of one upstream that are known by name.
///
/// Every worker asks the same set, which is never changed but replaced, and only by a list that brings
/// something new. A name never leaves while the process lives: its counter would begin again at 0.
#[derive(Default)]
pub struct KnownTools(ArcSwap<Names>);

#[derive(Clone, Default)]
struct Names {
    all: HashSet<Arc<str>, RandomState>,
    /// How many of them the upstream brought.
    learned: usize,
}

impl KnownTools {
    /// How many names an upstream can bring. Those that come later count as `other`: which tools a
    /// server has may be for its tenants to say, and each is a series for every route and consumer.
    pub const MAX_LEARNED: usize = 128;

    /// Adds names that the configuration writes out, which bounds them.
    pub fn configure<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let names: Vec<&str> = names.filter(|name| is_plain(name)).collect();
        self.0.rcu(|known| {
            let mut known = Names::clone(known);
            known.all.extend(names.iter().map(|name| Arc::from(*name)));
            known
        });
    }

    /// The label of a tool that a client calls so.
    pub fn label(&self, name: &str) -> ToolLabel {
        let known = self.0.load().all.get(name).map(Arc::clone);
        ToolLabel(known.map_or(Shown::Other, Shown::Named))
    }

    /// Whether a name that an upstream lists is new, there is room for it, and it can be a label.
    pub fn lacks(&self, name: &str) -> bool {
        self.0.load().lacks(name) && can_be_learned(name)
    }

    /// Adds names that an upstream lists, as far as they are lacking. Writes nothing where none is.
    pub fn learn(&self, names: &[Box<str>]) {
        if !names.iter().any(|name| self.lacks(name)) {
            return;
        }
        self.0.rcu(|known| {
            let mut known = Names::clone(known);
            for name in names.iter().filter(|name| can_be_learned(name)) {
                if known.lacks(name) {
                    known.all.insert(Arc::from(&**name));
                    known.learned += 1;
                }
            }
            known
        });
    }
}

impl Names {
    fn lacks(&self, name: &str) -> bool {
        self.learned < KnownTools::MAX_LEARNED && !self.all.contains(name)
    }
}

/// What is said of tools elsewhere is cut to the same.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/');
    (1..=MAX_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

/// What the second net would mask in a line of the log is no label either.
fn can_be_learned(name: &str) -> bool {
    is_plain(name) && redact(name.as_bytes(), Syntax::Text, |_| false).masked == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learned(known: &KnownTools, names: &[&str]) -> Vec<bool> {
        let listed: Vec<Box<str>> = names.iter().map(|name| Box::from(*name)).collect();
        known.learn(&listed);
        names.iter().map(|name| known.label(name) != ToolLabel::OTHER).collect()
    }

    #[test]
    fn a_name_is_known_once_it_was_configured_or_listed_and_never_leaves() {
        let known = KnownTools::default();
        known.configure(["postsList", "two words", "caf\u{e9}"].into_iter());
        assert_eq!(known.label("postsList").as_str(), "postsList");
        assert_eq!(learned(&known, &["integrationList", "a/b.c-d_E"]), [true, true]);
        assert_eq!(learned(&known, &["ask_postiz"]), [true]);
        for name in ["postsList", "integrationList", "a/b.c-d_E", "ask_postiz"] {
            assert_eq!(known.label(name).as_str(), name);
        }
        for name in ["", "postslist", "two words", "caf\u{e9}"] {
            assert_eq!(known.label(name), ToolLabel::OTHER, "{name}");
        }
        assert_eq!((ToolLabel::NONE.as_str(), ToolLabel::OTHER.as_str()), ("", "other"));
    }

    #[test]
    fn what_could_not_stand_in_a_log_line_is_no_label() {
        let (longest, too_long) = ("n".repeat(128), "n".repeat(129));
        let known = KnownTools::default();
        assert_eq!(learned(&known, &[&longest]), [true]);
        for other in [
            "",
            &too_long,
            "a\"b",
            "a\\b",
            "a\nb",
            "a b",
            "a{b",
            "\u{e9}",
            "ptc_0123456789abcdef",
            "by_0123456789abcdef0123456789abcdef",
            "mcp/hunter2",
        ] {
            assert_eq!(learned(&known, &[other]), [false], "{other}");
        }
    }

    #[test]
    fn the_first_128_that_are_listed_are_learned_beside_what_is_configured() {
        let known = KnownTools::default();
        known.configure(["configured", "t5"].into_iter());
        let names: Vec<String> = (0..200).map(|n| format!("t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = learned(&known, &names);
        // One of them was known already and takes no room.
        assert!(found[..129].iter().all(|known| *known) && !found[129..].contains(&true));
        assert!(!known.lacks("more"));
        known.configure(["more"].into_iter());
        assert_eq!(known.label("more").as_str(), "more");
    }

    #[test]
    fn a_list_that_brings_nothing_new_writes_nothing() {
        let known = KnownTools::default();
        learned(&known, &["a", "b"]);
        let before = known.0.load_full();
        learned(&known, &["b", "a", "two words"]);
        assert!(Arc::ptr_eq(&before, &known.0.load()));
        learned(&known, &["b", "c"]);
        assert!(!Arc::ptr_eq(&before, &known.0.load()));
    }

    #[test]
    fn workers_that_learn_at_once_lose_nothing() {
        let known = KnownTools::default();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let known = &known;
                scope.spawn(move || {
                    for n in 0..16 {
                        known.learn(&[format!("w{worker}-{n}").into()]);
                    }
                });
            }
        });
        let names = (0..4).flat_map(|worker| (0..16).map(move |n| format!("w{worker}-{n}")));
        assert!(names.into_iter().all(|name| known.label(&name) != ToolLabel::OTHER));
        assert_eq!(known.0.load().learned, 64);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_listed_the_labels_are_few_and_plain(
            lists in prop::collection::vec(prop::collection::vec(".{0,6}|[a-z/.]{1,140}", 0..60), 0..6),
        ) {
            let known = KnownTools::default();
            for list in &lists {
                let list: Vec<Box<str>> = list.iter().map(|name| Box::from(&**name)).collect();
                known.learn(&list);
            }
            let names = known.0.load();
            prop_assert!(names.all.len() <= KnownTools::MAX_LEARNED);
            prop_assert_eq!(names.all.len(), names.learned);
            prop_assert!(names.all.iter().all(|name| is_plain(name)));
        }
    }
}
