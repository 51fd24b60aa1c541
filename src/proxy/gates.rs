//! The gates of the page that are more than a look-up. Each answers one question, changes nothing
//! and writes nowhere.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::{
    oauth,
    place::{Place, Room},
    state::{DoorKind, State},
    strikes,
};
use crate::{
    policy::{
        AddressPolicy, Admittance, Certified, Consumers, Judgement, Principal, Standing, is_over,
    },
    snapshot::{
        Access, Dialect, Lead, McpLead, McpRoute, Route, Routes, Snapshot, UnknownKeys,
        UpstreamAuth, WebRoute,
    },
    types::{
        ClientCertificate, Credential, CredentialForm, Denial, KeyDigest, Limit, Malformation,
        Method, Name, Nanos, WebPath, is_key_segment,
    },
    upstream::World,
    wire::{Fields, Framing, RequestHead},
};

/// Each request of a connection that many share may take a connection upstream, so each takes a
/// place as a connection does: or 600 connections could hold all descriptors of the process. And where
/// memory is short nothing new is begun.
pub(super) fn room(room: &Room, state: &State) -> Result<(), Denial> {
    if state.pressure.memory_is_short() {
        return Err(Denial::Overload(Limit::Memory));
    }
    match room {
        Room::Connection | Room::Own(_) => Ok(()),
        Room::Lacking(limit) => Err(Denial::Overload(*limit)),
    }
}

/// OAuth discovery of clients that saw a 401. Anything but a clean 404 makes them demand OAuth, and
/// a visit upstream would cost the key's budget: one start of mcp-remote asks six times.
///
/// RFC 8414 puts the well-known words before the path of a resource, OpenID Connect Discovery behind
/// it, so they are looked for anywhere.
///
/// Only where there is an `mcp` route; what another site has there is its own. And where a route
/// passes the upstream's own OAuth, what leads to just that is let by.
pub(super) fn discovery(
    head: &RequestHead,
    lead: Result<&Lead<'_, '_>, &Denial>,
    routes: &Routes,
) -> Result<(), Denial> {
    let passes_oauth = lead.is_ok_and(|lead| lead.route().oauth.is_some());
    if passes_oauth || !routes.serve_mcp(head.host.name()) {
        return Ok(());
    }
    let seeks = match lead {
        Ok(Lead::Mcp(lead)) => {
            let segments = lead.path.segments().iter().map(|segment| segment.raw().as_bytes());
            seeks_oauth(head.method, segments)
        }
        // In whichever spelling; what can't be read at all is refused with its route.
        _ => {
            WebPath::read(head.target()).is_ok_and(|path| seeks_oauth(head.method, path.resolved()))
        }
    };
    if seeks { Err(Denial::Discovery) } else { Ok(()) }
}

fn seeks_oauth<'p>(method: Method, segments: impl Iterator<Item = &'p [u8]>) -> bool {
    let begins = |segment: &[u8], word: &str| {
        segment.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    };
    let (mut before, mut register) = (&b""[..], false);
    for (at, segment) in segments.enumerate() {
        let well_known = before.eq_ignore_ascii_case(b".well-known")
            && (begins(segment, "oauth-") || begins(segment, "openid-configuration"));
        let of_postiz = at < 2 && begins(segment, "mcp-oauth");
        if well_known || of_postiz {
            return true;
        }
        // Clients register by POST (RFC 7591 3.1); a page of that name may be anybody's.
        register = at == 0 && segment.eq_ignore_ascii_case(b"register") && method == Method::Post;
        before = segment;
    }
    register
}

