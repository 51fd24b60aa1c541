//! The PROXY protocol, versions 1 and 2, as HAProxy's specification has them (proxy-protocol.txt).
//!
//! The header stands before the first byte of TLS or HTTP. Nothing behind it is taken off the socket,
//! and nothing in it but the address of the source is used.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::TcpStream, time};

use crate::types::canonical;

/// The longest line of version 1, its CR LF included (2.1).
const LONGEST_LINE: usize = 107;

/// The longest header of version 2 that is taken, in bytes. Proxies add certificates' names and ids
/// behind the addresses; what doesn't fit into the smallest segment that every host has to take is
/// no header any more.
const LONGEST_BLOCK: usize = 536;

/// What version 2 begins with. No line of text does (2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What stands before the addresses of version 2.
const BLOCK_HEAD: usize = 16;

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// How many bytes it takes. What follows belongs to the connection.
    pub length: usize,
    /// Whom the proxy speaks for; `None` where it speaks for itself, to see if we live. Where it speaks
    /// for somebody whose address it can't tell, that is no address: `0.0.0.0`.
    pub source: Option<SocketAddr>,
}

/// Whoever it is, it isn't the proxy: what it says of addresses isn't the proxy's word.
const UNTOLD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Bytes that no header begins with, or one that is of no use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoProxyHeader;

impl ProxyHeader {
    /// Reads a header that the bytes begin with; `None` where more of it has to come. How the bytes
    /// were cut makes no difference, and no more than 536 are ever wanted.
    ///
    /// # Errors
    /// Where no bytes that follow could make it one.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, NoProxyHeader> {
        match bytes.first() {
            None => Ok(None),
            Some(b'P') => line(bytes),
            Some(_) => block(bytes),
        }
    }
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`.
fn line(bytes: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    const BEGIN: &[u8] = b"PROXY ";
    let begun = bytes.len().min(BEGIN.len());
    if bytes.get(..begun) != BEGIN.get(..begun) {
        return Err(NoProxyHeader);
    }
    let within = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(NoProxyHeader) };
    };
    let text = within.get(BEGIN.len()..end).and_then(|text| text.strip_suffix(b"\r"));
    let text = text.and_then(|text| std::str::from_utf8(text).ok()).ok_or(NoProxyHeader)?;
    if text.contains('\r') {
        return Err(NoProxyHeader);
    }
    Ok(Some(ProxyHeader { length: end + 1, source: line_source(text).ok_or(NoProxyHeader)? }))
}

/// The source of a line behind `PROXY `; `None` where the line is malformed.
fn line_source(text: &str) -> Option<Option<SocketAddr>> {
    // What stands behind it is to be ignored.
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(Some(UNTOLD));
    }
    // Single blanks: two of them make an empty part, which is no address.
    let mut parts = text.split(' ');
    let protocol = parts.next()?;
    let address = |text: &str| match protocol {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let source = address(parts.next()?)?;
    // Where it was going is nobody's concern, but a line without it is none.
    address(parts.next()?)?;
    let source_port = port(parts.next()?)?;
    port(parts.next()?)?;
    parts.next().is_none().then_some(Some(SocketAddr::new(canonical(source), source_port)))
}

/// A decimal number without zeros before it.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = plain && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Version 2: the signature, version and command, family and protocol, the length of what follows,
/// then the addresses and whatever else the proxy has to say, which isn't read.
fn block(bytes: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    let begun = bytes.len().min(SIGNATURE.len());
    if bytes.get(..begun) != SIGNATURE.get(..begun) {
        return Err(NoProxyHeader);
    }
    let Some((head, rest)) = bytes.split_at_checked(BLOCK_HEAD) else { return Ok(None) };
    let [.., command, family, high, low] = head else { return Err(NoProxyHeader) };
    let behind = usize::from(u16::from_be_bytes([*high, *low]));
    let length = BLOCK_HEAD + behind;
    let family = match (*command, *family) {
        // LOCAL: the proxy speaks for itself, whatever the rest says.
        (0x20, _) => Family::None,
        // PROXY of a protocol that it can't tell.
        (0x21, 0x00) => Family::Untold,
        (0x21, 0x11) => Family::V4,
        (0x21, 0x21) => Family::V6,
        // Other versions and commands; datagrams, and sockets that have no address.
        _ => return Err(NoProxyHeader),
    };
    if behind < family.addresses() || length > LONGEST_BLOCK {
        return Err(NoProxyHeader);
    }
    let Some(behind) = rest.get(..behind) else { return Ok(None) };
    Ok(Some(ProxyHeader { length, source: family.source(behind) }))
}

/// Which addresses stand in a header of version 2.
enum Family {
    None,
    Untold,
    V4,
    V6,
}

impl Family {
    /// The bytes of source and destination, and of a port for each.
    const fn addresses(&self) -> usize {
        match self {
            Self::None | Self::Untold => 0,
            Self::V4 => 4 + 4 + 2 + 2,
            Self::V6 => 16 + 16 + 2 + 2,
        }
    }

    /// The source, which stands first, and its port behind both addresses.
    fn source(&self, bytes: &[u8]) -> Option<SocketAddr> {
        let (address, port_at): (IpAddr, usize) = match self {
            Self::None => return None,
            Self::Untold => return Some(UNTOLD),
            Self::V4 => (bytes.first_chunk::<4>().copied()?.into(), 8),
            Self::V6 => (bytes.first_chunk::<16>().copied()?.into(), 32),
        };
        let port = bytes.get(port_at..)?.first_chunk::<2>()?;
        Some(SocketAddr::new(canonical(address), u16::from_be_bytes(*port)))
    }
}

/// Takes the header off a socket, and not a byte more: a byte of the TLS hello that was read here
/// would be lost there. What has come is looked at first; all of a header that isn't whole belongs to
/// it, and of one that is, exactly its length is taken.
///
/// # Errors
/// Where none came, or it came too slowly.
pub async fn take_proxy_header(
    socket: &mut TcpStream,
    deadline: Duration,
) -> Result<ProxyHeader, NoProxyHeader> {
    let taking = time::timeout(deadline, take(socket));
    taking.await.ok().and_then(Result::ok).ok_or(NoProxyHeader)
}

async fn take(socket: &mut TcpStream) -> io::Result<ProxyHeader> {
    let mut bytes = [0; LONGEST_BLOCK];
    let mut taken = 0;
    loop {
        let (_, free) = bytes.split_at_mut(taken);
        let seen = taken + socket.peek(free).await?;
        if seen == taken {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let so_far = bytes.get(..seen).unwrap_or_default();
        let header = ProxyHeader::read(so_far).map_err(|_| io::ErrorKind::InvalidData)?;
        let until = header.map_or(seen, |header| header.length);
        if let Some(part) = bytes.get_mut(taken..until) {
            socket.read_exact(part).await?;
        }
        if let Some(header) = header {
            return Ok(header);
        }
        taken = until;
    }
}

#[cfg(test)]
mod tests;
