//! The first line of a head, and nothing else.

use http::StatusCode;

use crate::{
    types::{Malformation, Method},
    wire::{Version, names::is_token},
};

/// A request line that was found good. The target is where it stands in the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) is_connect: bool,
    pub(super) target: (usize, usize),
    pub(super) version: Version,
    /// Behind its CR LF.
    pub(super) end: usize,
}

/// A status line that was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    /// Behind its CR LF.
    pub(super) end: usize,
}

impl RequestLine {
    /// RFC 9112 3, with exactly one space between the parts.
    pub(super) fn read(line: &[u8]) -> Result<Self, Malformation> {
        let text = line.strip_suffix(b"\r\n").ok_or(Malformation::RequestLine)?;
        let mut parts = text.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformation::RequestLine);
        };
        if !is_token(method) || target.is_empty() {
            return Err(Malformation::RequestLine);
        }
        let version = read_version(version)?;
        // A fragment never travels (RFC 9112 3.2), and other bytes outside visible ASCII are no URI.
        if !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(Malformation::Target);
        }
        let start = method.len() + 1;
        Ok(Self {
            method: Method::parse(method),
            is_connect: method == b"CONNECT",
            target: (start, start + target.len()),
            version,
            end: line.len(),
        })
    }
}

fn read_version(version: &[u8]) -> Result<Version, Malformation> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1' =>
        {
            Err(Malformation::Version)
        }
        _ => Err(Malformation::RequestLine),
    }
}

impl StatusLine {
    /// RFC 9112 4. The space after the status may be missing where no reason follows.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let text = line.strip_suffix(b"\r\n")?;
        let (version, rest) = text.split_at_checked(9)?;
        let version = match version {
            b"HTTP/1.1 " => Version::Http11,
            b"HTTP/1.0 " => Version::Http10,
            _ => return None,
        };
        let (code, reason) = rest.split_at_checked(3)?;
        let status = StatusCode::from_bytes(code).ok()?;
        let is_reason = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        let fine = status.as_u16() < 600
            && matches!(reason.first(), None | Some(b' '))
            && reason.iter().all(is_reason);
        fine.then_some(Self { version, status, end: line.len() })
    }
}