/// The client's address: the peer, or behind a trusted proxy the hop that it wrote.
pub(super) fn client_address(
    head: &RequestHead,
    peer: IpAddr,
    access: &Access,
) -> Result<IpAddr, Denial> {
    let RequestHead { fields, dropped, .. } = head;
    // `wire` holds the usual names to this; it doesn't know the configured one.
    if dropped.iter().any(|name| **name == *access.trusted_header.as_bytes()) {
        return Err(Denial::Malformed(Malformation::Connection));
    }
    if fields.iter().any(|(name, _)| disguises(name, access.trusted_header.as_bytes())) {
        return Err(Denial::Malformed(Malformation::FieldName));
    }
    if !access.trusted_proxies.trusts(peer) {
        return Ok(crate::types::canonical(peer));
    }
    let lines: Vec<&[u8]> = fields.get_all(&access.trusted_header).collect();
    if lines.is_empty() {
        return Ok(crate::types::canonical(peer));
    }
    // Several lines are one list (RFC 9110 5.3).
    let hops = String::from_utf8(lines.join(&b','));
    let client = hops.ok().and_then(|hops| access.trusted_proxies.client(peer, &hops));
    client.ok_or(Denial::Malformed(Malformation::Field))
}

/// Whether a name is another spelling of the field, for a reader who takes `_` for `-`.
fn disguises(name: &[u8], field: &[u8]) -> bool {
    let same = |(a, b): (&u8, &u8)| a == b || matches!((a, b), (b'-' | b'_', b'-' | b'_'));
    name.len() == field.len() && name != field && name.iter().zip(field).all(same)
}

/// What a gate would have said if what is only observed were in force.
pub(super) type WouldBe = Option<Denial>;

/// The address policy of `[access]` and of the route.
pub(super) fn address(client: IpAddr, access: &Access, route: &Route) -> Result<WouldBe, Denial> {
    let of_access = comes_from(client, &access.nets)?;
    Ok(comes_from(client, &route.nets)?.or(of_access))
}

/// Whoever brings a request may still connect: the peer, where it tells of a client, and who told of
/// that peer by a PROXY header. A connection may be older than what keeps them out.
pub(super) fn brought_by(
    client: IpAddr,
    [peer, via]: [IpAddr; 2],
    access: &Access,
) -> Result<WouldBe, Denial> {
    if via != peer && !access.trusted_proxies.trusts(via) {
        return Err(Denial::Address);
    }
    let (mut would_be, peer) = (None, crate::types::canonical(peer));
    for other in [peer, crate::types::canonical(via)] {
        if other != client {
            would_be = would_be.or(comes_from(other, &access.nets)?);
        }
    }
    Ok(would_be)
}

/// The address policy of one place of the configuration.
pub(super) fn comes_from(client: IpAddr, nets: &AddressPolicy) -> Result<WouldBe, Denial> {
    match nets.judge(client) {
        Admittance::LetIn => Ok(None),
        Admittance::Observed => Ok(Some(Denial::Address)),
        Admittance::KeptOut => Err(Denial::Address),
    }
}

/// Whether the address is banned: asked before any key is looked at, so that right and wrong keys get
/// the same answer.
pub(super) fn banned(client: IpAddr, place: &Place<'_>) -> Result<WouldBe, Denial> {
    match strikes::judge(place, client) {
        Judgement::Free => Ok(None),
        Judgement::Observed => Ok(Some(Denial::Banned { retry_after: Duration::ZERO })),
        Judgement::Banned { retry_after, .. } => Err(Denial::Banned { retry_after }),
    }
}

/// Whether an operator has banned the address. What lives is ended by that alone: what others behind
/// one address guess doesn't end who had a right key.
pub(super) fn banned_by_operator(
    client: IpAddr,
    (state, snapshot): (&State, &Snapshot),
) -> Result<(), Denial> {
    let ban = state.bans.by_operator(&snapshot.bans, client, Nanos::now());
    ban.map_or(Ok(()), |retry_after| Err(Denial::Banned { retry_after }))
}

/// The scheme that the client used, as far as it can be known.
pub(super) fn scheme(
    fields: &Fields,
    peer: IpAddr,
    door: DoorKind,
    access: &Access,
) -> &'static str {
    let told = || access.trusted_proxies.trusts(peer).then(|| fields.get("x-forwarded-proto"));
    let is_https = door == DoorKind::Tls || told().flatten() == Some(b"https");
    if is_https { "https" } else { "http" }
}

