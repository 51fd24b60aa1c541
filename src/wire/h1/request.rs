use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::{
    facts::{Facts, Once, sift},
    first_line::RequestLine,
    lines::read_lines,
    scan::{HeadEnd, HeadScan, ScanFault},
};
use crate::{
    types::{Denial, Limit, Malformation, Method},
    wire::{Fields, Framing, HeadLimits, Host, RequestHead, Version, names::is_token_byte},
};

/// Reads a request head from the front of `buf` and leaves what follows it. `Ok(None)`: more bytes
/// are needed.
///
/// The verdict doesn't depend on how the bytes were split. After a denial the connection can't be
/// used for another request: nobody knows where one would begin.
pub fn read_request_head(
    scan: &mut HeadScan,
    buf: &mut BytesMut,
    limits: HeadLimits,
) -> Result<Option<RequestHead>, Denial> {
    let found = find_end(scan, buf, limits);
    if !matches!(found, Ok(None)) {
        *scan = HeadScan::default();
    }
    match found? {
        Some((line, end)) => interpret(buf.split_to(end.end), line, end).map(Some),
        None => Ok(None),
    }
}

fn find_end(
    scan: &mut HeadScan,
    buf: &mut BytesMut,
    limits: HeadLimits,
) -> Result<Option<(RequestLine, HeadEnd)>, Denial> {
    if !pass_blank_line(scan, buf)? {
        return Ok(None);
    }
    let line = match scan.request_line {
        Some(line) => line,
        None => {
            let Some(end) = scan.first_line(buf, limits)? else {
                return Ok(None);
            };
            // Judged before the rest arrives: HTTP/0.9 has no rest.
            let line = RequestLine::read(buf.get(..end).unwrap_or_default())?;
            if line.target.1 - line.target.0 > limits.target {
                return Err(Denial::TargetTooLong);
            }
            *scan.request_line.insert(line)
        }
    };
    Ok(scan.head_end(buf, limits)?.map(|end| (line, end)))
}

/// Some clients send a blank line after a body (RFC 9112 2.2): one is passed over. Whether a head
/// can begin with what follows; a TLS greeting is refused at its first byte.
fn pass_blank_line(scan: &mut HeadScan, buf: &mut BytesMut) -> Result<bool, Denial> {
    if !scan.blank_passed {
        match buf.as_ref() {
            [b'\r'] => return Ok(false),
            [b'\r', b'\n', ..] => {
                buf.advance(2);
                scan.blank_passed = true;
            }
            _ => {}
        }
    }
    match buf.first() {
        None => Ok(false),
        Some(byte) if is_token_byte(*byte) => Ok(true),
        Some(b'\n') => Err(Denial::Malformed(Malformation::LineEnd)),
        Some(_) => Err(Denial::Malformed(Malformation::RequestLine)),
    }
}

fn interpret(mut head: BytesMut, line: RequestLine, end: HeadEnd) -> Result<RequestHead, Denial> {
    let mut lines = read_lines(&mut head, line.end, end)?;
    let facts = sift(&head, &mut lines)?;
    let framing = facts.framing(&head, line.version)?.unwrap_or(Framing::None);
    let expect_continue = read_expect(&facts, &head, line.version)?
        && !matches!(framing, Framing::None | Framing::Length(0));
    // RFC 9112 3.2 asks for exactly one. HTTP/1.0 may leave it out; then no route could be chosen.
    let Once::One(host) = facts.host else {
        return Err(Malformation::Host.into());
    };
    head.get_mut(host.value()).unwrap_or_default().make_ascii_lowercase();
    let upgrade = facts.upgrade(&head, line.version).filter(|_| line.method == Method::Get);
    let text = head.freeze();
    let host = Host::parse(text.slice(host.value())).ok_or(Malformation::Host)?;
    let target = reduce_target(&text, line, &host)?;
    Ok(RequestHead {
        method: line.method,
        target,
        host,
        version: line.version,
        fields: Fields::from_lines(text, lines),
        framing,
        expect_continue,
        persistent: line.version == Version::Http11 && !facts.close,
        upgrade,
        dropped: facts.named,
    })
}

/// RFC 9110 10.1.1: `100-continue` is the only expectation there is, and HTTP/1.0 can't have it.
fn read_expect(facts: &Facts, head: &[u8], version: Version) -> Result<bool, Denial> {
    match facts.expect {
        Once::Absent => Ok(false),
        Once::One(line) => {
            let value = head.get(line.value()).unwrap_or_default();
            if value.eq_ignore_ascii_case(b"100-continue") {
                Ok(version == Version::Http11)
            } else {
                Err(Denial::Expectation)
            }
        }
        Once::Repeated => Err(Denial::Expectation),
    }
}

/// The target in origin form (RFC 9112 3.2).
fn reduce_target(text: &Bytes, line: RequestLine, host: &Host) -> Result<Bytes, Malformation> {
    let target = text.slice(line.target.0..line.target.1);
    if line.is_connect {
        // Nothing here is a tunnel: the method is refused later, whatever the authority.
        return Ok(Bytes::from_static(b"/"));
    }
    match target.as_ref() {
        [b'/', ..] => Ok(target),
        b"*" if line.method == Method::Options => Ok(target),
        _ => reduce_absolute(&target, host),
    }
}

/// An absolute form must name the same authority as `Host`: RFC 9112 3.2.2 lets the target win,
/// but not every reader does.
fn reduce_absolute(target: &Bytes, host: &Host) -> Result<Bytes, Malformation> {
    let authority = authority_of(target).ok_or(Malformation::Target)?;
    let named = target.get(authority.clone()).unwrap_or_default();
    if named.contains(&b'@') {
        return Err(Malformation::Target);
    }
    let named = Host::parse(Bytes::from(named.to_ascii_lowercase())).ok_or(Malformation::Target)?;
    if named != *host {
        return Err(Malformation::Host);
    }
    let path = target.slice(authority.end..);
    match path.first() {
        None => Ok(Bytes::from_static(b"/")),
        Some(b'/') => Ok(path),
        // An empty path with a query would have to be rewritten.
        Some(_) => Err(Malformation::Target),
    }
}

fn authority_of(target: &[u8]) -> Option<Range<usize>> {
    let start = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let begins = target.get(..scheme.len())?.eq_ignore_ascii_case(scheme);
        begins.then_some(scheme.len())
    })?;
    let rest = target.get(start..)?;
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(start..start + len)
}

impl From<ScanFault> for Denial {
    fn from(fault: ScanFault) -> Self {
        match fault {
            ScanFault::LineEnd => Self::Malformed(Malformation::LineEnd),
            ScanFault::FirstLineTooLong => Self::TargetTooLong,
            ScanFault::TooLarge => Self::HeadTooLarge(Limit::Head),
            ScanFault::TooManyFields => Self::HeadTooLarge(Limit::Fields),
        }
    }
}

impl From<Malformation> for Denial {
    fn from(what: Malformation) -> Self {
        Self::Malformed(what)
    }
}
