//! The request as it goes upstream: a head written anew from the one reading, never copied.

use super::{
    admit::Admission,
    legacy,
    place::{McpEntered, Source},
    session,
};
use crate::{
    snapshot::{Endpoint, HostHeader, McpLead, Route, UpstreamAuth},
    types::{
        CredentialForm, KeyDigest, Method, Secret, Segment, Template, write_address,
        write_key_segment,
    },
    upstream::Asks,
    wire::{
        RequestHead, end_head, is_of_a_certificate, write_content_length, write_field,
        write_request_line,
    },
};

/// Fields that say where a request comes from or leads to: ours to write, whoever else did. What
/// proxies, clouds and servers call the client's address, and what would lead a server past the path
/// and method that were judged, or past its own checks (CVE-2025-29927, httpoxy). Sorted. What they
/// call its certificate is told by `wire`.
const FORWARDING: &[&[u8]] = &[
    b"cdn-src-ip",
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
    b"cf-pseudo-ipv4",
    b"client-ip",
    b"do-connecting-ip",
    b"fastly-client-ip",
    b"fly-client-ip",
    b"forwarded",
    b"forwarded-for",
    b"incap-client-ip",
    b"proxy",
    b"true-client-ip",
    b"wl-proxy-client-ip",
    b"x-accel-redirect",
    b"x-appengine-user-ip",
    b"x-azure-clientip",
    b"x-azure-socketip",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-envoy-external-address",
    b"x-forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-http-method",
    b"x-http-method-override",
    b"x-invoke-path",
    b"x-method-override",
    b"x-middleware-subrequest",
    b"x-nf-client-connection-ip",
    b"x-original-forwarded-for",
    b"x-original-uri",
    b"x-original-url",
    b"x-originating-ip",
    b"x-proxyuser-ip",
    b"x-real-client-ip",
    b"x-real-ip",
    b"x-remote-addr",
    b"x-remote-ip",
    b"x-rewrite-url",
    b"x-sucuri-clientip",
    b"x-vercel-forwarded-for",
];

/// Fields of the client that never go to an MCP server. `wire` has dropped what is hop-by-hop.
const DROPPED: &[&[u8]] = &[
    // Ours to write.
    b"authorization",
    session::FIELD.as_bytes(),
    // Compression holds events back, and a reflected key could be measured through it.
    b"accept-encoding",
    // May hold the address of a page with a key in it, or a browser's ambient rights.
    b"referer",
    b"cookie",
];

const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// Whether a lower-case name says where a request comes from or leads to.
pub(super) fn is_forwarding(name: &[u8]) -> bool {
    FORWARDING.binary_search(&name).is_ok()
        || name.starts_with(b"x-forwarded-")
        || is_of_a_certificate(name)
}

/// The path upstream, of which one segment may be a key. Kept to compare a redirect with.
pub(super) struct UpstreamPath(Vec<u8>);

impl UpstreamPath {
    /// The path without its query.
    fn bare(&self) -> &[u8] {
        self.0.split(|byte| *byte == b'?').next().unwrap_or_default()
    }

    /// The path that a redirect names, if it differs from this one in a trailing slash alone.
    pub(super) fn redirected(&self, location: &str, authority: &str) -> Option<Self> {
        let after = |scheme| location.strip_prefix(scheme)?.strip_prefix(authority);
        let path = match after("http://").or_else(|| after("https://")) {
            Some(path) => path,
            None => location,
        };
        let target = path.split('?').next()?.as_bytes();
        let with_slash = |short: &[u8], long: &[u8]| long.strip_suffix(b"/") == Some(short);
        let slash = with_slash(self.bare(), target) || with_slash(target, self.bare());
        let query = self.0.get(self.bare().len()..).unwrap_or_default();
        slash.then(|| Self([target, query].concat()))
    }
}

/// The public path with the prefix taken off, the key where `upstream_auth` wants it, and the
/// upstream's session in its place.
pub(super) fn path(entered: &McpEntered<'_, '_>, admission: &Admission) -> UpstreamPath {
    let lead = &entered.lead;
    let key = (form(entered, admission) == CredentialForm::Path).then(|| admission.upstream_key());
    let template = template(lead, key.is_some());
    let mut out = Vec::with_capacity(128);
    for part in template.parts().skip(lead.route.upstream.strip_prefix.len()) {
        match (part, key) {
            (Some(fixed), _) => write_segment(&mut out, fixed),
            (None, Some(key)) => write_key(&mut out, key),
            (None, None) => {}
        }
    }
    if let Some(key) = key.filter(|_| !template.has_key()) {
        write_key(&mut out, key);
    }
    for segment in rest(lead) {
        write_segment(&mut out, segment.raw());
    }
    if out.is_empty() || lead.path.trailing_slash() {
        out.push(b'/');
    }
    if let Some(query) = lead.path.query().and_then(legacy::without_token) {
        out.push(b'?');
        out.extend_from_slice(admission.session.put_into(query).as_bytes());
    }
    UpstreamPath(out)
}

