//! `http://host:port`: where an upstream listens.

use std::net::Ipv6Addr;

use super::{
    mask::shown,
    value::{Fault, is_dns_name},
};
use crate::snapshot::{Endpoint, Scheme};

/// Takes an endpoint apart.
pub(super) fn parse(text: &str) -> Result<Endpoint, Fault> {
    let fault = |what: &str| {
        Fault::new(format!("{} {what}", shown(text))).hint("write \"http://127.0.0.1:3000\"")
    };
    let (scheme, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => return Err(fault("is neither http:// nor https://")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(fault("has a path or a query")
            .hint("write scheme, host and port alone; `strip_prefix` is what maps paths"));
    }
    let (host, port) = split_port(rest).ok_or_else(|| fault("has no sound port"))?;
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = match inner {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
        None if is_dns_name(host) => host,
        _ => return Err(fault("has no sound host")),
    };
    let usual = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let host = host.to_ascii_lowercase();
    let authority = match port.filter(|port| *port != usual) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    Ok(Endpoint {
        scheme,
        host: bare.to_ascii_lowercase().into(),
        port: port.unwrap_or(usual),
        authority: authority.into(),
    })
}

/// `host` or `host:port`, with brackets around IPv6. `None` where the port is none.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let sound = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let port: u16 = port.parse().ok().filter(|port| sound && *port > 0)?;
            Some((host, Some(port)))
        }
        _ => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_taken_apart() {
        for (text, host, port, authority) in [
            ("http://127.0.0.1:3000", "127.0.0.1", 3000, "127.0.0.1:3000"),
            ("http://Postiz", "postiz", 80, "postiz"),
            ("http://postiz:80/", "postiz", 80, "postiz"),
            ("https://[2001:db8::1]:443", "2001:db8::1", 443, "[2001:db8::1]"),
            ("https://a_b.example:8443", "a_b.example", 8443, "a_b.example:8443"),
        ] {
            let endpoint = parse(text).unwrap();
            assert_eq!((&*endpoint.host, endpoint.port), (host, port), "{text}");
            assert_eq!(&*endpoint.authority, authority, "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_endpoint() {
        for text in [
            "",
            "postiz",
            "ftp://a",
            "http://",
            "http://a:",
            "http://a:0",
            "http://a:+1",
            "http://a:65536",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://a b",
            "http://[::1",
            "http://::1",
            "http://[a]",
            "http://a\u{e9}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
