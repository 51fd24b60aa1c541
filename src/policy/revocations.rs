use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::types::{KeyMark, Name};

/// The most consumers that are revoked at once. Whoever has more of them takes them out of the file.
const MOST: usize = 10_000;

/// The keys that a revocation is of, at most: a consumer has two, and may have been given new ones.
const KEYS: usize = 16;

/// Keys that an operator has revoked. What is held against a key counts whatever the configuration
/// says of it, until it says itself that the key is none.
pub struct Revocations {
    by_name: Mutex<BTreeMap<Name, Revocation>>,
    marks: ArcSwap<HashSet<KeyMark>>,
    /// There is one: most never have any, and then a request pays nothing.
    any: AtomicBool,
    changes: watch::Sender<u64>,
    /// How many of the changes are in the file.
    kept: watch::Sender<u64>,
}

/// Whose keys are revoked, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The consumer, as it was called.
    pub name: Name,
    /// Since when.
    pub since: Timestamp,
    /// Its keys.
    pub keys: Vec<KeyMark>,
}

/// There is no room for another.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyRevocations;

impl Default for Revocations {
    fn default() -> Self {
        let (changes, kept) = (watch::Sender::new(0), watch::Sender::new(0));
        let (by_name, marks) = (Mutex::default(), ArcSwap::default());
        Self { by_name, marks, any: AtomicBool::new(false), changes, kept }
    }
}

impl Revocations {
    /// Whether a key is revoked. Its mark is asked for only where some key is.
    pub fn has(&self, mark: impl FnOnce() -> KeyMark) -> bool {
        self.any.load(Ordering::Acquire) && self.marks.load().contains(&mark())
    }

    /// Revokes the keys of a consumer, beside those that it had before. Which change that is.
    ///
    /// # Errors
    /// Where 10,000 consumers are revoked already.
    pub fn add(&self, revoked: Revocation) -> Result<u64, TooManyRevocations> {
        let mut by_name = self.by_name();
        let Revocation { name, since, keys } = revoked;
        let has_room = by_name.len() < MOST || by_name.contains_key(&name);
        if !has_room {
            return Err(TooManyRevocations);
        }
        let fresh = || Revocation { name: name.clone(), since, keys: Vec::new() };
        let before = by_name.entry(name.clone()).or_insert_with(fresh);
        for key in keys {
            if !before.keys.contains(&key) {
                before.keys.push(key);
            }
        }
        let surplus = before.keys.len().saturating_sub(KEYS);
        before.keys.drain(..surplus);
        Ok(self.changed(&by_name))
    }

    /// Lets the keys of a consumer count again. Which change that is; nothing, where none is revoked.
    pub fn lift(&self, name: &str) -> Option<u64> {
        let mut by_name = self.by_name();
        let before = by_name.len();
        by_name.retain(|revoked, _| revoked.as_str() != name);
        (by_name.len() < before).then(|| self.changed(&by_name))
    }