/// A browser's Origin is the scheme and Host that it came to, or one of the route's list (MCP
/// transports, *Security Warning*: DNS rebinding). Without one it is no browser.
pub(super) fn origin(
    head: &RequestHead,
    scheme: &str,
    rules: &McpRoute,
) -> Result<Option<Box<str>>, Denial> {
    let mut origins = head.fields.get_all("origin");
    let Some(origin) = origins.next() else { return Ok(None) };
    let origin = std::str::from_utf8(origin).map_err(|_| Denial::Origin)?;
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let bare = |origin: &str| {
        let origin = origin.to_ascii_lowercase();
        origin.strip_suffix(default_port).map_or(origin.clone(), str::to_owned)
    };
    let listed = rules.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin));
    let own = bare(origin) == bare(&format!("{scheme}://{}", head.host));
    let single = origins.next().is_none();
    if single && (listed || own) { Ok(Some(origin.into())) } else { Err(Denial::Origin) }
}

/// The methods of an `mcp` route. `OPTIONS` is answered before this gate.
pub(super) const fn method(method: Method) -> Result<(), Denial> {
    match method {
        Method::Get | Method::Post | Method::Delete => Ok(()),
        _ => Err(Denial::Method),
    }
}

/// A body is JSON in UTF-8, as it stands: what a policy can't read, it can't judge.
pub(super) fn media_type(head: &RequestHead) -> Result<(), Denial> {
    if head.method != Method::Post {
        return Ok(());
    }
    let identity = |value: &[u8]| value.eq_ignore_ascii_case(b"identity");
    let mut types = head.fields.get_all("content-type");
    let json = types.next().is_some_and(is_json) && types.next().is_none();
    let plain = head.fields.get_all("content-encoding").all(identity);
    if json && plain { Ok(()) } else { Err(Denial::MediaType) }
}

fn is_json(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    essence.eq_ignore_ascii_case("application/json") && parts.all(utf8)
}

/// The methods of a page: any, but for those of the upstream's OAuth.
pub(super) fn page_method(method: Method, route: &Route) -> Result<(), Denial> {
    let takes = route.oauth.is_none_or(|part| oauth::takes(part, method));
    if takes { Ok(()) } else { Err(Denial::Method) }
}

/// Who a credential stands for, and that the certificate of its connection doesn't stand for somebody
/// else. Absent was refused before; wrong never goes on as a stranger where strangers aren't let in.
pub(super) fn identify(
    (key, certificate): (&KeyDigest, Option<&ClientCertificate>),
    (state, snapshot): (&State, &Snapshot),
    (route, rules): (&Name, &McpRoute),
) -> Result<Principal, Denial> {
    // Whoever's it is: where unknown keys are forwarded, a key that was taken out of the file is one.
    if state.revocations.has(|| state.fingerprints.mark(key)) {
        return Err(Denial::KeyRevoked);
    }
    let principal = match snapshot.consumers.find(key, SystemTime::now) {
        Standing::Known(consumer) if consumer.may_use(route) => Principal::Consumer(consumer),
        Standing::Known(_) => return Err(Denial::KeyUnknown),
        Standing::Expired => return Err(Denial::KeyExpired),
        Standing::Unknown => match rules.unknown_keys {
            UnknownKeys::Forward => Principal::Stranger,
            UnknownKeys::Refuse => return Err(Denial::KeyUnknown),
        },
    };
    certificate_agrees(&principal, certificate, &snapshot.consumers)?;
    Ok(principal)
}

/// A connection outlives whom its certificate was believed for: the list of those revoked may name it now.
pub(super) fn believed(certificate: Option<&ClientCertificate>) -> Result<(), Denial> {
    let withdrawn = certificate.is_some_and(ClientCertificate::is_withdrawn);
    if withdrawn { Err(Denial::Certificate) } else { Ok(()) }
}

