//! What the gateway says itself. Every refusal is rendered here and nowhere else.

use http::StatusCode;

use super::{
    cors, legacy,
    place::{End, Known, Next, Place},
    record,
    state::DoorKind,
};
use crate::{
    mcp::{self, Body, Kind, RpcId},
    observe::Outcome,
    snapshot::{Dialect, OauthPart, Refusals},
    types::{Denial, Method, RequestId, Untrusted},
    wire::{Client, Coding, Fields, Framing, Outgoing, RequestHead},
};

/// An answer of our own: small and whole.
pub(super) struct Answer {
    status: StatusCode,
    fields: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// A redirect. Never from an `mcp` path.
    pub(super) fn moved(location: &str) -> Self {
        Self {
            status: StatusCode::PERMANENT_REDIRECT,
            fields: vec![("location", location.to_owned())],
            body: String::new(),
        }
    }

    /// What an authority wants to see at a token (RFC 8555 8.3).
    pub(super) fn proof(text: &str) -> Self {
        let fields = vec![("content-type", "application/octet-stream".to_owned())];
        Self { status: StatusCode::OK, fields, body: text.to_owned() }
    }

    /// The answer to a browser's preflight; the origin has passed its gate, or there was none.
    pub(super) fn preflight(head: &RequestHead) -> Self {
        let mut fields = vec![("allow", METHODS.to_owned())];
        if head.fields.contains("origin") {
            fields.push(("access-control-allow-methods", METHODS.to_owned()));
            fields.push(("access-control-allow-headers", cors::allowed_headers(&head.fields)));
            fields.push(("access-control-max-age", "600".to_owned()));
        }
        Self { status: StatusCode::NO_CONTENT, fields, body: String::new() }
    }

    /// A refusal that is told with its HTTP status.
    fn denied(
        denial: Denial,
        (content_type, body): (&str, String),
        (methods, known): (&str, &Known),
    ) -> Self {
        let mut fields = refusal_fields(denial, known.id, content_type);
        match denial {
            Denial::Method => fields.push(("allow", methods.to_owned())),
            Denial::KeyMissing
            | Denial::KeyUnknown
            | Denial::KeyExpired
            | Denial::KeyRevoked
            | Denial::Certificate => {
                fields.push(("www-authenticate", challenge(known).to_owned()));
            }
            _ => {}
        }
        Self { status: denial.face().status, fields, body }
    }
}

/// Without `resource_metadata`: a client that finds it would ask for OAuth.
const CHALLENGE: &str = "Bearer realm=\"portcullis\"";

/// The challenge of a 401, whoever refuses (RFC 9110 15.5.2).
pub(super) fn challenge(known: &Known) -> &str {
    known.challenge.as_deref().unwrap_or(CHALLENGE)
}

/// The methods of an `mcp` route.
const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// The methods of an `mcp` route whose server has no stream to open.
const STATELESS_METHODS: &str = "POST, DELETE, OPTIONS";

