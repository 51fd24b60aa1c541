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

#[test]
fn every_gate_that_security_names_stands_on_the_page() {
    let page = read("src/proxy/admit.rs");
    let security = read("SECURITY.md");
    let table = security.split("| attack | stopped by |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut named = 0;
    for cell in rows.filter_map(|row| row.split('|').nth(2)) {
        for word in cell.split('`').skip(1).step_by(2) {
            let of_a_room = ["wire", "edge", "limits", "timeouts"]
                .iter()
                .any(|room| word == *room || word.starts_with(&format!("{room}::")));
            named += usize::from(!of_a_room);
            assert!(of_a_room || page.contains(&format!("{word}(")), "{word} isn't asked");
        }
    }
    assert!(named > 15, "the table can't be read");
}
