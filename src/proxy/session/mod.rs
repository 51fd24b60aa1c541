//! Sessions: the upstream's own id never reaches a client, and no id works for another client. What a
//! client gets is sealed, on its way down and opened on its way up, with no table in between.

mod seal;

use std::{ops::Range, sync::Arc};

pub use seal::Seal;
use seal::{Binding, Carrier};

use crate::{
    mcp::Heads,
    snapshot::{Endpoint, McpLead, Route},
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
    /// The endpoint that has it, where there are several.
    at: Option<Arc<Endpoint>>,
}

/// Opens what a request names. What doesn't open is unknown, whoever made it: another client's
/// session looks like one that never was.
pub(super) fn open(
    seal: &Seal,
    (fields, heads): (&Fields, &Heads<'_>),
    lead: &McpLead<'_, '_>,
    key: &KeyDigest,
) -> Result<Opened, Denial> {
    let (binding, endpoints) = (binding(key, lead.route), &lead.route.upstream.endpoints);
    let mut at: Option<&Arc<Endpoint>> = None;
    let mut opened = |carrier, text: &[u8]| {
        let opened = seal.open(carrier, binding, (endpoints, text));
        let (from, id) = opened.ok_or(Denial::Session)?;
        // Two sessions of two endpoints: no request can be sent to both.
        if at.replace(from).is_some_and(|other| !Arc::ptr_eq(other, from)) {
            return Err(Denial::Session);
        }
        Ok(id)
    };
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
    let at = at.filter(|_| endpoints.are_several()).cloned();
    Ok(Opened { versed, field, query, at })
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

/// The id that an endpoint's answer gives, as the client gets it.
pub(super) fn given(
    seal: &Seal,
    (at, fields): (&Endpoint, &Fields),
    (opened, key, route): (&Opened, &KeyDigest, &Route),
) -> Result<Option<String>, Denial> {
    let mut ids = fields.get_all(FIELD);
    match (ids.next(), ids.next()) {
        (Some(id), None) if opened.versed => {
            let sealed = seal.seal(Carrier::Field, binding(key, route), (at, id));
            sealed.map(Some).ok_or(Denial::UpstreamBad)
        }
        (Some(_), Some(_)) if opened.versed => Err(Denial::UpstreamBad),
        _ => Ok(None),
    }
}

/// The query of an endpoint that one of the upstream's announced, as the client gets it. `None` where it
/// names no session that could be told from another.
pub(super) fn announced(
    seal: &Seal,
    (at, query): (&Endpoint, &str),
    (key, route): (&KeyDigest, &Route),
) -> Option<String> {
    let sealed = |id: &str| seal.seal(Carrier::Query, binding(key, route), (at, id.as_bytes()));
    match parameter(query).ok()? {
        Some(place) => Some(replaced(query, place.clone(), &sealed(query.get(place)?)?)),
        None => Some(query.to_owned()),
    }
}

impl Opened {
    /// Whether the request names a session.
    pub(super) const fn any(&self) -> bool {
        self.field.is_some() || self.query.is_some()
    }

    /// The one endpoint that knows it, where there are several.
    pub(super) const fn at(&self) -> Option<&Arc<Endpoint>> {
        self.at.as_ref()
    }

    /// The stream that a message belongs to comes from there, whether or not it has a name.
    pub(super) fn has_stream(&mut self, at: &Arc<Endpoint>) {
        self.at.get_or_insert_with(|| Arc::clone(at));
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
    Binding { key, route: &route.name }
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
