//! A look at what a client is told. The library refuses by itself what it can't read or has no room
//! for (RFC 9113 5.4), and says so to nobody but the client: here its frames are seen to go.

const HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 0x1;

/// What a client was told by the library itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// An error, by its code (RFC 9113 7).
    Error(u32),
    /// An answer of a status alone: 431, for a head that is too large. No answer of ours is so bare.
    Bare,
}

/// Follows the frames that are sent.
#[derive(Default)]
pub(super) struct Told {
    /// The head of the frame under way, and of a frame with a code the payload up to it.
    head: [u8; HEAD_BYTES + 8],
    have: usize,
    /// Bytes of the payload that are passed over.
    over: usize,
}

impl Told {
    /// Follows bytes, and tells what is said in them.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut hears: impl FnMut(Said)) {
        while !bytes.is_empty() {
            let over = self.over.min(bytes.len());
            if over > 0 {
                self.over -= over;
                bytes = bytes.get(over..).unwrap_or_default();
                continue;
            }
            let wanted = self.wanted();
            let more = (wanted - self.have).min(bytes.len());
            let (now, rest) = bytes.split_at_checked(more).unwrap_or_default();
            if let Some(place) = self.head.get_mut(self.have..self.have + more) {
                place.copy_from_slice(now);
            }
            self.have += more;
            bytes = rest;
            // With the head it is known whether a code follows.
            if self.have == wanted && self.wanted() == wanted {
                if let Some(said) = self.said() {
                    hears(said);
                }
                self.over = self.length().saturating_sub(wanted - HEAD_BYTES);
                self.have = 0;
            }
        }
    }

    /// How much of the frame under way is looked at.
    fn wanted(&self) -> usize {
        let [_, _, _, kind, ..] = self.head;
        let before = match kind {
            HEADERS => 2,
            RST_STREAM => 4,
            GOAWAY => 8,
            _ => 0,
        };
        if self.have < HEAD_BYTES { HEAD_BYTES } else { HEAD_BYTES + before.min(self.length()) }
    }

    fn length(&self) -> usize {
        let [a, b, c, ..] = self.head;
        usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX)
    }

    fn said(&self) -> Option<Said> {
        let [_, _, _, kind, flags, ..] = self.head;
        let payload = self.head.get(HEAD_BYTES..self.have)?;
        if kind == HEADERS {
            // The status is one of the table, or its value follows its name (RFC 7541 6.1, 6.2.1).
            let bare = match payload {
                [_] => true,
                [0x48, length] => self.length() == 2 + usize::from(length & 0x7f),
                _ => false,
            };
            return (bare && flags & END_STREAM != 0).then_some(Said::Bare);
        }
        // The last four bytes; a code of 0 is no error.
        let code = u32::from_be_bytes(*payload.last_chunk()?);
        (code != 0).then_some(Said::Error(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[a, b, c, kind, END_STREAM, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn what_the_library_says_is_seen_however_it_is_cut() {
        let frames = [
            frame(4, &[0; 12]),
            frame(RST_STREAM, &[0, 0, 0, 1]),
            frame(0, &[3; 40]),
            frame(4, &[]),
            frame(GOAWAY, &[0, 0, 0, 9, 0, 0, 0, 0]),
            frame(GOAWAY, &[0, 0, 0, 9, 0, 0, 0, 11, b'w', b'h', b'y']),
            frame(HEADERS, &[0x48, 0x83, b'4', b'3', b'1']),
            frame(HEADERS, &[0x48, 0x83, b'4', b'3', b'1', 0xbe]),
            frame(HEADERS, &[0xbf]),
            frame(HEADERS, &[0x88, 0xbe]),
            frame(RST_STREAM, &[]),
            frame(RST_STREAM, &[0, 0, 1, 7]),
        ]
        .concat();
        for cut in [1, 2, 7, 9, 13, 1000] {
            let (mut told, mut said) = (Told::default(), Vec::new());
            for part in frames.chunks(cut) {
                told.follow(part, |one| said.push(one));
            }
            let errors = [1, 11, 263].map(Said::Error);
            let [first, second, third] = errors;
            assert_eq!(said, [first, second, Said::Bare, Said::Bare, third], "by {cut}");
        }
    }
}
