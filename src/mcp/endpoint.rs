//! The first event of the legacy transport (2024-11-05): `endpoint`, which tells the client where
//! to post. Postiz puts its key into it.

use super::EventScan;

/// More than this before the first event ends is no `endpoint` event, in bytes.
const MAX_HELD: usize = 16 * 1024;

/// Holds an event stream back until its first event is whole: the one place where bytes wait, and
/// only for one event of at most 16 KiB.
#[derive(Debug, Default)]
pub struct FirstEvent {
    held: Vec<u8>,
    scan: EventScan,
    strict: bool,
}

/// What the first bytes of a stream turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The first event isn't whole yet.
    Hold,
    /// Comments and empty lines only: they may go, and the first event is still to come.
    Pass(Vec<u8>),
    /// The first event, with what stood before it.
    First(Vec<u8>),
    /// No end of an event within bounds.
    TooLong,
}

impl FirstEvent {
    /// One that lets no event go before it is whole, whatever it calls itself.
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }

    /// Whether bytes of an event wait for the rest of it.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next bytes of the stream; returns what to do and how many of them were used.
    pub fn feed(&mut self, bytes: &[u8]) -> (Step, usize) {
        // Byte by byte, because what follows the first event must not be held. It is one event long.
        for (index, byte) in bytes.iter().enumerate() {
            self.held.push(*byte);
            self.scan.feed(std::slice::from_ref(byte));
            if self.scan.events() > 0 {
                let held = std::mem::take(&mut self.held);
                if self.strict && !says_anything(&held) {
                    // A `retry:` alone dispatches nothing: the first event is still to come.
                    self.scan = EventScan::default();
                    return (Step::Pass(held), index + 1);
                }
                return (Step::First(held), index + 1);
            }
        }
        let goes_on = self.names_another() || self.held.len() > MAX_HELD && !self.names_endpoint();
        let step = if goes_on && !self.strict {
            Step::First(std::mem::take(&mut self.held))
        } else if self.held.len() > MAX_HELD {
            Step::TooLong
        } else if self.scan.between_events() {
            Step::Pass(std::mem::take(&mut self.held))
        } else {
            Step::Hold
        };
        (step, bytes.len())
    }

    /// Whether the first line says already that this is some other event: then it needn't wait for
    /// its end.
    fn names_another(&self) -> bool {
        let whole =
            self.lines().next().filter(|line| line.ends_with(b"\n") || line.ends_with(b"\r"));
        let name = whole.and_then(|line| field(line.trim_ascii_end(), "event"));
        name.is_some_and(|name| name != b"endpoint")
    }

    fn names_endpoint(&self) -> bool {
        self.lines().any(|line| field(line.trim_ascii_end(), "event") == Some(b"endpoint"))
    }

    /// The lines held that say something, each with its end.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let says = |line: &&[u8]| !line.trim_ascii_end().is_empty() && !line.starts_with(b":");
        self.held.split_inclusive(ends_line).map(unmarked).filter(says)
    }
}