/// A stolen key is worth nothing without the certificate that its consumer shows with it, and whoever
/// shows a consumer's certificate is that one and no other.
fn certificate_agrees(
    principal: &Principal,
    certificate: Option<&ClientCertificate>,
    consumers: &Consumers,
) -> Result<(), Denial> {
    let consumer = principal.consumer();
    let certified = certificate.map(|shown| (consumers.certified(shown), shown.ends_at));
    match certified {
        None | Some((Certified::Nobody, _)) => {
            let wants = consumer.is_some_and(|consumer| consumer.certificate.is_some());
            if wants { Err(Denial::Certificate) } else { Ok(()) }
        }
        Some((Certified::One(holder), ends_at)) => {
            let agrees = consumer.is_some_and(|consumer| consumer.name == holder.name);
            // A connection outlives what it began with.
            match (agrees, is_over(ends_at, SystemTime::now())) {
                (false, _) => Err(Denial::Certificate),
                (true, true) => Err(Denial::KeyExpired),
                (true, false) => Ok(()),
            }
        }
        Some((Certified::Several, _)) => Err(Denial::Certificate),
    }
}

/// What was admitted for a consumer may go on for that one alone: it was sent on with that one's key.
pub(super) fn is_still(consumer: Option<&Name>, principal: &Principal) -> Result<(), Denial> {
    let now = principal.consumer().map(|consumer| &consumer.name);
    if consumer.is_none() || consumer == now { Ok(()) } else { Err(Denial::KeyUnknown) }
}

/// The address policy of the consumer.
pub(super) fn consumer_address(principal: &Principal, client: IpAddr) -> Result<WouldBe, Denial> {
    principal.consumer().map_or(Ok(None), |consumer| comes_from(client, &consumer.nets))
}

/// A key that goes from `Authorization` into the path has to be one plain segment there. Encoded, a
/// key of `../auth` would lead past the path that was judged, wherever a server decodes before it
/// routes, as nginx does. The key that the configuration puts in is the operator's own.
pub(super) fn key_fits_path(
    credential: &Credential,
    principal: &Principal,
    auth: UpstreamAuth,
) -> Result<(), Denial> {
    let came_in_path = credential.form == CredentialForm::Path;
    let moves = !came_in_path && auth.form(credential.form) == CredentialForm::Path;
    let own = principal.consumer().is_none_or(|consumer| consumer.upstream_key.is_none());
    let misfit = moves && own && !is_key_segment(credential.key.expose());
    if misfit { Err(Denial::CredentialAmbiguous) } else { Ok(()) }
}

/// Behind a path without its key, Postiz reads `x` of `/mcp/x` as the key, past the one that was
/// judged. By its `dialect` a server is known to be one. The old `/mcp/KEY/sse` stays an endpoint.
pub(super) fn nothing_passes_for_a_key(
    credential: &Credential,
    lead: &McpLead<'_, '_>,
) -> Result<(), Denial> {
    let route = lead.route;
    let keyless = route.upstream_auth.form(credential.form) != CredentialForm::Path;
    let bare = match &*lead.rest {
        [] => true,
        [only] => only.raw().eq_ignore_ascii_case("sse") && credential.form == CredentialForm::Path,
        _ => false,
    };
    if keyless && route.upstream.dialect.is_some() && !bare {
        return Err(Denial::NoRoute);
    }
    Ok(())
}

/// A stream that a client opens at a stateless server is held for hours and never says anything. By a
/// 405 clients know that there is none (MCP transports, *Listening for Messages from the Server*).
pub(super) fn stream_says_something(
    method: Method,
    world: &World,
    route: &Route,
) -> Result<(), Denial> {
    let silent = method == Method::Get && world.dialect(route) == Some(Dialect::Stateless);
    if silent { Err(Denial::Method) } else { Ok(()) }
}

/// A body where the method gives it no meaning is where two servers part ways on what follows it
/// (RFC 9110 9.3.1): one waits for it, the other takes it for a request. No browser sends one.
pub(super) fn body_has_a_meaning(head: &RequestHead) -> Result<(), Denial> {
    let bare = matches!(head.framing, Framing::None | Framing::Length(0));
    match head.method {
        Method::Get | Method::Head if !bare => Err(Denial::Malformed(Malformation::Framing)),
        _ => Ok(()),
    }
}

/// A body that says how long it is is refused before any of it is read.
pub(super) fn body_fits(head: &RequestHead, rules: &WebRoute) -> Result<(), Denial> {
    match (head.framing, rules.max_body) {
        (Framing::Length(length), Some(most)) if length > most => Err(Denial::BodyTooLarge),
        _ => Ok(()),
    }
}
