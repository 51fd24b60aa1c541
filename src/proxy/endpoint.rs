//! The `endpoint` event of the legacy transport, mapped from the upstream's world to the client's.

use super::{
    admit::Admission,
    compose::{write_key, write_segment},
    events::{Events, First},
    leak,
    place::{McpEntered, Said},
    session,
    state::State,
};
use crate::{
    live::Life,
    mcp::{FirstEvent, Replaced, replace_data},
    snapshot::UpstreamAuth,
    types::{Credential, CredentialForm, Path, Segment, Template},
};

/// The first event of a stream as the client gets it, or a later one where these are looked at: an endpoint mapped to the public one, any other
/// as it is. `None` where an endpoint can't be mapped; it could hold the upstream's key.
pub(super) fn announce(
    events: &mut Events,
    (state, life): (&State, Option<&Life>),
    event: &[u8],
    Said { entered, admission, at, seat, .. }: Said<'_>,
) -> Option<Vec<u8>> {
    let is_first = matches!(events.first, First::Awaited(_));
    let short = admission.injected_key().filter(|key| !leak::is_veiled(key));
    events.first = short.map_or(First::Passed, |_| First::Watched(FirstEvent::default()));
    if !is_first {
        return later(event, short);
    }
    let credential = &admission.credential;
    let route = &entered.lead.route;
    let listening = state.legacy.open((&route.name, at), credential.digest, seat.cloned())?;
    let keys = (credential, admission.upstream_key());
    let replaced = replace_data(event, |announced| {
        public(announced, entered, keys, |query| {
            let (query, bound_to) = (query.unwrap_or_default(), (&credential.digest, &***route));
            let query = session::announced(&state.seal, (at, query), bound_to)?;
            if let (Some(life), Some(id)) = (life, session::named_in(&query)) {
                life.has_session(state.fingerprints.session(id));
            }
            Some(listening.with_token(&query))
        })
    });
    match replaced {
        Replaced::With(event) => {
            events.listening = Some(listening);
            Some(event)
        }
        // Not an endpoint, and still it must not show a key that the client doesn't have.
        Replaced::NotEndpoint
            if admission.injected_key().is_some_and(|key| leak::shows(event, key)) =>
        {
            None
        }
        Replaced::NotEndpoint => Some(event.to_vec()),
        Replaced::Unreadable => None,
    }
}

/// A later event as it is. `None` where it names an endpoint with a key that no veil covers: clients take
/// the last that they read.
fn later(event: &[u8], short: Option<&str>) -> Option<Vec<u8>> {
    let names_one = || replace_data(event, |_| None) != Replaced::NotEndpoint;
    let shown = short.is_some_and(|key| names_one() && leak::shows(event, key));
    (!shown).then(|| event.to_vec())
}

/// Where a client will post that reads this announced endpoint. `None` where it can't be mapped.
pub(super) fn target(
    announced: &str,
    entered: &McpEntered<'_, '_>,
    admission: &Admission,
) -> Option<String> {
    let keys = (&admission.credential, admission.upstream_key());
    public(announced, entered, keys, |query| Some(query.unwrap_or_default().to_owned()))
}

/// The public endpoint for the one that the upstream announced: an absolute path, because an origin
/// of ours could be wrong and one of the upstream's surely is. SDK clients refuse another origin.
///
/// `credential` is what the client presented, `upstream_key` what the upstream knows. `None` where
/// the announced endpoint or its query can't be read, or shows a key where the client has to find none.
fn public(
    announced: &str,
    entered: &McpEntered<'_, '_>,
    (credential, upstream_key): (&Credential, &str),
    query: impl FnOnce(Option<&str>) -> Option<String>,
) -> Option<String> {
    let target = without_origin(announced)?;
    let (target, key_at) = without_key(target, upstream_key);
    let path = Path::read(&target).ok()?;
    let shown = shown(entered, credential);
    let mut out = Vec::new();
    let rest = match key_at {
        Some(at) => {
            let (before, after) = path.segments().split_at_checked(at)?;
            write_prefix(&mut out, entered, (before, shown));
            if let Some(key) = shown {
                write_key(&mut out, key);
            }
            after.get(1..).unwrap_or_default()
        }
        None => write_lead(&mut out, entered, (path.segments(), credential)),
    };
    for segment in rest {
        write_segment(&mut out, segment.raw());
    }
    // Starlette's endpoint is `/messages/`, and without the slash it would redirect.
    if path.trailing_slash() {
        out.push(b'/');
    }
    if shown != Some(upstream_key)
        && [&*out, path.query().unwrap_or_default().as_bytes()]
            .iter()
            .any(|text| leak::shows(text, upstream_key))
    {
        return None;
    }
    let query = query(path.query())?;
    if !query.is_empty() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    String::from_utf8(out).ok()
}