/// How the key goes upstream.
fn form(entered: &McpEntered<'_, '_>, admission: &Admission) -> CredentialForm {
    entered.lead.route.upstream_auth.form(admission.credential.form)
}

/// The template that the path upstream is written by. For a key that has no place in the one that
/// the client used, it is the one that differs from it by `{key}` alone.
fn template<'s>(lead: &McpLead<'s, '_>, with_key: bool) -> &'s Template {
    let used = lead.template;
    let with_place = || lead.route.paths.iter().find(|other| other.adds_key_to(used));
    if with_key && !used.has_key() { with_place().unwrap_or(used) } else { used }
}

/// What follows the template. Where the key was taken out of a Postiz's path that is the `sse` of an
/// old URL, which it would read as a key; anything else was refused.
fn rest<'r, 'a>(lead: &'r McpLead<'_, 'a>) -> &'r [Segment<'a>] {
    let route = lead.route;
    let taken = route.upstream_auth == UpstreamAuth::Bearer && route.upstream.dialect.is_some();
    if taken { &[] } else { &lead.rest }
}

/// Writes a plain segment of a path.
pub(super) fn write_segment(out: &mut Vec<u8>, segment: &str) {
    out.push(b'/');
    out.extend_from_slice(segment.as_bytes());
}

/// Writes a key as a segment of a path.
pub(super) fn write_key(out: &mut Vec<u8>, key: &str) {
    out.push(b'/');
    write_key_segment(out, key);
}

/// A request as it goes upstream.
pub(super) struct Request<'a> {
    /// The head, and behind it a body that is small: one part is sent more cheaply than two.
    pub(super) head: Vec<u8>,
    /// The body where it isn't small.
    pub(super) body: &'a [u8],
}

/// A body up to this size is copied behind the head, in bytes.
const SMALL_BODY: usize = 4 * 1024;

/// The whole request, for the endpoint that it goes to.
pub(super) fn request<'a>(
    (head, at): (&RequestHead, &Endpoint),
    entered: &McpEntered<'_, '_>,
    admission: &'a Admission,
    path: &UpstreamPath,
) -> Request<'a> {
    let body = &**admission.body;
    let (copied, body) = if body.len() <= SMALL_BODY { (body, &[][..]) } else { (&[][..], body) };
    let mut out = Vec::with_capacity(512 + path.0.len() + copied.len());
    write_head(&mut out, (head, at), entered, (admission, path));
    out.extend_from_slice(copied);
    Request { head: out, body }
}

fn write_head(
    out: &mut Vec<u8>,
    (head, at): (&RequestHead, &Endpoint),
    entered: &McpEntered<'_, '_>,
    (admission, path): (&Admission, &UpstreamPath),
) {
    write_request_line(out, head.method, &path.0);
    write_host(out, head, (entered.lead.route, at));
    // The field of the client's address ends here whoever wrote it: the upstream may believe it too.
    let address = entered.source.address_field.as_bytes();
    let ends_here = |name: &[u8]| DROPPED.contains(&name) || is_forwarding(name) || name == address;
    for (name, value) in head.fields.iter().filter(|(name, _)| !ends_here(name)) {
        write_field(out, name, value);
    }
    write_credential(out, form(entered, admission), admission.upstream_key());
    if let Some(id) = &admission.session.field {
        write_field(out, session::FIELD, id.expose().as_bytes());
    }
    write_forwarded(out, head, entered.source);
    if head.method == Method::Post {
        write_content_length(out, admission.body.len());
    }
    end_head(out);
}

/// The request that ends a session as its own client would, with the path and key of this one.
pub(super) fn ending(
    (head, at): (&RequestHead, &Endpoint),
    entered: &McpEntered<'_, '_>,
    (admission, path): (&Admission, &UpstreamPath),
    id: &Secret,
) -> Option<Secret> {
    let mut out = Vec::with_capacity(512);
    write_request_line(&mut out, Method::Delete, path.bare());
    write_host(&mut out, head, (entered.lead.route, at));
    write_credential(&mut out, form(entered, admission), admission.upstream_key());
    write_field(&mut out, session::FIELD, id.expose().as_bytes());
    write_field(&mut out, "connection", b"close");
    end_head(&mut out);
    String::from_utf8(out).ok().map(Secret::new)
}

