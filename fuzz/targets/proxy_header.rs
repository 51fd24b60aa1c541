use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis::edge::{NoProxyHeader, ProxyHeader};

/// The longest header that is taken, in bytes.
const LONGEST: usize = 536;

/// A header reads the same however its bytes were split and whatever follows, it is refused as soon as
/// it is hopeless, and a reader that has all of it before it sees the same length and source.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let read = ProxyHeader::read(bytes);
    let mut before = Ok(None);
    for end in 0..=bytes.len().min(LONGEST + 1) {
        let part = bytes.get(..end).unwrap_or_default();
        let now = ProxyHeader::read(part);
        assert!(before == Ok(None) || before == now, "a verdict was taken back at {end}");
        if let Ok(Some(header)) = now {
            assert!(header.length <= end && end <= LONGEST || before == now, "read too far");
        }
        before = now;
    }
    assert_eq!(read, before, "what follows was read");
    let naive = if bytes.starts_with(b"PROXY ") { line(bytes) } else { block(bytes) };
    match read {
        Ok(Some(header)) => assert_eq!(naive, Some((header.length, header.source))),
        Ok(None) => {
            assert!(bytes.len() < LONGEST, "more than a header is waited for");
            assert_eq!(naive, None);
        }
        Err(NoProxyHeader) => assert_eq!(naive, None),
    }
}

/// Version 1, by the regular shape of its line.
fn line(bytes: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    if end + 2 > 107 || text.contains(['\r', '\n']) {
        return None;
    }
    let words: Vec<&str> = text.split(' ').collect();
    let number = |word: &str| {
        let number = word.parse::<u16>().ok()?;
        (number.to_string() == word).then_some(number)
    };
    let source: IpAddr = match *words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Some((end + 2, Some(UNTOLD))),
        ["PROXY", "TCP4", from, to, _, _] => {
            to.parse::<Ipv4Addr>().ok()?;
            from.parse::<Ipv4Addr>().ok()?.into()
        }
        ["PROXY", "TCP6", from, to, _, _] => {
            to.parse::<Ipv6Addr>().ok()?;
            from.parse::<Ipv6Addr>().ok()?.into()
        }
        _ => return None,
    };
    let port = number(words.get(4)?)?;
    number(words.get(5)?)?;
    Some((end + 2, Some(SocketAddr::new(source.to_canonical(), port))))
}

/// A source that the proxy can't tell.
const UNTOLD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Version 2, by offsets from its beginning.
fn block(bytes: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    if !bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        return None;
    }
    let at = |at: usize| bytes.get(at).copied();
    let word = |first: usize| Some(u16::from_be_bytes([at(first)?, at(first + 1)?]));
    let length = 16 + usize::from(word(14)?);
    if length > LONGEST || bytes.len() < length {
        return None;
    }
    let source = match (at(12)?, at(13)?) {
        (0x20, _) => return Some((length, None)),
        (0x21, 0) => return Some((length, Some(UNTOLD))),
        (0x21, 0x11) if length >= 28 => {
            let octets: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
            (IpAddr::from(octets), word(24)?)
        }
        (0x21, 0x21) if length >= 52 => {
            let octets: [u8; 16] = bytes.get(16..32)?.try_into().ok()?;
            (IpAddr::from(octets), word(48)?)
        }
        _ => return None,
    };
    Some((length, Some(SocketAddr::new(source.0.to_canonical(), source.1))))
}
