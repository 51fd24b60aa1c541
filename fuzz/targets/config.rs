use std::{path::Path, time::SystemTime};

use portcullis::config::{Loaded, Place, Surroundings, compile_text, render};

/// A consumer whose key was written into the file; it has no shape that would give it away.
const CARELESS: &str = "\n[[consumers]]\nname = \"c\"\nupstream_key = \"hunter2\"\n";

/// Any text has a snapshot or at least one problem; every problem has a place in the text and can be
/// shown; and what is shown holds nothing that looks like a key, nor one that was written in clear.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let shown = shown(text);
    let is_key = |run: &&str| {
        let has = |kind: fn(&u8) -> bool| run.bytes().any(|byte| kind(&byte));
        run.len() >= 32
            || run.len() >= 16 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
    };
    let runs = || shown.split(|c: char| !c.is_ascii_alphanumeric());
    assert_eq!(runs().find(is_key), None, "{shown}");
    if !text.contains("hunter2") {
        let shown = self::shown(&format!("{text}{CARELESS}"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

fn shown(text: &str) -> String {
    let around = Surroundings {
        base_dir: Path::new("/nowhere"),
        environment: &|_| None,
        now: SystemTime::UNIX_EPOCH,
    };
    let Loaded { snapshot, problems, source } = compile_text(text, around);
    assert!(snapshot.is_some() || !problems.is_empty(), "refused without a word");
    for problem in &problems {
        let Some(place) = &problem.place else { panic!("nowhere: {}", problem.message) };
        lies_within(place, text);
        if let Some((place, _)) = &problem.related {
            lies_within(place, text);
        }
    }
    let shown = render(&problems, &source, "a.toml", false);
    assert_eq!(shown.is_empty(), problems.is_empty());
    shown
}

/// A place is where an editor finds it.
fn lies_within(place: &Place, text: &str) {
    assert!(text.get(place.span.clone()).is_some(), "{place:?} is outside");
    let before = text.get(..place.span.start).unwrap_or_default();
    assert_eq!(place.line, before.matches('\n').count() + 1, "{place:?}");
    let line = before.rsplit('\n').next().unwrap_or_default();
    assert_eq!(place.column, line.chars().count() + 1, "{place:?}");
}