/// The requests that a gateway makes itself at a stream that clients share: one opens it by the path of
/// this request, the other posts to `posts_to`, and lacks its end.
pub(super) fn asks(
    (head, at): (&RequestHead, &Endpoint),
    entered: &McpEntered<'_, '_>,
    (admission, path): (&Admission, &UpstreamPath),
    posts_to: &UpstreamPath,
) -> Option<Asks> {
    let written = |method, path: &[u8], fields: &[(&str, &[u8])]| {
        let mut out = Vec::with_capacity(512);
        write_request_line(&mut out, method, path);
        write_host(&mut out, head, (entered.lead.route, at));
        write_credential(&mut out, form(entered, admission), admission.upstream_key());
        write_field(&mut out, "user-agent", USER_AGENT.as_bytes());
        for (name, value) in fields {
            write_field(&mut out, name, value);
        }
        out
    };
    let mut opening = written(Method::Get, path.bare(), &[("accept", &b"text/event-stream"[..])]);
    end_head(&mut opening);
    let posting = written(
        Method::Post,
        &posts_to.0,
        &[
            ("accept", b"application/json, text/event-stream"),
            ("content-type", b"application/json"),
            ("connection", b"close"),
        ],
    );
    let secret = |bytes| String::from_utf8(bytes).ok().map(Secret::new);
    Some(Asks { opening: secret(opening)?, posting: secret(posting)? })
}

/// What tells one shared stream of a server from another: the path in the one spelling that all others
/// mean, and the key. Neither the query nor the host: two streams of one key silence each other, whatever
/// else they were asked with.
pub(super) fn whose(admission: &Admission, path: &UpstreamPath) -> KeyDigest {
    let mut text = path.bare().to_ascii_lowercase();
    while text.ends_with(b"/") {
        text.pop();
    }
    text.push(b'\n');
    text.extend_from_slice(admission.upstream_key().as_bytes());
    Secret::new(hex::encode(text)).digest()
}

/// The key where it doesn't stand in the path already.
fn write_credential(out: &mut Vec<u8>, form: CredentialForm, key: &str) {
    match form {
        CredentialForm::Path => {}
        // Postiz knows only this spelling of the scheme.
        CredentialForm::Bearer | CredentialForm::Certificate => {
            write_field(out, "authorization", ["Bearer ", key].concat().as_bytes());
        }
        CredentialForm::Raw => write_field(out, "authorization", key.as_bytes()),
    }
}

/// Writes the one Host, for the endpoint that the request goes to.
pub(super) fn write_host(out: &mut Vec<u8>, head: &RequestHead, (route, at): (&Route, &Endpoint)) {
    let host: &[u8] = match &route.host_header {
        HostHeader::Endpoint => at.authority.as_bytes(),
        HostHeader::Client => head.host.authority(),
        HostHeader::Fixed(host) => host.as_bytes(),
    };
    write_field(out, "host", host);
}

/// Writes where the request comes from, as the one reading has it.
pub(super) fn write_forwarded(out: &mut Vec<u8>, head: &RequestHead, source: Source<'_>) {
    let mut text = Vec::with_capacity(40);
    write_address(&mut text, source.client);
    write_field(out, "x-forwarded-for", &text);
    write_field(out, "x-forwarded-proto", source.scheme.as_bytes());
    write_field(out, "x-forwarded-host", head.host.authority());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        types::{Denial, Malformation},
        wire::{HeadLimits, HeadScan, read_request_head},
    };

    #[test]
    fn what_never_goes_on_has_no_other_spelling_and_connection_takes_none_of_it_away() {
        let limits = HeadLimits { target: 1024, head: 1024, fields: 64 };
        let fault = |line: &str| {
            let raw = format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n");
            let mut buffer = raw.as_bytes().into();
            read_request_head(&mut HeadScan::default(), &mut buffer, limits).err()
        };
        assert!(FORWARDING.is_sorted());
        let certificates: [&[u8]; 3] = [b"client-cert", b"x-ssl-client-verify", b"x-tls-client-cn"];
        let all = DROPPED.iter().chain(FORWARDING).chain(&certificates);
        for name in all.map(|name| std::str::from_utf8(name).unwrap()) {
            let disguised = name.replace('-', "_");
            if disguised != name {
                let refused = Some(Denial::Malformed(Malformation::FieldName));
                assert_eq!(fault(&format!("{disguised}: x")), refused, "{disguised}");
            }
            let refused = Some(Denial::Malformed(Malformation::Connection));
            assert_eq!(fault(&format!("connection: {name}")), refused, "{name}");
        }
    }

    #[test]
    fn a_redirect_is_followed_for_a_trailing_slash_alone() {
        let path = UpstreamPath(b"/mcp/k?x=1".to_vec());
        let to = |location: &str| path.redirected(location, "10.0.0.1:3000").map(|path| path.0);
        assert_eq!(to("/mcp/k/").unwrap(), b"/mcp/k/?x=1");
        assert_eq!(to("http://10.0.0.1:3000/mcp/k/?x=1").unwrap(), b"/mcp/k/?x=1");
        for elsewhere in ["/mcp/k", "/login", "http://evil/mcp/k/", "//evil/mcp/k/", ""] {
            assert!(to(elsewhere).is_none(), "{elsewhere}");
        }
    }
}