    /// Lets go of keys that the configuration itself has no use for. Whose they were.
    pub fn keep_only(&self, needed: impl Fn(&KeyMark) -> bool) -> Vec<Name> {
        let mut by_name = self.by_name();
        let before: usize = by_name.values().map(|revoked| revoked.keys.len()).sum();
        by_name.values_mut().for_each(|revoked| revoked.keys.retain(&needed));
        let is_over =
            |(name, revoked): (&Name, &Revocation)| revoked.keys.is_empty().then(|| name.clone());
        let over: Vec<Name> = by_name.iter().filter_map(is_over).collect();
        by_name.retain(|_, revoked| !revoked.keys.is_empty());
        let after: usize = by_name.values().map(|revoked| revoked.keys.len()).sum();
        if after != before {
            self.changed(&by_name);
        }
        over
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Revocation> {
        self.by_name().values().cloned().collect()
    }

    /// The changes so far, and those to come.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// So many changes are in the file.
    pub fn are_kept(&self, changes: u64) {
        self.kept.send_replace(changes);
    }

    /// How many changes are in the file, and those to come.
    pub fn kept(&self) -> watch::Receiver<u64> {
        self.kept.subscribe()
    }

    fn changed(&self, by_name: &BTreeMap<Name, Revocation>) -> u64 {
        let marks: HashSet<KeyMark> =
            by_name.values().flat_map(|revoked| revoked.keys.iter().copied()).collect();
        let any = !marks.is_empty();
        self.marks.store(Arc::new(marks));
        self.any.store(any, Ordering::Release);
        self.changes.send_modify(|changes| *changes += 1);
        *self.changes.borrow()
    }

    fn by_name(&self) -> MutexGuard<'_, BTreeMap<Name, Revocation>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line of the file: the name, since when, and the marks of its keys.
pub fn write_revocation(out: &mut String, Revocation { name, since, keys }: &Revocation) {
    let _ = write!(out, "{} {since:.0}", name.as_str());
    for key in keys {
        out.push(' ');
        out.push_str(&key.to_hex());
    }
    out.push('\n');
}

/// Reads a line; `None` where it is none.
pub fn read_revocation(line: &str) -> Option<Revocation> {
    let mut words = line.split(' ');
    let (name, since) = (Name::parse(words.next()?)?, words.next()?.parse().ok()?);
    let keys: Option<Vec<KeyMark>> = words.map(KeyMark::parse_hex).collect();
    let keys = keys.filter(|keys| (1..=KEYS).contains(&keys.len()))?;
    Some(Revocation { name, since, keys })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{FingerprintKey, Secret};

    fn mark(key: &str) -> KeyMark {
        FingerprintKey::new(b"salt").mark(&Secret::new(key.to_owned()).digest())
    }

    fn revocation(name: &str, keys: &[&str]) -> Revocation {
        let keys = keys.iter().map(|key| mark(key)).collect();
        Revocation { name: Name::parse(name).unwrap(), since: Timestamp::UNIX_EPOCH, keys }
    }

    #[test]
    fn a_key_is_revoked_until_that_is_lifted_and_a_new_one_of_its_consumer_is_not() {
        let revocations = Revocations::default();
        let has = |key: &str| revocations.has(|| mark(key));
        assert!(!has("old"));
        revocations.add(revocation("c", &["old"])).unwrap();
        assert!(has("old") && !has("new"));
        revocations.add(revocation("c", &["new"])).unwrap();
        assert!(has("old") && has("new"), "the older one stays");
        assert_eq!(revocations.list().len(), 1);
        assert_eq!(revocations.lift("d"), None);
        assert!(revocations.lift("c").is_some());
        assert!(!has("old") && !has("new"));
    }

    #[test]
    fn what_the_configuration_refuses_itself_is_let_go_of() {
        let revocations = Revocations::default();
        revocations.add(revocation("a", &["1", "2"])).unwrap();
        let added = revocations.add(revocation("b", &["3"])).unwrap();
        let over = revocations.keep_only(|key| *key == mark("2"));
        assert_eq!(over, [Name::parse("b").unwrap()]);
        assert!(revocations.has(|| mark("2")) && !revocations.has(|| mark("1")));
        assert_eq!(*revocations.changes().borrow(), added + 1);
        assert!(revocations.keep_only(|_| true).is_empty());
        assert_eq!(*revocations.changes().borrow(), added + 1, "nothing has changed");
    }

    #[test]
    fn a_line_is_read_as_it_was_written_and_nothing_else_is_a_line() {
        let revoked = revocation("claude-desktop", &["1", "2"]);
        let mut line = String::new();
        write_revocation(&mut line, &revoked);
        assert_eq!(read_revocation(line.trim_end()), Some(revoked));
        for bad in ["", "c", "c 1970-01-01T00:00:00Z", "c soon 00", "c 1970-01-01T00:00:00Z 00"] {
            assert_eq!(read_revocation(bad), None, "{bad}");
        }
    }
}
