use bytes::BytesMut;
use memchr::memchr2;

use super::{
    endpoint::{ends_line, field, unmarked},
    listing::{Element, Sifted, Unreadable, sift},
};

/// Holds an event stream back, event by event: only what is whole can be judged. Comments between
/// events aren't held.
#[derive(Debug, Default)]
pub struct WholeEvents {
    held: BytesMut,
    /// How much of what is held was gone over, up to the end of a line or of all that came.
    looked: usize,
    /// Where the line under way begins.
    line: usize,
    /// The event under way has a line other than a comment.
    in_event: bool,
    /// What was gone over ends with CR; an LF that follows belongs to it.
    after_cr: bool,
}

/// A part of a stream that may go.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// An event with the empty line that ends it, and comments before it.
    Event(BytesMut),
    /// Comments and empty lines.
    Between(BytesMut),
}

impl WholeEvents {
    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// How much waits for the rest of its event, in bytes.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The next part that is whole.
    pub fn next_piece(&mut self) -> Option<Piece> {
        while let Some(empty) = self.next_line() {
            if empty && self.in_event {
                self.in_event = false;
                return Some(Piece::Event(self.cut(self.looked)));
            }
        }
        let nothing = self.in_event || self.line == 0;
        (!nothing).then(|| Piece::Between(self.cut(self.line)))
    }

    /// What is left when the stream has ended: an event without its end, which some readers take for
    /// one.
    pub fn rest(&mut self) -> Option<Piece> {
        let rest = self.cut(self.held.len());
        (!rest.is_empty()).then_some(Piece::Event(rest))
    }

    /// Goes over one line; returns whether it was empty, or `None` if its end hasn't come.
    fn next_line(&mut self) -> Option<bool> {
        let rest = self.held.get(self.looked..).unwrap_or_default();
        if let Some(first) = rest.first().filter(|_| self.after_cr) {
            self.after_cr = false;
            if *first == b'\n' {
                self.looked += 1;
                self.line = self.looked;
            }
        }
        let rest = self.held.get(self.looked..).unwrap_or_default();
        let Some(end) = memchr2(b'\r', b'\n', rest) else {
            self.looked = self.held.len();
            return None;
        };
        let end = self.looked + end;
        self.after_cr = self.held.get(end) == Some(&b'\r');
        let first = self.held.get(self.line).copied().filter(|_| self.line < end);
        self.in_event |= first.is_some_and(|first| first != b':');
        self.looked = end + 1;
        if self.after_cr && self.held.get(self.looked) == Some(&b'\n') {
            self.looked += 1;
            self.after_cr = false;
        }
        self.line = self.looked;
        Some(first.is_none())
    }

    fn cut(&mut self, at: usize) -> BytesMut {
        self.looked = self.looked.saturating_sub(at);
        self.line = self.line.saturating_sub(at);
        self.held.split_to(at)
    }
}

/// The data of an event: its `data` lines, joined (WHATWG HTML 9.2.6).
pub fn event_data(event: &[u8]) -> Vec<u8> {
    let lines = event.split(ends_line).map(unmarked);
    lines.filter_map(|line| field(line, "data")).collect::<Vec<_>>().join(&b'\n')
}

/// The data of an event that is a message: of no name, or of that name (the transport of 2024-11-05).
pub fn message_data(event: &[u8]) -> Option<Vec<u8>> {
    let mut names = event.split(ends_line).map(unmarked).filter_map(|line| field(line, "event"));
    // Of several names the last counts.
    matches!(names.next_back(), None | Some(b"" | b"message")).then(|| event_data(event))
}

