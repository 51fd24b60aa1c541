//! Every file of the fuzz targets' corpora holds what its target asserts.
#![expect(clippy::panic, reason = "what doesn't hold is a failure")]

use std::{fs, panic, path::Path};

#[path = "../fuzz/targets/mod.rs"]
mod targets;

#[test]
fn every_corpus_file_holds_what_its_target_asserts() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut broken = Vec::new();
    for (name, target) in targets::ALL {
        let mut files = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            files += 1;
            if panic::catch_unwind(|| target(&bytes)).is_err() {
                broken.push(path.strip_prefix(&corpus).unwrap().to_owned());
            }
        }
        assert!(files >= 8, "{name} has a corpus of {files}");
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_target_can_be_fuzzed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (name, _) in targets::ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} in fuzz/Cargo.toml");
        let source = fs::read_to_string(root.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("targets::{name}(")), "fuzz_targets/{name}.rs");
    }
}
