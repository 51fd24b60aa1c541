use super::{place::Place, respond::Answer};
use crate::{
    types::{Denial, Path},
    wire::RequestHead,
};

/// What a redirect listener answers: the same path over TLS; but never on an `mcp` path, where the
/// key has travelled in clear already and a redirect would hide that it is burnt.
///
/// # Errors
/// `Insecure` on a path of an `mcp` route, `Host` and `Malformed` as anywhere.
pub(super) fn to_tls(place: &Place<'_>, head: &RequestHead, port: u16) -> Result<Answer, Denial> {
    let path = Path::read(head.target()).map_err(Denial::Malformed)?;
    match place.snapshot.routes.find(head.host.name(), &path) {
        Ok(_) => Err(Denial::Insecure),
        Err(Denial::NoRoute) => Ok(Answer::moved(&location(head, &path, port))),
        Err(denial) => Err(denial),
    }
}

fn location(head: &RequestHead, path: &Path<'_>, port: u16) -> String {
    let mut location = format!("https://{}", head.host.name());
    if port != 443 {
        location.push_str(&format!(":{port}"));
    }
    for segment in path.segments() {
        location.push('/');
        location.push_str(segment.raw());
    }
    if path.segments().is_empty() || path.trailing_slash() {
        location.push('/');
    }
    if let Some(query) = path.query() {
        location.push('?');
        location.push_str(query);
    }
    location
}
