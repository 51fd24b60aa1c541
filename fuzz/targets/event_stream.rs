use portcullis::mcp::{EventScan, FirstEvent, Replaced, Step, replace_data};

/// Longer streams may be given up at another byte when they come in other pieces.
const MAX_FIRST_BYTES: usize = 16 * 1024;

/// Events are counted alike however the bytes were split, and as a client counts them; the first
/// event is held and nothing behind it; and an endpoint that a client would believe is mapped.
pub(crate) fn event_stream(bytes: &[u8]) {
    counted_alike(bytes);
    if let Some((_, event)) = first(FirstEvent::default(), &[bytes]) {
        let mut scan = EventScan::default();
        scan.feed(&event);
        // An event that names itself another on its first line isn't held to its end.
        assert!(scan.events() <= 1, "{event:?}");
    }
    let whole = first(FirstEvent::strict(), &[bytes]);
    whole.iter().for_each(|(_, event)| mapped(event));
    if bytes.len() > MAX_FIRST_BYTES {
        return;
    }
    let outcome = |(end, event): (usize, Vec<u8>)| {
        let replaced = replace_data(&event, |data| Some(data.to_owned()));
        (end, matches!(replaced, Replaced::With(_)).then_some(replaced))
    };
    let whole = whole.map(outcome);
    for split in super::splits(bytes) {
        assert_eq!(whole, first(FirstEvent::strict(), &split).map(outcome), "another first event");
    }
}

fn counted_alike(bytes: &[u8]) {
    let mut whole = EventScan::default();
    whole.feed(bytes);
    for split in super::splits(bytes) {
        let mut scan = EventScan::default();
        split.iter().for_each(|part| scan.feed(part));
        assert_eq!(whole, scan);
    }
    let blocks = blocks(bytes);
    let says = |block: &&Vec<&[u8]>| block.iter().any(|line| !line.starts_with(b":"));
    let (open, ended) =
        blocks.split_last().map_or((None, &[][..]), |(last, all)| (Some(last), all));
    assert_eq!(whole.events(), u64::try_from(ended.iter().filter(says).count()).unwrap_or(0));
    // Behind a CR an LF may still come that belongs to it.
    let between = open.is_none_or(|block| !block.iter().any(|line| !line.starts_with(b":")))
        && matches!(bytes.last(), None | Some(b'\n'));
    assert_eq!(whole.between_events(), between);
    let is_id = |line: &&[u8]| line.starts_with(b"id:");
    assert!(whole.has_ids() || !blocks.iter().flatten().any(is_id), "an id that wasn't seen");
}

/// The lines of each event (WHATWG HTML 9.2.6), an empty line after each; the last one is open.
fn blocks(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut blocks = vec![Vec::new()];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let (line, after) = rest.split_at(at);
        rest = after.strip_prefix(b"\r\n").or(after.get(1..)).unwrap_or_default();
        match blocks.last_mut() {
            Some(block) if !line.is_empty() => block.push(line),
            _ => blocks.push(Vec::new()),
        }
    }
    if let Some(block) = blocks.last_mut().filter(|_| !rest.is_empty()) {
        block.push(rest);
    }
    blocks
}

/// Where the first event ends, and itself, with what came before it and hadn't gone yet. Nothing of
/// what came is lost or said twice.
fn first(mut stream: FirstEvent, parts: &[&[u8]]) -> Option<(usize, Vec<u8>)> {
    let mut passed = Vec::new();
    let all = parts.concat();
    for part in parts {
        let mut rest: &[u8] = part;
        while !rest.is_empty() {
            let (step, used) = stream.feed(rest);
            assert!(used > 0, "it stands still");
            rest = rest.get(used..).unwrap_or_default();
            match step {
                Step::Hold => {}
                Step::Pass(text) => passed.extend_from_slice(&text),
                Step::TooLong => return None,
                Step::First(event) => {
                    passed.extend_from_slice(&event);
                    assert!(all.starts_with(&passed), "something else than came");
                    return Some((passed.len(), event));
                }
            }
        }
    }
    assert!(all.starts_with(&passed), "something else than came");
    None
}

/// Where a client would believe an endpoint, it is the public one.
fn mapped(event: &[u8]) {
    let believed = |event: &[u8]| -> Vec<Vec<u8>> {
        let endpoints = dispatched(event).into_iter().filter(|(name, _)| name == b"endpoint");
        endpoints.map(|(_, data)| data).collect()
    };
    match replace_data(event, |_| Some("/public".to_owned())) {
        Replaced::With(written) => {
            assert_eq!(believed(&written), [b"/public"]);
            let mut scan = EventScan::default();
            scan.feed(&written);
            assert!(scan.events() == 1 && scan.between_events(), "{written:?}");
        }
        Replaced::NotEndpoint => assert!(believed(event).is_empty(), "an endpoint goes unmapped"),
        Replaced::Unreadable => assert!(std::str::from_utf8(event).is_err(), "it was read"),
    }
}

/// The events that a client dispatches: their types and data.
pub(super) fn dispatched(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = blocks(text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text));
    // What no empty line ended is never dispatched.
    all.pop();
    let event = |block: &Vec<&[u8]>| {
        let (mut name, mut data) = (Vec::new(), Vec::new());
        for line in block {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let (field, value) = line.split_at(colon);
            let value = value.strip_prefix(b":").unwrap_or(value);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match field {
                b"event" => name = value.to_vec(),
                b"data" => data.push(value),
                _ => {}
            }
        }
        (!data.is_empty()).then(|| (name, data.join(&b'\n')))
    };
    all.iter().filter_map(event).collect()
}
