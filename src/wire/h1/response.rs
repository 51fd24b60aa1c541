use bytes::{Buf, BytesMut};
use http::StatusCode;

use super::{
    facts::sift,
    first_line::StatusLine,
    lines::read_lines,
    scan::{HeadEnd, HeadScan, ScanFault},
};
use crate::{
    types::{Malformation, Method},
    wire::{Fields, Framing, HeadLimits, ResponseFault, ResponseHead, Version},
};

/// Reads a response head from the front of `buf` and leaves what follows it. `Ok(None)`: more
/// bytes are needed. `request_method` is what was asked: the answer to `HEAD` has no body.
///
/// As strict as for requests: an upstream whose framing can be read in two ways would let one
/// client's answer run into the next one's.
pub fn read_response_head(
    scan: &mut HeadScan,
    buf: &mut BytesMut,
    limits: HeadLimits,
    request_method: Method,
) -> Result<Option<ResponseHead>, ResponseFault> {
    let found = find_end(scan, buf, limits);
    if found != Ok(None) {
        *scan = HeadScan::default();
    }
    match found? {
        Some((line, end)) => interpret(buf.split_to(end.end), line, end, request_method).map(Some),
        None => Ok(None),
    }
}

/// Takes interim answers (1xx, but no switch) off the front. Whether what stands there then is the
/// answer, or begins like one that can't be read: not where it is nothing, or too little to tell.
pub fn is_answered(buf: &mut BytesMut) -> bool {
    /// Up to its status, an answer has so many bytes.
    const STATUS_END: usize = 12;
    loop {
        let status = match buf.get(..STATUS_END) {
            Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', status @ ..]) => status,
            Some(_) => return true,
            None => return false,
        };
        if status.first() != Some(&b'1') || status == b"101" {
            return true;
        }
        match memchr::memmem::find(buf, b"\r\n\r\n") {
            Some(end) => buf.advance(end + 4),
            // One without an end is no answer that anybody waits for.
            None => return buf.len() > MAX_INTERIM_BYTES,
        }
    }
}

/// The most that one interim answer may take.
const MAX_INTERIM_BYTES: usize = 16 * 1024;

fn find_end(
    scan: &mut HeadScan,
    buf: &BytesMut,
    limits: HeadLimits,
) -> Result<Option<(StatusLine, HeadEnd)>, ResponseFault> {
    // The status line has no bound of its own.
    let limits = HeadLimits { target: usize::MAX, ..limits };
    let line = match scan.status_line {
        Some(line) => line,
        None => {
            let Some(end) = scan.first_line(buf, limits)? else {
                return Ok(None);
            };
            // Judged before the rest arrives: what isn't HTTP may have no rest.
            let line = StatusLine::read(buf.get(..end).unwrap_or_default());
            *scan.status_line.insert(line.ok_or(ResponseFault::StatusLine)?)
        }
    };
    Ok(scan.head_end(buf, limits)?.map(|end| (line, end)))
}

fn interpret(
    mut head: BytesMut,
    line: StatusLine,
    end: HeadEnd,
    request_method: Method,
) -> Result<ResponseHead, ResponseFault> {
    let mut lines = read_lines(&mut head, line.end, end)?;
    let facts = sift(&head, &mut lines)?;
    let announced = facts.framing(&head, line.version)?;
    let framing = read_framing(announced, line.status, request_method)?;
    let upgrade = facts.upgrade(&head, line.version);
    Ok(ResponseHead {
        status: line.status,
        version: line.version,
        fields: Fields::from_lines(head.freeze(), lines),
        framing,
        length: match announced {
            // RFC 9110 8.6: of a 204 there is none to tell.
            Some(Framing::Length(length)) if line.status != StatusCode::NO_CONTENT => Some(length),
            _ => None,
        },
        upgrade,
        persistent: line.version == Version::Http11
            && !facts.close
            && framing != Framing::UntilClose
            && line.status != StatusCode::SWITCHING_PROTOCOLS,
    })
}

/// RFC 9112 6.3.
fn read_framing(
    announced: Option<Framing>,
    status: StatusCode,
    request_method: Method,
) -> Result<Framing, Malformation> {
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        // These never have a body; a reader who believes the field would wait for one.
        return match announced {
            None | Some(Framing::Length(0)) => Ok(Framing::None),
            Some(_) => Err(Malformation::Framing),
        };
    }
    if request_method == Method::Head || status == StatusCode::NOT_MODIFIED {
        return Ok(Framing::None);
    }
    Ok(announced.unwrap_or(Framing::UntilClose))
}

impl From<ScanFault> for ResponseFault {
    fn from(fault: ScanFault) -> Self {
        match fault {
            ScanFault::LineEnd => Self::Malformed(Malformation::LineEnd),
            ScanFault::FirstLineTooLong | ScanFault::TooLarge | ScanFault::TooManyFields => {
                Self::TooLarge
            }
        }
    }
}

impl From<Malformation> for ResponseFault {
    fn from(what: Malformation) -> Self {
        Self::Malformed(what)
    }
}
