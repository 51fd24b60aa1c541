use portcullis::mcp::{Piece, Sifted, Unreadable, WholeEvents, sift, sift_event};
use serde_json::Value;

use super::event_stream::dispatched;

/// What a client dispatches of a sifted stream lists nothing that isn't kept, however the bytes were
/// split; and a sifted text is what a reader of the whole tree would have left of it.
pub(crate) fn sieve(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        sifted_alike(text);
    }
    let whole = through(&[bytes]);
    if let Ok(out) = &whole {
        for (name, data) in dispatched(out) {
            let message = matches!(&*name, b"" | b"message");
            let value = serde_json::from_slice::<Value>(&data).ok().filter(|_| message);
            value.iter().for_each(shows_none);
        }
    }
    for split in super::splits(bytes) {
        assert_eq!(whole.is_ok(), through(&split).is_ok(), "another judgement of the same stream");
    }
}

fn keeps(name: &str) -> bool {
    !name.starts_with('d')
}

/// A stream as it goes to the client.
fn through(parts: &[&[u8]]) -> Result<Vec<u8>, Unreadable> {
    let (mut events, mut out) = (WholeEvents::default(), Vec::new());
    let mut put = |piece| {
        match piece {
            Piece::Between(bytes) => out.extend_from_slice(&bytes),
            Piece::Event(event) => {
                let sifted = sift_event(&event, |_, name| keeps(name))?;
                out.extend_from_slice(sifted.as_deref().unwrap_or(&event));
            }
        }
        Ok::<(), Unreadable>(())
    };
    for part in parts {
        events.feed(part);
        while let Some(piece) = events.next_piece() {
            put(piece)?;
        }
    }
    if let Some(rest) = events.rest() {
        put(rest)?;
    }
    Ok(out)
}

/// The lists of a message, with what names their elements.
fn lists(message: &Value) -> impl Iterator<Item = (&Value, &'static str)> {
    let members = [
        ("tools", "name"),
        ("prompts", "name"),
        ("resources", "uri"),
        ("resourceTemplates", "uriTemplate"),
    ];
    members
        .into_iter()
        .filter_map(|(member, named_by)| Some((message.get("result")?.get(member)?, named_by)))
}

fn shows_none(value: &Value) {
    let messages = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for (list, named_by) in messages.iter().flat_map(lists) {
        for element in list.as_array().into_iter().flatten() {
            let name = element.get(named_by).and_then(Value::as_str);
            assert!(name.is_some_and(keeps), "{element} is shown");
        }
    }
}

fn sifted_alike(text: &str) {
    let Ok(sifted) = sift(text, |_, name| keeps(name)) else { return };
    let rewritten = match &sifted {
        Sifted::AsItIs => text,
        Sifted::Rewritten(text) => text,
    };
    // A number out of range and half a surrogate pair are JSON too (RFC 8259).
    let (Ok(mut before), Ok(after)) =
        (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(rewritten))
    else {
        return;
    };
    shows_none(&after);
    let messages = match &mut before {
        Value::Array(messages) => messages.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for message in messages {
        let Some(result) = message.get_mut("result").and_then(Value::as_object_mut) else {
            continue;
        };
        for (member, value) in result.iter_mut() {
            let named_by = match member.as_str() {
                "tools" | "prompts" => "name",
                "resources" => "uri",
                "resourceTemplates" => "uriTemplate",
                "cacheScope" => {
                    *value = "private".into();
                    continue;
                }
                _ => continue,
            };
            if let Some(list) = value.as_array_mut() {
                list.retain(|element| {
                    element.get(named_by).and_then(Value::as_str).is_some_and(keeps)
                });
            }
        }
    }
    assert_eq!(before, after, "something else is left");
}
