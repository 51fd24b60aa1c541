use portcullis::mcp::{Piece, Sifted, Unreadable, WholeEvents, sift, sift_event};
use serde_json::{Map, Value};

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
            value.into_iter().for_each(shows_none);
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
                let sifted = sift_event(&event, |element| keeps(element.name))?;
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

/// A name as a client has it that doesn't tell upper case from lower; Go's takes two more letters.
fn folded(name: &str) -> String {
    name.replace('\u{17f}', "s").replace('\u{212a}', "k").to_ascii_lowercase()
}

/// What names the elements of a list, by the list's folded name.
fn named_by(member: &str) -> Option<&'static str> {
    match member {
        "tools" | "prompts" => Some("name"),
        "resources" => Some("uri"),
        "resourcetemplates" => Some("uriTemplate"),
        _ => None,
    }
}

/// Whether every client finds one name in the element, and it is kept.
fn is_kept(element: &Value, named_by: &str) -> bool {
    let named = |(name, _): &(&String, &Value)| folded(name) == folded(named_by);
    let mut names = element.as_object().into_iter().flatten().filter(named);
    let name = names.next().filter(|(name, _)| *name == named_by);
    name.and_then(|(_, value)| value.as_str()).is_some_and(keeps) && names.next().is_none()
}

/// The results of a message, in whichever case.
fn results(message: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let members = message.as_object_mut().into_iter().flatten();
    members.filter(|(name, _)| folded(name) == "result").filter_map(|(_, v)| v.as_object_mut())
}

fn messages(value: &mut Value) -> &mut [Value] {
    match value {
        Value::Array(messages) => messages.as_mut_slice(),
        one => std::slice::from_mut(one),
    }
}

fn shows_none(mut value: Value) {
    for (member, list) in messages(&mut value).iter_mut().flat_map(results).flatten() {
        let Some(named_by) = named_by(&folded(member)) else { continue };
        for element in list.as_array().into_iter().flatten() {
            assert!(is_kept(element, named_by), "{element} is shown");
        }
    }
}

fn sifted_alike(text: &str) {
    let Ok(sifted) = sift(text, |element| keeps(element.name)) else { return };
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
    shows_none(after.clone());
    for (member, value) in messages(&mut before).iter_mut().flat_map(results).flatten() {
        let member = folded(member);
        if member == "cachescope" {
            *value = "private".into();
        } else if let (Some(named_by), Some(list)) = (named_by(&member), value.as_array_mut()) {
            list.retain(|element| is_kept(element, named_by));
        }
    }
    assert_eq!(before, after, "something else is left");
}
