//! The pass over a head before its tokens are read: where it ends, whether every line of it ends
//! with CR LF, and whether it is too large. It remembers how far it came, so a head that arrives
//! byte by byte is still looked at once.

use memchr::memchr2;

use super::first_line::{RequestLine, StatusLine};
use crate::wire::HeadLimits;

/// How far a head was looked at. One per head: it is reset when a head was read or refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    /// Every byte before this one belongs to a line that ended, or is no line end.
    scanned: usize,
    /// Where the line under way begins.
    line_start: usize,
    /// Lines that ended, the first one included.
    lines: usize,
    /// The blank line that some clients send after a body was passed over.
    pub(super) blank_passed: bool,
    /// The request line, once it ended and was found good.
    pub(super) request_line: Option<RequestLine>,
    /// The status line, likewise.
    pub(super) status_line: Option<StatusLine>,
}

/// What the scan can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanFault {
    /// A CR or LF alone.
    LineEnd,
    /// The first line is longer than its bound.
    FirstLineTooLong,
    /// The head is longer than its bound.
    TooLarge,
    /// It has more field lines than allowed.
    TooManyFields,
}

/// A head that is there as a whole. Places count from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadEnd {
    /// Behind the blank line.
    pub(super) end: usize,
    /// How many field lines there are.
    pub(super) fields: usize,
}

/// Room in the first line beside the target: the longest method and the version.
const FIRST_LINE_ROOM: usize = 64;

impl HeadScan {
    /// The end of the first line (behind its CR LF), as soon as it is there. Asked until it is,
    /// and not again.
    pub(super) fn first_line(
        &mut self,
        head: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<usize>, ScanFault> {
        let of_line = limits.target.saturating_add(FIRST_LINE_ROOM);
        let (bound, fault) = if of_line < limits.head {
            (of_line, ScanFault::FirstLineTooLong)
        } else {
            (limits.head, ScanFault::TooLarge)
        };
        self.line(head, bound, fault)
    }

    /// The end of the head, as soon as it is there. The first line has ended before.
    pub(super) fn head_end(
        &mut self,
        head: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<HeadEnd>, ScanFault> {
        loop {
            let start = self.line_start;
            let Some(end) = self.line(head, limits.head, ScanFault::TooLarge)? else {
                return Ok(None);
            };
            let fields = self.lines.saturating_sub(2);
            if end - start == 2 {
                return Ok(Some(HeadEnd { end, fields }));
            }
            if fields >= limits.fields {
                return Err(ScanFault::TooManyFields);
            }
        }
    }

    /// Goes on to the end of the line under way. `bound` is the longest that the head may be by
    /// then, so the verdict doesn't depend on how the bytes were split.
    fn line(
        &mut self,
        head: &[u8],
        bound: usize,
        fault: ScanFault,
    ) -> Result<Option<usize>, ScanFault> {
        let last_cr = bound.saturating_sub(2);
        let rest = head.get(self.scanned..).unwrap_or_default();
        let at = memchr2(b'\r', b'\n', rest).map_or(head.len(), |found| self.scanned + found);
        if at > last_cr {
            return Err(fault);
        }
        self.scanned = at;
        match head.get(at..) {
            Some([b'\r', b'\n', ..]) => {
                self.scanned = at + 2;
                self.line_start = self.scanned;
                self.lines += 1;
                Ok(Some(self.scanned))
            }
            None | Some([] | [b'\r']) => Ok(None),
            Some(_) => Err(ScanFault::LineEnd),
        }
    }
}
