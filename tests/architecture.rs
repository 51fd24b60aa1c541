//! The house rules that no compiler knows: which room imports from which, which room may name which
//! crate, and how long a file may get. The floors are read from the table in `src/lib.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test: a failure may panic, and it prints the longest files"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};

/// Who may name a crate. A crate that isn't listed may be named by everyone.
const OWNED_CRATES: [(&str, &[&str]); 11] = [
    ("axum", &["admin", "demo"]),
    ("clap", &["cli", "main"]),
    ("governor", &["policy"]),
    ("h2", &["wire"]),
    ("httparse", &["wire"]),
    ("hyper", &["admin", "demo"]),
    ("instant_acme", &["acme"]),
    ("pingora_core", &["host"]),
    ("prometheus", &["observe"]),
    ("rustls", &["config", "demo", "edge", "gateway", "snapshot", "upstream"]),
    ("tokio_rustls", &["edge", "upstream", "wire"]),
];

/// Sideways, but meant: the demonstration starts the assembly.
const ALLOWED_SIDEWAYS: [(&str, &str); 1] = [("demo", "gateway")];

/// The longest a source file may be, in lines.
const MAX_LINES: usize = 400;

/// Files that may be longer, with the reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// The name that the library has for the binary.
const LIBRARY: &str = "portcullis";

type Floors = BTreeMap<String, u32>;

/// One name that a file refers to, seen from the crate's root.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    line: usize,
    name: String,
}

#[test]
fn no_room_imports_up_or_sideways() {
    let floors = read_floors();
    check_every_file(|room, references| imports(&floors, room, references));
}

#[test]
fn a_crate_is_named_only_where_it_is_at_home() {
    check_every_file(owned_crates);
}

#[test]
fn every_room_is_in_the_map() {
    let floors = read_floors();
    for file in source_files() {
        let room = room_of(&file);
        assert!(
            matches!(room.as_str(), "lib" | "main") || floors.contains_key(&room),
            "{room} is missing in the table of src/lib.rs"
        );
    }
}

#[test]
fn no_source_file_is_longer_than_its_budget() {
    let mut lengths: Vec<_> = source_files()
        .into_iter()
        .map(|file| (fs::read_to_string(source_root().join(&file)).unwrap().lines().count(), file))
        .collect();
    lengths.sort_by(|one, other| other.cmp(one));
    for (lines, file) in lengths.iter().take(10) {
        println!("{lines:5} {}", file.display());
    }
    let excused = |file: &Path| LONG_FILES.iter().any(|(name, _)| Path::new(name) == file);
    let long: Vec<_> =
        lengths.iter().filter(|(lines, file)| *lines > MAX_LINES && !excused(file)).collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines: {long:?}");
}

#[test]
fn the_checker_sees_every_way_to_write_a_path() {
    for (module, text, names) in [
        ("wire", "use crate::proxy::admit;", vec!["proxy"]),
        ("wire", "use crate::{types::{Path, Name}, mcp};", vec!["types", "mcp"]),
        ("wire", "fn f() { let x = crate::admin::serve(); }", vec!["admin"]),
        ("wire", "fn f() { format!(\"{}\", crate::admin::NAME) }", vec!["admin"]),
        ("wire", "use super::proxy;", vec!["proxy"]),
        ("wire::h1", "use super::head; use super::super::proxy;", vec!["proxy"]),
        ("wire::h1", "mod tests { use super::*; use super::super::super::proxy; }", vec!["proxy"]),
        ("main", "fn main() { portcullis::cli::run() }", vec!["cli"]),
        (
            "wire",
            "// crate::proxy\n/// [`crate::proxy`]\nconst X: &str = \"crate::proxy\";",
            vec![],
        ),
        ("wire", "use std::proxy; fn f() { self::proxy::g() }", vec![]),
    ] {
        let seen: Vec<_> = rooms_in(module, text).into_iter().map(|seen| seen.name).collect();
        assert_eq!(seen, names, "{text}");
    }
}

#[test]
fn a_planted_violation_is_found() {
    let floors = Floors::from([("types", 0), ("mcp", 1), ("policy", 1), ("proxy", 4)].map(own));
    let found = |room: &str, text: &str| imports(&floors, room, &rooms_in(room, text)).len();
    assert_eq!(found("proxy", "use crate::{mcp, policy::Nets, types::Name, proxy::x};"), 0);
    assert_eq!(found("policy", "use crate::proxy::admit;"), 1, "up");
    assert_eq!(found("policy", "use crate::mcp::Method;"), 1, "sideways");
    assert_eq!(found("policy", "use crate::nowhere::Thing;"), 1, "unknown");

    let named = |room: &str, text: &str| owned_crates(room, &paths_in(room, text)).len();
    assert_eq!(named("host", "use pingora_core::server::Server;"), 0);
    assert_eq!(named("proxy", "use pingora_core::server::Server;"), 1);
    assert_eq!(named("proxy", "fn f() { let x = ::axum::Router::new(); }"), 1);
    assert_eq!(named("proxy", "use {bytes::Bytes, httparse::Request};"), 1);
    assert_eq!(named("proxy", "use crate::edge::rustls::Thing;"), 0, "a module of that name");
}

fn own((name, floor): (&str, u32)) -> (String, u32) {
    (name.to_owned(), floor)
}

