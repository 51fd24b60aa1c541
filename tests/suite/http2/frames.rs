//! Frames of HTTP/2 as bytes (RFC 9113 4.1), and what can't be written with a library that knows
//! better: field blocks are literals without index and without Huffman coding (RFC 7541 6.2.2), so a
//! name or value may hold any byte.
//!
//! No input or output, and nothing of the suite: the table of `make strictness` includes this file.

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Of `DATA` and `HEADERS`.
pub(crate) const END_STREAM: u8 = 0x1;
/// Of `SETTINGS` and `PING`.
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITIZED: u8 = 0x20;

pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// What a peer takes unless it said otherwise (RFC 9113 6.5.2).
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// A name and its value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// A frame as it came.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Takes one off the front of what was read; `None` where it isn't whole.
    pub(crate) fn take(read: &mut Vec<u8>) -> Option<Self> {
        let [a, b, c, kind, flags, d, e, f, g] = *read.first_chunk::<9>()?;
        let end = 9 + usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        let payload = read.get(9..end)?.to_vec();
        read.drain(..end);
        let stream = u32::from_be_bytes([d & 0x7f, e, f, g]);
        Some(Self { kind, flags, stream, payload })
    }

    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The code of a reset or farewell.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let code = self.payload.get(at..at + 4).and_then(|code| code.try_into().ok());
        code.map_or(u32::MAX, u32::from_be_bytes)
    }

    /// The part of a field block that it holds, without padding and priority.
    pub(crate) fn block(&self) -> &[u8] {
        let mut part = self.payload.as_slice();
        if self.kind == HEADERS && self.has(PADDED) {
            let (padding, rest) = part.split_first().unwrap_or((&0, &[]));
            part = rest.get(..rest.len().saturating_sub((*padding).into())).unwrap_or_default();
        }
        if self.kind == HEADERS && self.has(PRIORITIZED) {
            part = part.get(5..).unwrap_or_default();
        }
        part
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [&[a, b, c, kind, flags, d, e, f, g], payload].concat()
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let pair =
        |(name, value): &(u16, u32)| [name.to_be_bytes().as_slice(), &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &settings.iter().flat_map(pair).collect::<Vec<_>>())
}

pub(crate) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn data(stream: u32, ended: bool, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, if ended { END_STREAM } else { 0 }, stream, bytes)
}

/// A field block in a `HEADERS` frame, and in as many `CONTINUATION` frames as it needs.
pub(crate) fn head(stream: u32, ended: bool, block: &[u8]) -> Vec<u8> {
    let ended = if ended { END_STREAM } else { 0 };
    let (first, rest) = block.split_at(block.len().min(MAX_FRAME_BYTES));
    let last = |more: bool| if more { 0 } else { END_HEADERS };
    let mut bytes = frame(HEADERS, ended | last(!rest.is_empty()), stream, first);
    let mut parts = rest.chunks(MAX_FRAME_BYTES).peekable();
    while let Some(part) = parts.next() {
        bytes.extend(frame(CONTINUATION, last(parts.peek().is_some()), stream, part));
    }
    bytes
}

/// A field block that holds these fields as they are.
pub(crate) fn block(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541 5.1), the Huffman bit not set.
fn length(block: &mut Vec<u8>, length: usize) {
    let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    if length < 127 {
        return block.push(byte(length));
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    block.push(byte(rest));
}
