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

/// The most consumers that are revoked at once.
const MOST: usize = 10_000;

/// The most keys of all of them: a consumer has two, and may have been given new ones. No bound of its
/// own for each, or who gets a new key often enough would have an old one count again.
const MOST_KEYS: usize = 16 * MOST;

/// Keys that an operator has revoked. What is held against a key counts whatever a configuration says
/// of it, and also while one says nothing: only an operator lifts it. A file that lacks a consumer for
/// a moment, and the next that has it again, would let in who was revoked.
pub struct Revocations {
    by_name: Mutex<BTreeMap<Name, Revocation>>,
    marks: ArcSwap<HashSet<KeyMark>>,
    /// There is one: most never have any, and then a request pays nothing.
    any: AtomicBool,
    /// Another process may be about to keep them: what changed here now would be lost. Changed under the
    /// lock of `by_name`.
    is_sealed: AtomicBool,
    /// It does.
    is_handed_over: AtomicBool,
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

/// Why nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// There is no room for another, and room is never made: whoever it was taken from would be let in.
    Full,
    /// Another process is taking over, and has been told already who is revoked.
    Sealed,
}

impl Default for Revocations {
    fn default() -> Self {
        let (changes, kept) = (watch::Sender::new(0), watch::Sender::new(0));
        let (by_name, marks) = (Mutex::default(), ArcSwap::default());
        let (any, is_sealed) = (AtomicBool::new(false), AtomicBool::new(false));
        let is_handed_over = AtomicBool::new(false);
        Self { by_name, marks, any, is_sealed, is_handed_over, changes, kept }
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
    /// Where 10,000 consumers or 160,000 keys are revoked already, or they are sealed. Then nothing has
    /// changed.
    pub fn add(&self, revoked: Revocation) -> Result<u64, Unchanged> {
        let mut by_name = self.unsealed()?;
        let Revocation { name, since, mut keys } = revoked;
        let before = by_name.get(&name).map(|before| &before.keys[..]);
        keys.retain(|key| !before.is_some_and(|before| before.contains(key)));
        let has_room = by_name.len() < MOST || before.is_some();
        if !has_room || count(&by_name).saturating_add(keys.len()) > MOST_KEYS {
            return Err(Unchanged::Full);
        }
        let fresh = || Revocation { name: name.clone(), since, keys: Vec::new() };
        by_name.entry(name.clone()).or_insert_with(fresh).keys.append(&mut keys);
        Ok(self.changed(&by_name))
    }

    /// Lets the keys of a consumer count again. Which change that is; nothing, where none is revoked.
    ///
    /// # Errors
    /// Where they are sealed. Then nothing has changed.
    pub fn lift(&self, name: &str) -> Result<Option<u64>, Unchanged> {
        let mut by_name = self.unsealed()?;
        let before = by_name.len();
        by_name.retain(|revoked, _| revoked.as_str() != name);
        Ok((by_name.len() < before).then(|| self.changed(&by_name)))
    }

    /// Nothing changes for as long as another process may be about to take over; or again it does.
    pub fn seal(&self, is_sealed: bool) {
        let _by_name = self.by_name();
        self.is_sealed.store(is_sealed, Ordering::Release);
    }

    /// Another process has them now, and says here what changes.
    pub fn hand_over(&self) {
        self.is_handed_over.store(true, Ordering::Release);
        self.seal(false);
    }

    /// Whether another process is taking them over.
    pub fn are_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire)
    }

    /// Whether another process has them.
    pub fn are_handed_over(&self) -> bool {
        self.is_handed_over.load(Ordering::Acquire)
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

    fn unsealed(&self) -> Result<MutexGuard<'_, BTreeMap<Name, Revocation>>, Unchanged> {
        let by_name = self.by_name();
        let is_sealed = self.is_sealed.load(Ordering::Acquire);
        if is_sealed { Err(Unchanged::Sealed) } else { Ok(by_name) }
    }

    fn by_name(&self) -> MutexGuard<'_, BTreeMap<Name, Revocation>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(by_name: &BTreeMap<Name, Revocation>) -> usize {
    by_name.values().map(|revoked| revoked.keys.len()).sum()
}

/// Before the mark of the salt, in the file. No name begins so.
const SALT: &str = "#salt ";

/// Writes the line that says by which salt the marks of the others were made.
pub fn write_salt(out: &mut String, salt: KeyMark) {
    let _ = writeln!(out, "{SALT}{}", salt.to_hex());
}

/// Reads that line; `None` where it is another.
pub fn read_salt(line: &str) -> Option<KeyMark> {
    line.strip_prefix(SALT).and_then(KeyMark::parse_hex)
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
    let keys = keys.filter(|keys| !keys.is_empty())?;
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
        assert_eq!(revocations.lift("d"), Ok(None));
        assert!(revocations.lift("c").unwrap().is_some());
        assert!(!has("old") && !has("new"));
    }

    #[test]
    fn nothing_changes_while_another_process_may_take_over() {
        let revocations = Revocations::default();
        revocations.add(revocation("c", &["old"])).unwrap();
        revocations.seal(true);
        assert_eq!(revocations.add(revocation("d", &["1"])), Err(Unchanged::Sealed));
        assert_eq!(revocations.lift("c"), Err(Unchanged::Sealed));
        assert!(revocations.has(|| mark("old")) && !revocations.has(|| mark("1")));
        revocations.seal(false);
        assert!(revocations.lift("c").unwrap().is_some() && !revocations.are_handed_over());
        revocations.seal(true);
        revocations.hand_over();
        assert!(revocations.add(revocation("d", &["1"])).is_ok() && revocations.are_handed_over());
    }

    #[test]
    fn no_key_is_lifted_because_its_consumer_got_many_new_ones() {
        let revocations = Revocations::default();
        let keys: Vec<String> = (0..40).map(|key| key.to_string()).collect();
        for key in &keys {
            revocations.add(revocation("c", &[key])).unwrap();
        }
        assert!(keys.iter().all(|key| revocations.has(|| mark(key))));
        let mut line = String::new();
        write_revocation(&mut line, &revocations.list()[0]);
        assert_eq!(read_revocation(line.trim_end()).unwrap().keys.len(), 40);
    }

    #[test]
    fn where_there_is_no_room_nothing_is_revoked_and_nothing_lifted() {
        let revocations = Revocations::default();
        let many = |name: &str, keys: std::ops::Range<usize>| {
            let keys: Vec<KeyMark> = keys.map(|key| mark(&key.to_string())).collect();
            Revocation { keys, ..revocation(name, &[]) }
        };
        revocations.add(many("c", 0..MOST_KEYS)).unwrap();
        assert_eq!(revocations.add(many("d", 0..1)), Err(Unchanged::Full));
        assert_eq!(revocations.add(many("c", MOST_KEYS..MOST_KEYS + 1)), Err(Unchanged::Full));
        revocations.add(many("c", 0..2)).expect("they are there already");
        assert_eq!(revocations.list()[0].keys.len(), MOST_KEYS);
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
        let (mut salt, of_it) = (String::new(), FingerprintKey::new(b"salt").own_mark());
        write_salt(&mut salt, of_it);
        assert_eq!(read_salt(salt.trim_end()), Some(of_it));
        assert!(read_salt(line.trim_end()).is_none() && read_revocation(salt.trim_end()).is_none());
    }
}
