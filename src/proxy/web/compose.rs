//! The request as it goes to the site: a head written anew, with the path as it came.

use super::super::{
    compose::{is_forwarding, write_forwarded, write_host},
    place::WebEntered,
};
use crate::{
    snapshot::{Endpoint, Routes},
    types::{Method, WebPath},
    wire::{
        Framing, RequestHead, Upgrade, end_head, write_content_length, write_field,
        write_request_line,
    },
};

/// The head of a request.
pub(super) fn head(
    (head, at): (&RequestHead, &Endpoint),
    entered: &WebEntered<'_, '_>,
    upgrade: Option<Upgrade>,
    routes: &Routes,
) -> Vec<u8> {
    let lead = &entered.lead;
    let mut out = Vec::with_capacity(512 + head.target().len());
    let mut target = stripped(lead.path.raw(), lead.route.upstream.strip_prefix.len()).to_owned();
    if let Some(query) = lead.path.query() {
        target.push('?');
        target.push_str(query);
    }
    write_request_line(&mut out, head.method, target.as_bytes());
    write_host(&mut out, head, (lead.route, at));
    let trusted = entered.source.address_field.as_bytes();
    for (name, value) in head.fields.iter() {
        let leaks = name == b"referer" && shows_key(value, routes);
        if !is_forwarding(name) && name != trusted && !leaks {
            write_field(&mut out, name, value);
        }
    }
    write_forwarded(&mut out, head, entered.source);
    match head.framing {
        Framing::Length(length) => write_content_length(&mut out, length),
        Framing::Chunked => write_field(&mut out, "transfer-encoding", b"chunked"),
        // RFC 9110 8.6: without a length some servers would wait for a body.
        Framing::None | Framing::UntilClose
            if matches!(head.method, Method::Post | Method::Put | Method::Patch) =>
        {
            write_content_length(&mut out, 0_u64);
        }
        Framing::None | Framing::UntilClose => {}
    }
    if let Some(Upgrade::WebSocket) = upgrade {
        write_field(&mut out, "connection", b"upgrade");
        write_field(&mut out, "upgrade", b"websocket");
    }
    end_head(&mut out);
    out
}

/// The path without its first segments. The route's templates begin with them, plainly spelled.
fn stripped(path: &str, segments: usize) -> &str {
    let mut rest = path;
    for _ in 0..segments {
        let inner = rest.strip_prefix('/').unwrap_or(rest);
        rest = inner.find('/').and_then(|at| inner.get(at..)).unwrap_or_default();
    }
    if rest.is_empty() { "/" } else { rest }
}

/// Whether a page that was come from has a key in its address, so that the site must not hear of it.
fn shows_key(referer: &[u8], routes: &Routes) -> bool {
    let Ok(address) = str::from_utf8(referer) else { return true };
    // A scheme and an authority, an authority alone, or a path (RFC 9110 10.1.3).
    let behind = address.find("://").map(|at| at + 3).or(address.starts_with("//").then_some(2));
    let path = match behind.and_then(|at| address.get(at..)) {
        Some(authority) => authority.find('/').and_then(|at| authority.get(at..)).unwrap_or("/"),
        None => address,
    };
    let in_path = WebPath::read(path).map_or(true, |path| routes.touch_mcp(&path));
    // Or what it leads back to: `/login?next=/api/mcp/KEY`.
    in_path || routes.name_mcp(&WebPath::decoded(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_off_by_segments() {
        for (path, segments, rest) in [
            ("/api/a/b", 1, "/a/b"),
            ("/api/", 1, "/"),
            ("/api", 1, "/"),
            ("/x/y//z%2F", 2, "//z%2F"),
            ("/a", 0, "/a"),
            ("/", 0, "/"),
        ] {
            assert_eq!(stripped(path, segments), rest, "{path}");
        }
    }
}