/// Problems of a room's references to other rooms.
fn imports(floors: &Floors, room: &str, references: &[Reference]) -> Vec<String> {
    // The binary and the map of the crate know every room.
    if matches!(room, "lib" | "main") {
        return Vec::new();
    }
    let allowed = |other: &str| {
        let sideways = ALLOWED_SIDEWAYS.contains(&(room, other));
        let down = floors.get(other).zip(floors.get(room)).is_some_and(|(to, from)| to < from);
        other == room || down || sideways
    };
    let is_room = |reference: &&Reference| !is_owned(&reference.name);
    references
        .iter()
        .filter(is_room)
        .filter(|reference| !allowed(&reference.name))
        .map(|reference| format!("line {}: {room} imports {}", reference.line, reference.name))
        .collect()
}

/// Problems of a room's use of crates.
fn owned_crates(room: &str, references: &[Reference]) -> Vec<String> {
    let stranger = |reference: &&Reference| {
        let owned = OWNED_CRATES.iter().find(|(name, _)| *name == reference.name);
        owned.is_some_and(|(_, owners)| !owners.contains(&room))
    };
    references
        .iter()
        .filter(stranger)
        .map(|reference| format!("line {}: {room} names {}", reference.line, reference.name))
        .collect()
}

fn is_owned(name: &str) -> bool {
    OWNED_CRATES.iter().any(|(owned, _)| *owned == name)
}

fn check_every_file(problems_of: impl Fn(&str, &[Reference]) -> Vec<String>) {
    let mut problems = Vec::new();
    for file in source_files() {
        let text = fs::read_to_string(source_root().join(&file)).unwrap();
        let references = paths_in(&module_of(&file), &text);
        for problem in problems_of(&room_of(&file), &references) {
            problems.push(format!("src/{}: {problem}", file.display()));
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn rooms_in(module: &str, text: &str) -> Vec<Reference> {
    let mut references = paths_in(module, text);
    references.retain(|reference| !is_owned(&reference.name));
    references
}

/// Every room and every owned crate that a file of the module names, comments and texts left out.
fn paths_in(module: &str, text: &str) -> Vec<Reference> {
    let depth = if matches!(module, "lib" | "main") { 0 } else { module.split("::").count() };
    let tokens: TokenStream = text.parse().expect("the file is Rust");
    let mut found = Vec::new();
    walk(tokens, depth, &mut found);
    found
}

/// `depth` is how many `super` lead from here to the crate's root.
fn walk(tokens: TokenStream, depth: usize, found: &mut Vec<Reference>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Group(group) => {
                let inline_module = at >= 2 && is_ident(&tokens[at - 2], "mod");
                walk(group.stream(), depth + usize::from(inline_module), found);
            }
            TokenTree::Ident(_) if !follows_path(&tokens, at) => {
                at = path(&tokens, at, depth, found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Reads the path that starts at `at`, and returns where it stops being of interest.
fn path(tokens: &[TokenTree], at: usize, depth: usize, found: &mut Vec<Reference>) -> usize {
    let supers = (0..).take_while(|n| {
        let step = at + 3 * n;
        tokens.get(step).is_some_and(|token| is_ident(token, "super"))
            && is_colons(tokens, step + 1)
    });
    let supers = supers.count();
    let from_root = supers > 0 && supers == depth;
    let first = &tokens[at];
    let name = first.to_string();
    if from_root {
        root(tokens, at + 3 * supers, found);
    } else if is_colons(tokens, at + 1) && (name == "crate" || name == LIBRARY) {
        root(tokens, at + 3, found);
    } else if is_owned(&name) {
        found.push(Reference { line: first.span().start().line, name });
    }
    at + 1
}

/// What stands behind `crate::`: one name, or several in braces.
fn root(tokens: &[TokenTree], at: usize, found: &mut Vec<Reference>) {
    let mut push = |ident: &proc_macro2::Ident| {
        found.push(Reference { line: ident.span().start().line, name: ident.to_string() });
    };
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => push(ident),
        Some(TokenTree::Group(group)) => {
            let mut start = true;
            for token in group.stream() {
                match &token {
                    TokenTree::Ident(ident) if start => push(ident),
                    _ => {}
                }
                start = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',');
            }
        }
        _ => {}
    }
}

/// Whether the identifier goes on a path, so that it isn't a crate: `a::b`, not `::b`.
fn follows_path(tokens: &[TokenTree], at: usize) -> bool {
    at >= 3
        && is_colons(tokens, at - 2)
        && matches!(&tokens[at - 3], TokenTree::Ident(before) if before != "use")
}

fn is_ident(token: &TokenTree, text: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == text)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// The rows `| floor | rooms | ... |` of the map.
fn read_floors() -> Floors {
    let map = fs::read_to_string(source_root().join("lib.rs")).unwrap();
    let mut floors = Floors::new();
    for row in map.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let mut cells = row.split(" | ");
        let (Some(floor), Some(rooms)) = (cells.next(), cells.next()) else { continue };
        let Ok(floor) = floor.parse() else { continue };
        for room in rooms.split('`').skip(1).step_by(2) {
            floors.insert(room.to_owned(), floor);
        }
    }
    assert!(floors.len() > 10, "the table of src/lib.rs can't be read: {floors:?}");
    floors
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file, relative to `src`.
fn source_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![source_root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(source_root()).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// `wire/h1/mod.rs` is `wire::h1`.
fn module_of(file: &Path) -> String {
    let path = file.with_extension("");
    let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).collect();
    names.join("::").trim_end_matches("::mod").to_owned()
}

fn room_of(file: &Path) -> String {
    module_of(file).split("::").next().unwrap_or_default().to_owned()
}