/// The methods of a `web` route.
const SITE_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The methods of where a request went, as far as it got.
fn methods(place: &Place<'_>, known: &Known) -> &'static str {
    let any_site = || place.routes.iter().any(|route| route.is_web());
    match &known.route {
        Some(route) if route.is_web() => match route.oauth {
            Some(OauthPart::Read) => "GET, HEAD, OPTIONS",
            Some(OauthPart::Write) => "POST, OPTIONS",
            Some(OauthPart::Resource) | None => SITE_METHODS,
        },
        Some(route) if place.world.dialect(route) == Some(Dialect::Stateless) => STATELESS_METHODS,
        None if any_site() => SITE_METHODS,
        _ => METHODS,
    }
}

fn refusal_fields(
    denial: Denial,
    request: RequestId,
    content_type: &str,
) -> Vec<(&'static str, String)> {
    let mut fields =
        vec![("content-type", content_type.to_owned()), ("cache-control", "no-store".to_owned())];
    if let Some(seconds) = denial.retry_after_seconds(request) {
        fields.push(("retry-after", seconds.to_string()));
    }
    fields
}

/// Refuses a request and says what becomes of its connection.
pub(super) async fn refuse(
    place: &Place<'_>,
    client: &mut Client<'_>,
    known: &mut Known,
    (head, denial): (&RequestHead, Denial),
) -> End {
    let closes = closes(denial) && !is_of_one_behind_a_proxy(place, denial);
    if !closes && !known.body_begun {
        read_what_is_at_hand(client, head, known);
    }
    let answer = told_in_band(known, denial).unwrap_or_else(|| {
        let body = if shows_text(known, head) { text(known, denial) } else { json(known, denial) };
        Answer::denied(denial, body, (methods(place, known), known))
    });
    // Behind an offer to switch to another protocol nobody knows what the client's bytes would be.
    let offered = head.upgrade.is_some() && known.mcp_rules().is_none();
    let out_of_step = closes || !known.in_step || offered;
    let next = if out_of_step { Next::Linger } else { Next::Keep };
    let mut end = write(place, client, known, (Some(head), answer, next)).await;
    end.reason = Some(denial.face().reason);
    if end.outcome == Outcome::Answered {
        end.outcome = Outcome::Refused;
    }
    end
}

/// The status that a client is told a refusal with.
pub(super) fn status_of(known: &Known, denial: Denial) -> StatusCode {
    told_in_band(known, denial).map_or(denial.face().status, |answer| answer.status)
}

/// Refuses what never became a request; the connection closes.
pub(super) async fn refuse_unread(
    place: &Place<'_>,
    client: &mut Client<'_>,
    known: &Known,
    denial: Denial,
) -> End {
    let answer = Answer::denied(denial, json(known, denial), (METHODS, known));
    let end = write(place, client, known, (None, answer, Next::Linger)).await;
    End { reason: Some(denial.face().reason), outcome: Outcome::Refused, ..end }
}

/// Sends an answer that is no refusal.
pub(super) async fn send(
    place: &Place<'_>,
    client: &mut Client<'_>,
    known: &Known,
    (head, answer): (&RequestHead, Answer),
) -> End {
    let next = if known.in_step { Next::Keep } else { Next::Linger };
    write(place, client, known, (Some(head), answer, next)).await
}

/// A ban of one client behind a proxy is no reason to end a connection that others use too.
fn is_of_one_behind_a_proxy(place: &Place<'_>, denial: Denial) -> bool {
    let banned = matches!(denial, Denial::Banned { .. });
    banned && place.snapshot().access.trusted_proxies.trusts(place.peer)
}

/// Whether the connection ends with this denial. After most of them it can't be trusted to be in step.
const fn closes(denial: Denial) -> bool {
    matches!(
        denial,
        Denial::Malformed(_)
            | Denial::TargetTooLong
            | Denial::HeadTooLarge(_)
            | Denial::BodyTooLarge
            | Denial::Timeout(_)
            | Denial::Expectation
            // Not that it is out of step: who is banned shouldn't have one.
            | Denial::Banned { .. }
    )
}

/// A small body that came with its head costs nothing more to read, and lets the refusal carry the
/// request's id and the connection live on.
fn read_what_is_at_hand(client: &mut Client<'_>, head: &RequestHead, known: &mut Known) {
    let Framing::Length(length) = head.framing else { return };
    let Ok(length) = usize::try_from(length) else { return };
    if known.in_step {
        return;
    }
    let Some(body) = client.take_at_hand(length) else { return };
    known.in_step = true;
    if head.method == Method::Post {
        known.call = mcp::read(&body).ok();
    }
}

/// The refusal as an answer that a session survives, where the table of refusals says so: 200 and
/// an error by id, or on the legacy transport 202 and the error on the client's stream.
fn told_in_band(known: &Known, denial: Denial) -> Option<Answer> {
    let call = known.call.as_ref()?;
    if !denial.is_of_the_call() && !spares_sessions(known, call, denial) {
        return None;
    }
    let waits = |(_, message): &(usize, &mcp::Message)| message.kind == Kind::Request;
    let messages = call.messages().iter().enumerate().filter(waits);
    let errors: Vec<String> =
        messages.map(|(element, message)| refusal_of(known, denial, (element, message))).collect();
    if errors.is_empty() {
        return None;
    }
    let fields = refusal_fields(denial, known.id, JSON);
    if let Some(stream) = &known.legacy
        && errors.iter().all(|error| stream.tell(legacy::event(error)))
    {
        return Some(Answer { status: StatusCode::ACCEPTED, fields, body: String::new() });
    }
    let body = match call {
        Body::One(_) => errors.concat(),
        Body::Batch(_) => format!("[{}]", errors.join(",")),
    };
    Some(Answer { status: StatusCode::OK, fields, body })
}

/// Whether a limit is told with 200, because some clients give up their session over a 429. There is
/// none to lose where one is only begun.
fn spares_sessions(known: &Known, call: &Body, denial: Denial) -> bool {
    let in_band = known.mcp_rules().is_some_and(|rules| rules.refusals == Refusals::InBand);
    let begins = call.single().is_some_and(|m| m.method == mcp::Method::Initialize);
    in_band && matches!(denial, Denial::Rate { .. } | Denial::Budget { .. }) && !begins
}

/// The refusal of one message; of the others of a batch too, if only one is at fault.
fn refusal_of(known: &Known, denial: Denial, (element, message): (usize, &mcp::Message)) -> String {
    if known.refused.as_ref().is_some_and(|judged| judged.element != element) {
        let code = Denial::NotRpc.face().code;
        return with_data(known, denial, &message.id, (code, BATCH_TEXT));
    }
    let words = known.refused.as_ref().and_then(|judged| judged.words.as_deref());
    let told = match (words, message.named()) {
        (Some(words), _) => Some(escaped(words)),
        (None, Some(name)) if matches!(denial, Denial::Tool | Denial::Prompt) => Some(echoed(name)),
        _ => None,
    };
    let text = denial.text(known.id);
    let text = told.map_or(text.clone(), |told| format!("{text}: {told}").into());
    with_data(known, denial, &message.id, (denial.face().code, &text))
}

const BATCH_TEXT: &str = "Refused with its batch: another message of it isn't allowed.";

/// A name as it may be said back: cut, and of letters that are nothing else anywhere.
fn echoed(name: &Untrusted) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    name.as_str().chars().filter(plain).take(Untrusted::SHOWN_CHARS).collect()
}

