use portcullis::mcp::{self, Place};
use serde_json::Value;

/// What names a message is found where a reader of the whole tree finds it, and another name in its
/// place changes nothing else.
pub(crate) fn marks(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(marks) = mcp::marks(text) else { return };
    let Ok(tree) = serde_json::from_str::<Value>(text) else { return };
    let trees: Vec<&Value> = match &tree {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    assert_eq!(marks.messages.len(), trees.len());
    for (marked, tree) in marks.messages.iter().zip(trees) {
        for (place, pointer) in [
            (&marked.id, "/id"),
            (&marked.cancels, "/params/requestId"),
            (&marked.token, "/params/_meta/progressToken"),
            (&marked.progress, "/params/progressToken"),
        ] {
            let value =
                tree.pointer(pointer).filter(|value| value.is_string() || value.is_number());
            assert_eq!(place.is_some(), value.is_some(), "{pointer} in {text}");
            if let (Some(place), Some(value)) = (place, value) {
                holds(text, place, (value, pointer));
            }
        }
    }
}

fn holds(text: &str, place: &Place, (value, pointer): (&Value, &str)) {
    let written = text.get(place.clone()).and_then(|json| serde_json::from_str::<Value>(json).ok());
    assert_eq!(written.as_ref(), Some(value), "{pointer} in {text}");
}
