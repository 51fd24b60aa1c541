//! Sessions: the upstream's own id never reaches a client, and no id works for another client. What a
//! client gets is sealed, on its way down and opened on its way up, with no table in between.

mod seal;

use std::ops::Range;

pub use seal::Seal;
use seal::{Binding, Carrier};

use crate::{
    mcp::Heads,
    snapshot::{McpLead, Route},
    types::{Denial, KeyDigest, Secret},
    wire::Fields,
};

/// The field that carries an id.
pub(super) const FIELD: &str = "mcp-session-id";

/// The sessions that a request names, with the upstream's own ids.
pub(super) struct Opened {
    /// Whether its version of the protocol has sessions. Where it hasn't, the field means nothing.
    versed: bool,
    /// Of the field.
    pub(super) field: Option<Secret>,
    /// Of the legacy transport's query.
    query: Option<Secret>,
}

/// Opens what a request names. What doesn't open is unknown, whoever made it: another client's
/// session looks like one that never was.
pub(super) fn open(
    seal: &Seal,
    (fields, heads): (&Fields, &Heads<'_>),
    lead: &McpLead<'_, '_>,
    key: &KeyDigest,
) -> Result<Opened, Denial> {
    let binding = binding(key, lead.route);
    let opened = |carrier, text: &[u8]| seal.open(carrier, binding, text).ok_or(Denial::Session);
    // Only who says in one word that it speaks a version without sessions has none.
    let versed = !heads.mirror();
    let mut ids = fields.get_all(FIELD);
    let field = match (ids.next(), ids.next()) {
        (Some(id), None) if versed => Some(opened(Carrier::Field, id)?),
        (Some(_), Some(_)) if versed => return Err(Denial::Session),
        _ => None,
    };
    // With every method: there are servers that let a GET name the stream that it wants to be.
    let query = lead.path.query().unwrap_or_default();
    let id = parameter(query).map_err(|_: Repeated| Denial::Session)?;
    let id = id.and_then(|at| query.get(at));
    let query = id.map(|id| opened(Carrier::Query, id.as_bytes())).transpose()?;
    Ok(Opened { versed, field, query })
}

/// The id of the session that a request names, as the client has it.
pub(super) fn named<'r>(
    opened: &Opened,
    fields: &'r Fields,
    lead: &'r McpLead<'_, '_>,
) -> Option<&'r [u8]> {
    if opened.field.is_some() {
        return fields.get(FIELD);
    }
    opened.query.as_ref()?;
    named_in(lead.path.query()?)
}

/// The same of a query.
pub(super) fn named_in(query: &str) -> Option<&[u8]> {
    query.get(parameter(query).ok()??).map(str::as_bytes)
}

/// The id that an answer gives, as the client gets it.
pub(super) fn given(
    seal: &Seal,
    fields: &Fields,
    (opened, key, route): (&Opened, &KeyDigest, &Route),
) -> Result<Option<String>, Denial> {
    let mut ids = fields.get_all(FIELD);
    match (ids.next(), ids.next()) {
        (Some(id), None) if opened.versed => {
            let sealed = seal.seal(Carrier::Field, binding(key, route), id);
            sealed.map(Some).ok_or(Denial::UpstreamBad)
        }
        (Some(_), Some(_)) if opened.versed => Err(Denial::UpstreamBad),
        _ => Ok(None),
    }
}

/// The query of an announced endpoint, as the client gets it. `None` where it names no session that
/// could be told from another.
pub(super) fn announced(
    seal: &Seal,
    query: &str,
    (key, route): (&KeyDigest, &Route),
) -> Option<String> {
    let sealed = |id: &str| seal.seal(Carrier::Query, binding(key, route), id.as_bytes());
    match parameter(query).ok()? {
        Some(at) => Some(replaced(query, at.clone(), &sealed(query.get(at)?)?)),
        None => Some(query.to_owned()),
    }
}

impl Opened {
    /// Whether the request names a session.
    pub(super) const fn any(&self) -> bool {
        self.field.is_some() || self.query.is_some()
    }

    /// A query as it goes upstream.
    pub(super) fn put_into(&self, query: String) -> String {
        match (parameter(&query), &self.query) {
            (Ok(Some(at)), Some(id)) => replaced(&query, at, id.expose()),
            _ => query,
        }
    }
}

fn binding<'b>(key: &'b KeyDigest, route: &'b Route) -> Binding<'b> {
    Binding { key, route: &route.name, authority: &route.upstream.endpoint.authority }
}

/// Whether a query names a session, of which nobody knows how many.
pub(super) fn is_named_in(query: &str) -> bool {
    !matches!(parameter(query), Ok(None))
}

/// A query that names two sessions: which of them counts is the server's to say.
struct Repeated;

/// Where in a query the id of a session stands.
fn parameter(query: &str) -> Result<Option<Range<usize>>, Repeated> {
    let (mut at, mut found) = (0, None);
    for parameter in query.split(['&', ';']) {
        let end = at + parameter.len();
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if names_session(name) && found.replace(end - value.len()..end).is_some() {
            return Err(Repeated);
        }
        at = end + 1;
    }
    Ok(found)
}

/// `sessionId`, `session_id`, and whatever a server may take for one of them. An encoded name was
/// refused with the credential, and `sessionId[]`, which frameworks read as a list, is no target.
fn names_session(name: &str) -> bool {
    // Frameworks read `session.id` and `?sessionId` as names of it too.
    let letters = || name.bytes().filter(u8::is_ascii_alphanumeric);
    let is = |word: &[u8]| letters().map(|byte| byte.to_ascii_lowercase()).eq(word.iter().copied());
    is(b"sessionid") || is(b"mcpsessionid")
}

fn replaced(query: &str, at: Range<usize>, id: &str) -> String {
    let before = query.get(..at.start).unwrap_or_default();
    let after = query.get(at.end..).unwrap_or_default();
    [before, id, after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_in_a_query_however_its_name_is_written() {
        let found = |query: &str| parameter(query).ok().map(|at| at.map(|at| query[at].to_owned()));
        for (query, id) in [
            ("sessionId=7", "7"),
            ("a=1&session_id=7", "7"),
            ("SESSIONID=7&b", "7"),
            ("a;session-id=7;b", "7"),
            ("sessionId=7=8", "7=8"),
            ("sessionId", ""),
            ("?sessionId=7", "7"),
            ("+session.id=7", "7"),
            ("mcp-session-id=7", "7"),
        ] {
            assert_eq!(found(query), Some(Some(id.to_owned())), "{query}");
        }
        for none in ["", "a=sessionId", "session=7", "mysessionid=7", "portcullis=7"] {
            assert_eq!(found(none), Some(None), "{none}");
        }
        for several in
            ["sessionId=7&sessionId=7", "sessionId=7&session_id=8", "sessionId=7;sessionid"]
        {
            assert_eq!(found(several), None, "{several}");
        }
    }
}