/// The words of the configuration within a JSON text.
fn escaped(words: &str) -> String {
    let json = serde_json::Value::from(words).to_string();
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// The last events of a stream that ends early: an error for each call that waits.
pub(super) fn last_words(known: &Known, denial: Denial) -> Vec<String> {
    let messages = known.call.as_ref().map_or(&[][..], Body::messages);
    let waiting = messages.iter().filter(|message| message.kind == Kind::Request);
    waiting.map(|message| legacy::event(&error_body(known, denial, &message.id))).collect()
}

/// The same of one that was ended from outside. Where nobody waits for an answer it is a comment, and
/// nothing says when to come back.
pub(super) fn parting(known: &Known, why: Denial) -> Vec<String> {
    let errors = last_words(known, why);
    if errors.is_empty() { vec![format!(": ended: {}\n\n", outside(why))] } else { errors }
}

const JSON: &str = "application/json";

/// The body of a refusal that is told with its status: with the id, where there is one call.
fn json(known: &Known, denial: Denial) -> (&'static str, String) {
    let single = known.call.as_ref().and_then(Body::single);
    (JSON, error_body(known, denial, single.map_or(&RpcId::NULL, |message| &message.id)))
}

/// The same for a person at a browser.
fn text(known: &Known, denial: Denial) -> (&'static str, String) {
    let (text, reason) = (denial.text(known.id), denial.face().reason);
    ("text/plain; charset=utf-8", format!("{text}\n\n{reason}, request {}\n", known.id))
}

/// Whether a browser shows the refusal to a person: it asked for a page, and not for JSON, and not
/// of an MCP server.
fn shows_text(known: &Known, head: &RequestHead) -> bool {
    let accepts = |kind: &str| {
        let mut accepted = head.fields.get_all("accept");
        accepted.any(|value| memchr::memmem::find(value, kind.as_bytes()).is_some())
    };
    known.mcp_rules().is_none() && accepts("text/html") && !accepts("json")
}

fn error_body(known: &Known, denial: Denial, id: &RpcId) -> String {
    with_data(known, denial, id, (denial.face().code, &denial.text(known.id)))
}

fn with_data(known: &Known, denial: Denial, id: &RpcId, (code, text): (i32, &str)) -> String {
    let reason = outside(denial);
    let wait = denial
        .retry_after()
        .map_or_else(String::new, |wait| format!(r#","retry_after_ms":{}"#, wait.as_millis()));
    let data = format!(r#"{{"reason":"{reason}","request_id":"{}"{wait}}}"#, known.id);
    mcp::error_response(id, code, text, &data)
}

/// The word for the outside. Missing, wrong, expired and revoked look alike there; the log has the word.
const fn outside(denial: Denial) -> &'static str {
    let face = denial.face();
    if face.status.as_u16() == 401 { "unauthorized" } else { face.reason }
}

/// Writes an answer in one go.
async fn write(
    place: &Place<'_>,
    client: &mut Client<'_>,
    known: &Known,
    (head, answer, next): (Option<&RequestHead>, Answer, Next),
) -> End {
    let persistent = head.is_some_and(|head| head.persistent) && !place.draining.has_begun();
    let next = if next == Next::Keep && !persistent { Next::Close } else { next };
    let mut out = client.answer(answer.status);
    for (name, value) in &answer.fields {
        out.field(name, value.as_bytes());
    }
    write_own_fields(&mut out, place.door.kind, known);
    let length = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
    let coding = match known.method {
        _ if answer.status == StatusCode::NO_CONTENT => Coding::Absent(None),
        Method::Head => Coding::Absent(Some(length)),
        _ => Coding::Length(length),
    };
    out.end_head(coding, next == Next::Keep);
    if !matches!(coding, Coding::Absent(_)) {
        out.put(answer.body.as_bytes());
    }
    out.end();
    let written = client.send(&mut out, place.snapshot().timeouts.write_stall).await;
    let written = record::was_sent(place, &written);
    End {
        status: Some(answer.status.as_u16()),
        outcome: if written { Outcome::Answered } else { Outcome::ClientGone },
        reason: None,
        first_byte: Some(known.started.elapsed()),
        bytes_out: u64::try_from(answer.body.len()).unwrap_or(u64::MAX),
        next: if written { next } else { Next::Close },
    }
}

/// The fields that every answer on an `mcp` route carries, whoever it is from.
pub(super) fn write_own_fields(out: &mut Outgoing, door: DoorKind, known: &Known) {
    // A page that followed a link with a key in it would send the key on as its Referer.
    out.field("referrer-policy", b"no-referrer");
    write_hsts(out, door);
    if let Some(origin) = &known.origin {
        cors::write(out, origin);
    }
}

/// The fields that every answer of a site carries, unless it says something else itself.
pub(super) fn write_site_fields(out: &mut Outgoing, door: DoorKind, said: &Fields) {
    if !said.contains("strict-transport-security") {
        write_hsts(out, door);
    }
}

fn write_hsts(out: &mut Outgoing, door: DoorKind) {
    if door == DoorKind::Tls {
        // Without subdomains: they are not ours to bind.
        out.field("strict-transport-security", b"max-age=63072000");
    }
}
