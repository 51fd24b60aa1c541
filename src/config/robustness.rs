//! Whole files: one with every mistake, and any text at all.

use std::{path::Path, time::Duration};

use proptest::prelude::*;

use super::*;

const BAD: &str = include_str!("../../tests/golden/problems.toml");
const SAID: &str = include_str!("../../tests/golden/problems.txt");
const EXAMPLES: [&str; 4] = [
    include_str!("../../config/minimal.toml"),
    include_str!("../../config/postiz.toml"),
    include_str!("../../config/consumers.toml"),
    BAD,
];

/// What is said of a text at noon of 2026-11-23, in a directory that isn't there.
fn said_of(text: &str) -> (bool, String) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_435_200);
    let around = Surroundings { base_dir: Path::new("/nowhere"), environment: &|_| None, now };
    let loaded = compile_text(text, around);
    (loaded.snapshot.is_some(), render(&loaded.problems, text, "problems.toml", false))
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place_and_its_cure() {
    let (runs, said) = said_of(BAD);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write("tests/golden/problems.txt", &said).unwrap();
    }
    assert!(!runs, "a file with errors must not run");
    for secret in ["hunter", "this-is-the-key-itself", "sk_live_4f9a", "sk_live_77c1"] {
        assert!(!said.contains(secret), "{secret} is shown");
    }
    let differs = said.lines().zip(SAID.lines()).find(|(now, golden)| now != golden);
    assert_eq!(differs, None, "run with UPDATE_GOLDEN=1 and read the difference");
    assert_eq!(said.len(), SAID.len(), "one of the two goes on");
}

/// Pieces that a configuration is made of, so that chance gets past the parser.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z_]{1,12} = ",
        Just("[[listeners]]\n".to_owned()),
        Just("[[routes]]\nname = \"r\"\npaths = ".to_owned()),
        Just("[upstreams.u]\nendpoints = ".to_owned()),
        Just("[[consumers]]\nexpires = ".to_owned()),
        Just("upstream_key = ".to_owned()),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}\n",
        "\"\\PC{0,12}\"\n",
        "[\\[\\]{}=,.#\"'\n\\\\]{1,3}",
        "[0-9]{1,40}\n",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), pieces()]) {
        let (runs, said) = said_of(&text);
        prop_assert!(runs || said.contains(": error: "), "refused without a reason");
    }

    #[test]
    fn a_key_in_the_file_is_not_shown_however_the_file_is_broken(
        (at, cut) in (any::<prop::sample::Index>(), 0_usize..40),
        put in pieces(),
    ) {
        const KEY: &str = "pos_9f8e7d6c5b4a39281706f5e4d3c2b1a0";
        let text = EXAMPLES[2].replace("env:POSTIZ_API_KEY", KEY);
        let at = at.index(text.chars().count());
        let (head, tail): (String, String) =
            (text.chars().take(at).collect(), text.chars().skip(at + cut).collect());
        let (_, said) = said_of(&format!("{head}{put}{tail}"));
        prop_assert!(!said.contains("9f8e7d6c5b4a3928"), "{said}");
    }

    #[test]
    fn no_mutation_of_an_example_makes_it_panic(
        which in 0..EXAMPLES.len(),
        (at, cut) in (any::<prop::sample::Index>(), 0_usize..40),
        put in prop_oneof![pieces(), ".{0,6}"],
    ) {
        let example = EXAMPLES[which];
        let chars: Vec<char> = example.chars().collect();
        let (head, tail) = chars.split_at(at.index(chars.len()));
        let rest = tail.iter().skip(cut);
        let text: String = head.iter().copied().chain(put.chars()).chain(rest.copied()).collect();
        let (runs, said) = said_of(&text);
        prop_assert!(runs || said.contains(": error: "), "refused without a reason");
    }
}