/// The key that may stand in a public endpoint: none where the client keeps its own out of paths and
/// only `upstream_auth` brought it into one.
fn shown<'c>(entered: &McpEntered<'_, '_>, credential: &'c Credential) -> Option<&'c str> {
    let moved = credential.form != CredentialForm::Path
        && entered.lead.route.upstream_auth == UpstreamAuth::Path;
    (!moved).then(|| credential.key.expose())
}

/// Begins a public endpoint for one without a key segment, and says what follows. Where the client's
/// key was taken out of the path, it is put back; else the upstream's prefix is mapped to the public
/// one.
fn write_lead<'p, 'a>(
    out: &mut Vec<u8>,
    entered: &McpEntered<'_, '_>,
    (segments, credential): (&'p [Segment<'a>], &Credential),
) -> &'p [Segment<'a>] {
    let lead = &entered.lead;
    let taken_out =
        credential.form == CredentialForm::Path && lead.route.upstream_auth == UpstreamAuth::Bearer;
    let Some((template, rest)) = taken_out.then(|| lifted(entered, segments)).flatten() else {
        for fixed in &lead.route.upstream.strip_prefix {
            write_segment(out, fixed);
        }
        return segments;
    };
    for part in template.parts() {
        match part {
            Some(fixed) => write_segment(out, fixed),
            None => write_key(out, credential.key.expose()),
        }
    }
    rest
}

/// The template that an endpoint lies under but for its key, and what follows there: the one that the
/// client used, or another of the route.
fn lifted<'s, 'p, 'a>(
    entered: &McpEntered<'s, '_>,
    segments: &'p [Segment<'a>],
) -> Option<(&'s Template, &'p [Segment<'a>])> {
    let lead = &entered.lead;
    let behind = |template: &Template, skipped: usize| {
        let fixed = || template.parts().skip(skipped).flatten();
        let (head, rest) = segments.split_at_checked(fixed().count())?;
        head.iter().zip(fixed()).all(|(segment, fixed)| segment.is(fixed)).then_some(rest)
    };
    // Some announce their public prefix, and some don't know of it.
    let prefixes = [lead.route.upstream.strip_prefix.len(), 0];
    let templates = std::iter::once(lead.template).chain(&lead.route.paths);
    templates.filter(|template| template.has_key()).find_map(|template| {
        let rest = prefixes.iter().find_map(|skipped| behind(template, *skipped))?;
        Some((template, rest))
    })
}

/// The target with a plain segment in the place of the key, and which segment that is. The key is
/// looked for as it is written, because a path that holds `a/b` or `%3B` can't be read.
fn without_key(target: String, key: &str) -> (String, Option<usize>) {
    let found = target.match_indices('/').enumerate().find_map(|(at, (slash, _))| {
        let (before, rest) = target.split_at_checked(slash + 1)?;
        let after = rest.get(leak::length_of(rest.as_bytes(), key.as_bytes())?..)?;
        let whole = after.is_empty() || after.starts_with(['/', '?']);
        (whole && !before.contains('?')).then(|| (format!("{before}-{after}"), Some(at)))
    });
    found.unwrap_or((target, None))
}

/// What stands before the key: a template of the route that the upstream's own prefix leads to, for
/// Postiz announces `/message/KEY` on a stream of `/sse/KEY`; else the prefix that the client used.
fn write_prefix(
    out: &mut Vec<u8>,
    entered: &McpEntered<'_, '_>,
    (before, shown): (&[Segment<'_>], Option<&str>),
) {
    let route = &entered.lead.route;
    let before: Vec<&str> = before.iter().map(|segment| segment.raw()).collect();
    let stripped: Vec<&str> = route.upstream.strip_prefix.iter().map(|part| &**part).collect();
    let leads_to = |template: &&Template| {
        let fixed: Vec<&str> = template.parts().map_while(|part| part).collect();
        let same = |a: &[&str]| {
            a.len() == fixed.len() && a.iter().zip(&fixed).all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        let has_room = template.has_key() || shown.is_none();
        has_room && (same(&before) || same(&[&*stripped, &*before].concat()))
    };
    let template = route.paths.iter().find(leads_to).unwrap_or(entered.lead.template);
    for fixed in template.parts().map_while(|part| part) {
        write_segment(out, fixed);
    }
}

/// The path and query of a URI reference; an origin is dropped. A relative path would be resolved
/// by the client against a URL that it doesn't know to be rewritten, so it is made absolute here
/// only if it is absolute already.
fn without_origin(announced: &str) -> Option<String> {
    let rest = match announced.split_once("://") {
        Some(("http" | "https", rest)) => {
            let path = rest.find('/')?;
            rest.get(path..)?
        }
        Some(_) => return None,
        None => announced,
    };
    let absolute = rest.starts_with('/') && !rest.starts_with("//");
    absolute.then(|| rest.to_owned())
}
