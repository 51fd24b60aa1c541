use std::{fmt, net::Ipv6Addr, str};

use bytes::Bytes;

/// The authority that a request names: a host name or address, and a port where one was written.
///
/// Narrower than RFC 3986 3.2.2: letters, digits, `-`, `_` and single dots between labels, or an
/// IPv6 address in brackets. What else the grammar allows (`a,b`, `%41`, a trailing dot, an empty
/// port) is read differently by different servers and names no host that anybody runs.
#[derive(Clone, PartialEq, Eq)]
pub struct Host {
    /// Lower-case, checked to be ASCII.
    authority: Bytes,
    name_len: usize,
    port: Option<u16>,
}

impl Host {
    /// Reads an authority in lower case. `None` unless every reader agrees on it.
    pub(super) fn parse(authority: Bytes) -> Option<Self> {
        let name_len = split(&authority)?;
        let port = match authority.get(name_len..)? {
            [] => None,
            [b':', digits @ ..] => Some(parse_port(digits)?),
            _ => return None,
        };
        Some(Self { authority, name_len, port })
    }

    /// The name in lower case, without the port; an IPv6 address keeps its brackets.
    pub fn name(&self) -> &str {
        // Only ASCII passes `parse`; the defaults are never taken.
        let name = self.authority.get(..self.name_len).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
    }

    /// All of it, in lower case.
    pub const fn authority(&self) -> &Bytes {
        &self.authority
    }

    /// The port, if one was written.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

/// Where the name ends, if it is one.
fn split(authority: &[u8]) -> Option<usize> {
    if authority.first() == Some(&b'[') {
        let close = memchr::memchr(b']', authority)?;
        let address = str::from_utf8(authority.get(1..close)?).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        return Some(close + 1);
    }
    let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
    let labels = authority.get(..end)?.split(|byte| *byte == b'.');
    let is_label = |label: &[u8]| {
        !label.is_empty()
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    { labels }.all(is_label).then_some(end)
}

/// A port has one spelling: no sign, no leading zero, at most 65535.
fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only ASCII passes `parse`; the default is never taken.
        f.write_str(str::from_utf8(&self.authority).unwrap_or_default())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Option<(String, Option<u16>)> {
        let host = Host::parse(Bytes::from_static(text.as_bytes()))?;
        assert_eq!(host.to_string(), text);
        Some((host.name().to_owned(), host.port()))
    }

    #[test]
    fn a_name_or_an_address_may_have_a_port() {
        for (text, name, port) in [
            ("example.com", "example.com", None),
            ("my_service:3000", "my_service", Some(3000)),
            ("192.0.2.1:80", "192.0.2.1", Some(80)),
            ("[2001:db8::1]", "[2001:db8::1]", None),
            ("[::1]:65535", "[::1]", Some(65535)),
        ] {
            assert_eq!(parse(text), Some((name.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_two_servers_could_read_differently_is_no_host() {
        for text in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:080",
            "a:0",
            "a:65536",
            "a:+1",
            "a:1:2",
            "a,b",
            "a b",
            "a@b",
            "a/b",
            "a%41",
            "a.",
            ".a",
            "a..b",
            "[::1",
            "::1",
            "[fe80::1%25eth0]",
            "[::1]x",
            "[1.2.3.4]",
            "[]",
            "a\\b",
            "a?b",
            "a#b",
            "*",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
