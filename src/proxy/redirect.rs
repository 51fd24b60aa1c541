use super::{
    gates,
    place::{Known, Place},
    respond::Answer,
};
use crate::{
    types::{Denial, WebPath},
    wire::RequestHead,
};

/// What a redirect listener answers: what an authority wants to see, where it waits for that; else the
/// same path over TLS; but never on an `mcp` path, where the
/// key has travelled in clear already and a redirect would hide that it is burnt.
///
/// # Errors
/// `Address` and `Banned` as anywhere, `Insecure` on a path of an `mcp` route or of its OAuth, `Host` and `Malformed` as anywhere.
pub(super) fn to_tls(
    place: &Place<'_>,
    head: &RequestHead,
    (port, known): (u16, &mut Known),
) -> Result<Answer, Denial> {
    let (routes, access) = (place.routes, &place.snapshot().access);
    let client = gates::client_address(head, place.peer, access)?;
    known.client = client;
    known.would_be(gates::comes_from(client, &access.nets)?);
    known.would_be(gates::banned(client, place)?);
    if let Some(proof) = place.state.tokens.answer(head.method, head.target()) {
        return Ok(Answer::proof(&proof));
    }
    // In whatever spelling: the redirect repeats the path.
    let path = WebPath::read(head.target()).map_err(Denial::Malformed)?;
    if routes.touch_mcp(&path) || routes.touch_oauth(&path) {
        return Err(Denial::Insecure);
    }
    match routes.find(head.host.name(), head.target()) {
        Ok(_) | Err(Denial::NoRoute) => Ok(Answer::moved(&location(head, port))),
        Err(denial) => Err(denial),
    }
}

fn location(head: &RequestHead, port: u16) -> String {
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    format!("https://{}{port}{}", head.host.name(), head.target())
}