pub(super) const fn ends_line(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// A byte order mark before the first line is no part of it. Clients take it off there alone; which
/// line that is depends on what went before, so here no line has one.
pub(super) fn unmarked(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix("\u{feff}".as_bytes()) {
        text = rest;
    }
    text
}

/// Whether an event has data, without which it is never dispatched, or a name.
fn says_anything(event: &[u8]) -> bool {
    let says = |line: &[u8]| line.starts_with(b"data") || line.starts_with(b"event");
    event.split(ends_line).map(unmarked).any(says)
}

/// The value of a field line, if it is of that field (WHATWG HTML 9.2.6); empty where there is no colon.
pub(super) fn field<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(name.as_bytes())?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Writes an `endpoint` event anew with other data; any other event goes on as it is.
///
/// Read by its bytes: a client makes do with a comment that is no UTF-8, and follows the endpoint
/// behind it.
pub fn replace_data(event: &[u8], replace: impl FnOnce(&str) -> Option<String>) -> Replaced {
    let lines = || event.split(ends_line).map(unmarked);
    // On any line: which name counts, of several, depends on what a client takes for a line's name.
    if !lines().any(|line| field(line, "event") == Some(b"endpoint")) {
        return Replaced::NotEndpoint;
    }
    let data = lines().filter_map(|line| field(line, "data")).collect::<Vec<_>>().join(&b'\n');
    let data = std::str::from_utf8(&data).ok().and_then(|data| replace(data.trim()));
    let Some(data) = data else { return Replaced::Unreadable };
    let mut out = b"event: endpoint\n".to_vec();
    for line in lines().filter(|line| field(line, "id").is_some() || line.starts_with(b"retry:")) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
    Replaced::With(out)
}

/// What became of a first event.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It names no endpoint.
    NotEndpoint,
    /// It names an endpoint that can't be mapped to a public one.
    Unreadable,
    /// It names an endpoint; this is the event with the public one.
    With(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(chunks: &[&[u8]]) -> Option<Vec<u8>> {
        let mut first = FirstEvent::default();
        chunks.iter().find_map(|chunk| match first.feed(chunk).0 {
            Step::First(event) => Some(event),
            _ => None,
        })
    }

    #[test]
    fn the_first_event_is_held_until_it_is_whole_and_nothing_behind_it() {
        let mut stream = FirstEvent::default();
        assert_eq!(stream.feed(b"\n: hello\n"), (Step::Pass(b"\n: hello\n".to_vec()), 9));
        assert_eq!(stream.feed(b"event: endp"), (Step::Hold, 11));
        let (step, used) = stream.feed(b"oint\ndata: /m\n\ndata: 2\n\n");
        assert_eq!(step, Step::First(b"event: endpoint\ndata: /m\n\n".to_vec()));
        assert_eq!(used, 15);
        let mut long = b"event: endpoint\ndata: ".to_vec();
        long.resize(MAX_HELD + 1, b'a');
        assert_eq!(FirstEvent::default().feed(&long).0, Step::TooLong);
    }

    #[test]
    fn an_event_of_another_name_or_size_is_not_held() {
        let other = b"\nevent: message\ndata: {\"half".to_vec();
        assert_eq!(FirstEvent::default().feed(&other).0, Step::First(other));
        let unnamed = [b"data: ", &*vec![b'a'; MAX_HELD]].concat();
        assert_eq!(FirstEvent::default().feed(&unnamed).0, Step::First(unnamed));
        assert_eq!(FirstEvent::default().feed(b"event: mess").0, Step::Hold);
    }

    #[test]
    fn an_endpoint_event_is_written_anew_and_any_other_left_alone() {
        let upper = |data: &str| Some(data.to_uppercase());
        let nest = b"\nevent: endpoint\nid: 1\ndata: /mcp/k/messages\n\n";
        let with = b"event: endpoint\nid: 1\ndata: /MCP/K/MESSAGES\n\n".to_vec();
        assert_eq!(replace_data(nest, upper), Replaced::With(with));
        let crlf = b"event:endpoint\r\ndata:/a\r\n\r\n";
        assert_eq!(
            replace_data(crlf, upper),
            Replaced::With(b"event: endpoint\ndata: /A\n\n".to_vec())
        );
        assert_eq!(replace_data(b"event: message\ndata: {}\n\n", upper), Replaced::NotEndpoint);
        assert_eq!(replace_data(nest, |_| None), Replaced::Unreadable);
        let behind = b":\xe1\nevent: endpoint\ndata: /a\n\n";
        let with = b"event: endpoint\ndata: /A\n\n".to_vec();
        assert_eq!(replace_data(behind, upper), Replaced::With(with));
        assert_eq!(replace_data(b"event: endpoint\ndata: \xff\n\n", upper), Replaced::Unreadable);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_first_event(at in 0_usize..48) {
            let stream: &[u8] = b"\r\nevent: endpoint\r\ndata: /mcp/key/messages\r\n\r\ndata: x\n\n";
            let (head, tail) = stream.split_at(at.min(stream.len()));
            let joined = |event: Option<Vec<u8>>| replace_data(&event.unwrap_or_default(), |d| Some(d.to_owned()));
            prop_assert_eq!(joined(first(&[head, tail])), joined(first(&[stream])));
        }
    }
}
