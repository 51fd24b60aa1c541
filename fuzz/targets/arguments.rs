use std::ops::ControlFlow;

use portcullis::{
    mcp,
    types::{Denial, Found, Pointers},
};
use serde_json::Value;

/// Where rules look; the last two only where an array is.
const POINTERS: [&str; 6] = ["/a", "/a/b", "/a/0", "/~1/~0", "/a/*", "/a/*/b"];

/// What a pointer is told is what a reader finds that keeps the whole tree.
pub(crate) fn arguments(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut pointers = Pointers::default();
    for pointer in POINTERS {
        assert!(pointers.add(pointer).is_ok());
    }
    let mut told: Vec<Vec<String>> = vec![Vec::new(); POINTERS.len()];
    let walked = mcp::look_at(text, &pointers, |pointer, found| {
        if let Some(told) = told.get_mut(pointer) {
            told.push(shown(found));
        }
        ControlFlow::Continue(())
    });
    match walked {
        Ok(()) => {}
        Err(Denial::NotRpc | Denial::Argument) => return,
        Err(other) => panic!("{other:?}"),
    }
    // Of half a surrogate pair and numbers out of range no tree is made.
    let Ok(tree) = serde_json::from_str::<Value>(text) else { return };
    for (pointer, mut told) in POINTERS.iter().zip(told) {
        told.sort();
        assert_eq!(told, naive(&tree, pointer), "{pointer} in {text}");
    }
}

fn naive(tree: &Value, pointer: &str) -> Vec<String> {
    let (mut at, mut all) = (vec![tree], Vec::new());
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        let mut next = Vec::new();
        for value in at {
            let found = match (value, segment) {
                (Value::Array(elements), "*") => {
                    next.extend(elements);
                    continue;
                }
                (Value::Object(members), of) if of != "*" => members.get(&name),
                (Value::Array(elements), "0") => elements.first(),
                _ => {
                    all.push("Elsewhere".to_owned());
                    continue;
                }
            };
            match found {
                Some(found) => next.push(found),
                None => all.push("Missing".to_owned()),
            }
        }
        at = next;
    }
    all.extend(at.into_iter().map(value_shown));
    all.sort();
    all
}

fn value_shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(elements) => format!("array of {}", elements.len()),
        Value::Object(_) => "object".to_owned(),
    }
}

fn shown(found: &Found<'_>) -> String {
    match found {
        Found::Missing => "Missing".to_owned(),
        Found::Elsewhere => "Elsewhere".to_owned(),
        Found::Text(text) => format!("{text:?}"),
        Found::Number(_) => "number".to_owned(),
        Found::Word(word) => (*word).to_owned(),
        Found::Array(count) => format!("array of {count}"),
        Found::Object => "object".to_owned(),
    }
}
