use memchr::memchr2;

/// Follows an event stream (WHATWG HTML 9.2.6) byte by byte without holding one, to know where an
/// event ends. Lines end with LF, CR LF or CR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventScan {
    line: Line,
    /// The event under way has a line other than a comment.
    in_event: bool,
    events: u64,
    has_ids: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// Nothing of the line has come.
    #[default]
    Start,
    /// A line of a field.
    Field,
    /// A line that is `i` so far.
    FieldI,
    /// A line that is `id` so far.
    FieldId,
    /// A line that starts with a colon.
    Comment,
    /// A line ended with CR; an LF that follows belongs to it.
    AfterCr,
}

impl EventScan {
    /// Follows the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            bytes = match (self.line, first) {
                (Line::AfterCr, b'\n') => {
                    self.line = Line::Start;
                    rest
                }
                (Line::Start | Line::AfterCr, b'\r' | b'\n') => {
                    self.end_event();
                    self.end_line(first);
                    rest
                }
                (Line::Start | Line::AfterCr, _) => {
                    self.line = match first {
                        b':' => Line::Comment,
                        b'i' => Line::FieldI,
                        _ => Line::Field,
                    };
                    self.in_event |= first != b':';
                    rest
                }
                (Line::FieldI, b'd') => {
                    self.line = Line::FieldId;
                    rest
                }
                (Line::FieldI | Line::FieldId, _) => {
                    let is_id = self.line == Line::FieldId;
                    self.has_ids |= is_id && matches!(first, b':' | b'\r' | b'\n');
                    self.line = Line::Field;
                    bytes
                }
                (Line::Field | Line::Comment, _) => match memchr2(b'\r', b'\n', bytes) {
                    Some(end) => {
                        let (line, rest) = bytes.split_at(end + 1);
                        self.end_line(line.last().copied().unwrap_or(b'\n'));
                        rest
                    }
                    None => &[],
                },
            };
        }
    }

    /// Whether the stream stands between two events, where a comment can't tear one apart.
    pub fn between_events(&self) -> bool {
        self.line == Line::Start && !self.in_event
    }

    /// Events ended so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Whether an event has had an `id`, so that a client can resume the stream behind it.
    pub const fn has_ids(&self) -> bool {
        self.has_ids
    }

    fn end_line(&mut self, byte: u8) {
        self.line = if byte == b'\r' { Line::AfterCr } else { Line::Start };
    }

    fn end_event(&mut self) {
        self.events += u64::from(self.in_event);
        self.in_event = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(bytes: &[u8]) -> EventScan {
        let mut scan = EventScan::default();
        scan.feed(bytes);
        scan
    }

    #[test]
    fn an_event_ends_at_an_empty_line_whatever_ends_lines() {
        let streams: [&[u8]; 4] = [
            b"data: a\n\ndata: b\n\n",
            b"data: a\r\n\r\ndata: b\r\n\r\n",
            b"a\r\rb\r\n\n",
            b"\n\na\n\nb\n\n",
        ];
        for stream in streams {
            let scan = scan(stream);
            assert_eq!((scan.events(), scan.between_events()), (2, true), "{stream:?}");
        }
    }

    #[test]
    fn an_id_is_a_field_of_that_name() {
        for with in ["id: 7\n", "data: 1\nid:7\r", "id\n", "\n\nid\r\n"] {
            assert!(scan(with.as_bytes()).has_ids(), "{with:?}");
        }
        for without in ["", "i\n", "idx: 7\n", "data: id: 7\n", ":id: 7\n", "id", " id: 7\n"] {
            assert!(!scan(without.as_bytes()).has_ids(), "{without:?}");
        }
    }

    #[test]
    fn a_comment_is_no_event_and_an_open_event_is_not_between() {
        assert_eq!(scan(b": ping\n\n: ping\n\n").events(), 0);
        assert!(scan(b"").between_events() && scan(b": x\n").between_events());
        for open in [&b"data: a"[..], b"data: a\n", b"data: a\n:x\n", b":", b"data: a\n\r"] {
            assert!(!scan(open).between_events(), "{open:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'i'), Just(b'd')], 0..64),
            at in 0_usize..64,
        ) {
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut split = scan(head);
            split.feed(tail);
            prop_assert_eq!(split, scan(&bytes));
        }
    }
}
