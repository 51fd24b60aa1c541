/// The schemes whose hosts and ports every URL parser rewrites (WHATWG URL, *special scheme*), with
/// the ports that it leaves out.
const SPECIAL: &[(&str, Option<&str>)] = &[
    ("file", None),
    ("ftp", Some("21")),
    ("http", Some("80")),
    ("https", Some("443")),
    ("ws", Some("80")),
    ("wss", Some("443")),
];

/// Whether a URI is spelled as a server would spell it after reading it: servers look a resource up by
/// what their URL parser made of its URI (RFC 3986 6.2.2), and `docs://a/x/../secret` would be judged
/// by one name and read by another.
pub(super) fn is_canonical(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let letters = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.');
    let named = scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.bytes().all(letters);
    named && is_plain(rest) && hierarchy_is_canonical(scheme, rest)
}

/// Whether a part of a glob could be a part of a URI that is judged, or of a template.
pub(super) fn could_be_part(text: &str) -> bool {
    is_plain(&text.replace(['{', '}'], ""))
}

/// Nothing that a parser takes out, turns around or encodes.
fn is_plain(text: &str) -> bool {
    let kept = |b: u8| {
        b.is_ascii_graphic()
            && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    text.bytes().all(kept) && text.split('%').skip(1).all(is_needed_escape)
}

/// Whether what follows a `%` is an escape in upper case of a byte that can't stand there as it is.
/// Servers that take values out of a URI decode them, so `%40` would be an `@` that nobody judged, and
/// `%2F` one more segment.
fn is_needed_escape(rest: &str) -> bool {
    let digits = rest.as_bytes().first_chunk::<2>();
    let upper = |b: &u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
    let byte = digits
        .filter(|digits| digits.iter().all(upper))
        .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
    let is_only_escaped = |b: u8| {
        matches!(b, b' ' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}') || !b.is_ascii()
    };
    byte.is_some_and(is_only_escaped)
}

fn hierarchy_is_canonical(scheme: &str, rest: &str) -> bool {
    let special = SPECIAL.iter().find(|(name, _)| *name == scheme);
    let Some(behind) = rest.strip_prefix("//") else {
        // A parser puts the slashes in, or the path is one word to it.
        return special.is_none() && !rest.starts_with('/') && has_no_dots(rest);
    };
    let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
    let (authority, path) = behind.split_at_checked(end).unwrap_or((behind, ""));
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    // Of a scheme that it doesn't know, a parser keeps the host as it is and takes a user, a port
    // and an address in brackets apart all the same.
    let authority_is_plain = !authority.contains(['@', '[', ']']) && port.is_none_or(is_plain_port);
    let sound = match special {
        // `https://h` is `https://h/`, and of `file:///x` the host is empty.
        Some((_, default_port)) => {
            path.starts_with('/')
                && !path.contains('\'')
                && port.is_none_or(|port| Some(port) != *default_port)
                && host_is_canonical(scheme, host, port)
        }
        None => true,
    };
    authority_is_plain && sound && has_no_dots(path)
}

fn is_plain_port(port: &str) -> bool {
    !port.starts_with('0') && port.parse::<u16>().is_ok() && !port.starts_with('+')
}

/// No other spelling of a host.
fn host_is_canonical(scheme: &str, host: &str, port: Option<&str>) -> bool {
    let letters = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    let last = host.rsplit('.').next().unwrap_or_default();
    // `127.1` and `0x7f.1` are addresses too, in another spelling; with a dot behind them as well.
    let numeric = last.starts_with(|c: char| c.is_ascii_digit());
    let is_address = || host.parse::<std::net::Ipv4Addr>().is_ok();
    match (scheme, host) {
        ("file", "") => port.is_none(),
        ("file", _) | (_, "") => false,
        _ => !last.is_empty() && host.bytes().all(letters) && (!numeric || is_address()),
    }
}

/// No segment that a parser resolves (RFC 3986 5.2.4).
fn has_no_dots(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split('/').all(|segment| !matches!(segment, "." | ".."))
}
