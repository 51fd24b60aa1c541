//! What the README promises to name, it names.
#![expect(clippy::unwrap_used, reason = "a test: a file that can't be read is a failure")]

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every text in the table of denials that is one lower-case word: the reasons.
fn reasons() -> Vec<String> {
    let source = read("src/types/denial.rs");
    let word = |text: &&str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let mut reasons: Vec<_> =
        source.split('"').skip(1).step_by(2).filter(word).map(str::to_owned).collect();
    reasons.sort();
    reasons.dedup();
    reasons
}

#[test]
fn every_reason_of_a_refusal_has_an_anchor_in_the_readme() {
    let readme = read("README.md");
    let reasons = reasons();
    assert!(reasons.len() > 20, "the reasons can't be read: {reasons:?}");
    for reason in reasons {
        let anchor = format!("| <a id=\"{reason}\"></a>`{reason}` |");
        assert!(readme.contains(&anchor), "README.md lacks the row of {reason}");
    }
}

#[test]
fn every_target_of_the_makefile_that_the_readme_names_is_there() {
    let makefile = read("Makefile");
    for target in
        read("README.md").split("`make ").skip(1).filter_map(|rest| rest.split('`').next())
    {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }
}

#[test]
fn the_configuration_in_the_readme_is_toml() {
    for block in read("README.md").split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        assert!(toml::de::DeTable::parse(text).is_ok(), "{text}");
    }
}