/// Takes out of an event what `keeps` doesn't keep; `None` where the event may go as it is. An event
/// that goes by another name than `message` is none to SDKs, and need not be one.
///
/// # Errors
/// `Unreadable` where the data is there and no message that can be read.
pub fn sift_event(
    event: &[u8],
    keeps: impl FnMut(&Element<'_>) -> bool,
) -> Result<Option<Vec<u8>>, Unreadable> {
    let lines = || event.split(ends_line).filter(|line| !line.is_empty());
    // Of several names readers take the last; any that is a message's is enough. A line behind a byte
    // order mark is a name to some and none to others, so it takes nothing out of judgement.
    let mut names = lines().filter_map(|line| field(line, "event")).peekable();
    let other = names.peek().is_some() && !names.any(|name| matches!(name, b"" | b"message"));
    let data = event_data(event);
    let sifted = std::str::from_utf8(&data).map_err(|_| Unreadable).and_then(|data| {
        if data.trim().is_empty() { Ok(Sifted::AsItIs) } else { sift(data, keeps) }
    });
    let data = match sifted {
        Ok(Sifted::Rewritten(data)) => data,
        Ok(Sifted::AsItIs) => return Ok(None),
        Err(Unreadable) if other => return Ok(None),
        Err(Unreadable) => return Err(Unreadable),
    };
    let mut data = Some(data);
    let mut out = Vec::with_capacity(event.len());
    for line in lines() {
        if field(unmarked(line), "data").is_none() {
            out.extend_from_slice(line);
            out.push(b'\n');
        } else if let Some(data) = data.take() {
            for line in data.split('\n') {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            }
        }
    }
    out.push(b'\n');
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mcp::EventScan;

    fn pieces(chunks: &[&[u8]]) -> Vec<Piece> {
        let mut events = WholeEvents::default();
        let mut all = Vec::new();
        for chunk in chunks {
            events.feed(chunk);
            while let Some(piece) = events.next_piece() {
                all.push(piece);
            }
        }
        all.extend(events.rest());
        all
    }

    fn event(text: &str) -> Piece {
        Piece::Event(text.as_bytes().into())
    }

    fn between(text: &str) -> Piece {
        Piece::Between(text.as_bytes().into())
    }

    #[test]
    fn an_event_goes_when_it_is_whole_and_a_comment_at_once() {
        assert_eq!(pieces(&[b": a\n", b"\n: b"]), [between(": a\n"), between("\n"), event(": b")]);
        let stream: &[&[u8]] = &[b"data: 1\r\n", b"\r", b"\ndata: 2\n\n: c\ndata: 3\n\nid: 4"];
        let expected = [
            event("data: 1\r\n\r"),
            event("\ndata: 2\n\n"),
            event(": c\ndata: 3\n\n"),
            event("id: 4"),
        ];
        assert_eq!(pieces(stream), expected);
        // A lone CR ends a line also where the next byte is in another chunk.
        let torn: &[&[u8]] = &[b"\rdata: 1", b"\n\n", b"data: 2\r\r", b"data: 3", b"\n\n"];
        let expected =
            [between("\r"), event("data: 1\n\n"), event("data: 2\r\r"), event("data: 3\n\n")];
        assert_eq!(pieces(torn), expected);
    }

    #[test]
    fn the_data_of_a_message_is_sifted_and_its_other_fields_stay() {
        let sifted = |text: &str| {
            let sifted = sift_event(text.as_bytes(), |element| element.name != "b");
            sifted.map(|event| event.map(|event| String::from_utf8(event).unwrap()))
        };
        let both = r#"{"result":{"tools":[{"name":"a"},{"name":"b"}]}}"#;
        let one = r#"{"result":{"tools":[{"name":"a"}]}}"#;
        for (before, behind) in [
            ("", ""),
            ("event: message\n", "id: 7\n"),
            (": c\nevent:message\n", "retry: 5\n"),
            ("event: other\nevent:\n", ""),
            ("event: other\nevent\n", ""),
            ("\u{feff}event: other\n", ""),
            ("event: other\n", ""),
        ] {
            let of = |data: &str| format!("{before}data: {data}\n{behind}\n");
            assert_eq!(sifted(&of(both)), Ok(Some(of(one))));
            assert_eq!(sifted(&of(both).replace('\n', "\r\n")), Ok(Some(of(one))));
        }
        let (head, tail) = both.split_at(10);
        let lines = format!("data:{head}\ndata:{tail}\n\n");
        let joined = one.replacen(head, &format!("{head}\ndata: "), 1);
        assert_eq!(sifted(&lines), Ok(Some(format!("data: {joined}\n\n"))));
        for goes in ["event: endpoint\ndata: /x\n\n", "id: 1\ndata:\n\n", ": c\n\n", "retry: 1\n\n"]
        {
            assert_eq!(sifted(goes), Ok(None), "{goes}");
        }
        for bad in [
            "data: x\n\n",
            "event: message\ndata: {\"a\":\n\n",
            "event: x\nevent: message\ndata: x\n\n",
        ] {
            assert_eq!(sifted(bad), Err(Unreadable), "{bad}");
        }
        assert_eq!(sift_event(b"data: \"\xff\"\n\n", |_| true), Err(Unreadable));
        assert!(
            sifted(&format!("\u{feff}data: {both}\n\n")).unwrap().is_some(),
            "a mark hides no line"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_byte_is_lost_and_every_event_ends_where_a_scan_of_the_stream_ends_it(
            bytes in prop::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd')], 0..48),
            cuts in prop::collection::vec(0_usize..48, 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> =
                cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let (mut scan, mut all, bytes_in_all) = (EventScan::default(), Vec::new(), bytes.len());
            for piece in pieces(&chunks) {
                let before = scan.events();
                let (bytes, is_event) = match &piece {
                    Piece::Event(bytes) => (bytes, true),
                    Piece::Between(bytes) => (bytes, false),
                };
                scan.feed(bytes);
                all.extend_from_slice(bytes);
                let ended = scan.events() - before;
                // The last may lack its end.
                let last = all.len() == bytes_in_all;
                prop_assert!(ended == u64::from(is_event) || last && ended == 0);
            }
            prop_assert_eq!(&all, &bytes);
        }
    }
}
