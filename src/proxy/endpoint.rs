//! The `endpoint` event of the legacy transport, mapped from the upstream's world to the client's.

use super::{leak, place::McpEntered};
use crate::types::{Path, Template, write_key_segment};

/// The public endpoint for the one that the upstream announced: an absolute path, because an origin
/// of ours could be wrong and one of the upstream's surely is. SDK clients refuse another origin.
///
/// `key` is what the client presented, `upstream_key` what the upstream knows. `None` where the
/// announced endpoint can't be read, or shows a key that was injected where no key belongs.
pub(super) fn public(
    announced: &str,
    entered: &McpEntered<'_, '_>,
    (key, upstream_key): (&str, &str),
    query: impl FnOnce(Option<&str>) -> String,
) -> Option<String> {
    let target = without_origin(announced)?;
    let (target, key_at) = without_key(target, upstream_key);
    let path = Path::read(&target).ok()?;
    let segments = path.segments();
    let mut out = Vec::new();
    let rest = match key_at {
        Some(at) => {
            let (before, after) = segments.split_at_checked(at)?;
            let before: Vec<&str> = before.iter().map(|segment| segment.raw()).collect();
            write_prefix(&mut out, entered, &before);
            out.push(b'/');
            write_key_segment(&mut out, key);
            after.get(1..).unwrap_or_default()
        }
        // No key segment: the upstream's prefix is mapped to the public one.
        None => {
            for fixed in &entered.lead.route.upstream.strip_prefix {
                out.push(b'/');
                out.extend_from_slice(fixed.as_bytes());
            }
            segments
        }
    };
    for segment in rest {
        out.push(b'/');
        out.extend_from_slice(segment.raw().as_bytes());
    }
    // Starlette's endpoint is `/messages/`, and without the slash it would redirect.
    if path.trailing_slash() {
        out.push(b'/');
    }
    let injected = key != upstream_key;
    if injected
        && [&*out, path.query().unwrap_or_default().as_bytes()]
            .iter()
            .any(|text| leak::shows(text, upstream_key))
    {
        return None;
    }
    let query = query(path.query());
    if !query.is_empty() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    String::from_utf8(out).ok()
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
fn write_prefix(out: &mut Vec<u8>, entered: &McpEntered<'_, '_>, before: &[&str]) {
    let route = &entered.lead.route;
    let stripped: Vec<&str> = route.upstream.strip_prefix.iter().map(|part| &**part).collect();
    let leads_to = |template: &&Template| {
        let fixed: Vec<&str> = template.parts().map_while(|part| part).collect();
        let same = |a: &[&str]| {
            a.len() == fixed.len() && a.iter().zip(&fixed).all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        template.has_key() && (same(before) || same(&[&stripped, before].concat()))
    };
    let template = route.paths.iter().find(leads_to).unwrap_or(entered.lead.template);
    for fixed in template.parts().map_while(|part| part) {
        out.push(b'/');
        out.extend_from_slice(fixed.as_bytes());
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
