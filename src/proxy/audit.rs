//! What is audited of calls: taken down where they are judged, because their body is gone when the
//! exchange ends, and written when it has. Where the configuration wants the record first, a call
//! waits for it on the page.

use std::{ops::ControlFlow, time::Duration};

use tokio::time::sleep;

use super::{
    leak,
    place::{Known, Place, Stopped},
    record,
};
use crate::{
    mcp::{self, Body, Message, Method, RpcId, Subject},
    observe::{AuditSink, AuditedCall, Event, MASK, Named, Noted, Record},
    policy::{AuditFields, AuditLevel, Principal},
    snapshot::McpRoute,
    types::{ArgumentsKey, Credential, Denial, Limit, Secret, Untrusted},
    wire::{Client, within},
};

/// How long a call waits for its record. A disk that takes longer is no place for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most values that are noted of one call.
const VALUES: usize = 32;

/// The most bytes that the values of one call take.
const OF_CALL: usize = 4 << 10;

/// The same of one exchange: it may take hours, and no account of memory has them.
const OF_EXCHANGE: usize = 16 << 10;

/// The longest name that is noted, in characters. What is longer is the name of nothing.
const NAME: usize = 256;

/// Where records go, and what makes digests.
pub struct Auditor {
    /// Where records go.
    pub sink: AuditSink,
    /// The key of digests, where they are wanted.
    pub key: Option<ArgumentsKey>,
}

/// What is noted of the calls of a body.
#[derive(Default)]
pub(super) struct Audited {
    calls: Vec<AuditedCall>,
    /// None of them goes upstream before its record is written.
    come_first: bool,
}

/// Takes down the calls of a body. Of one that is refused for its rate, which costs its client nothing,
/// the first alone and by its name: a key over its rate could else turn the whole audit over.
pub(super) fn note(
    place: &Place<'_>,
    (rules, principal, credential): (&McpRoute, &Principal, &Credential),
    (call, body, whole): (&Body, &[u8], bool),
) -> Audited {
    let consumer = principal.consumer();
    let level = AuditLevel::of(rules.audit, consumer.and_then(|consumer| consumer.audit));
    let come_first = level == AuditLevel::Required && call.messages().iter().any(is_audited);
    let (Some(auditor), Some(settings)) = (&place.state.audit, &place.snapshot().audit) else {
        return Audited { calls: Vec::new(), come_first };
    };
    if level == AuditLevel::Off {
        return Audited::default();
    }
    let injected = consumer.and_then(|consumer| consumer.upstream_key.as_ref());
    let keys = [Some(&credential.key), injected];
    let is_secret = |text: &str| {
        keys.into_iter().flatten().any(|key| leak::shows(text.as_bytes(), Secret::expose(key)))
    };
    let (fields, key) = (&*settings.fields, auditor.key.as_ref());
    let mut room = OF_EXCHANGE;
    let most = if whole { usize::MAX } else { 1 };
    let audited = call.messages().iter().filter(|message| is_audited(message)).take(most);
    let noted = audited.map(|message| {
        let mut noted = one(message, &is_secret);
        if !whole {
            return noted;
        }
        let arguments = message.arguments_in(body);
        noted.digest = key.zip(arguments).map(|(key, text)| key.digest(text.as_bytes()));
        choose(fields, (message, arguments), (&mut noted, &mut room), &is_secret);
        noted
    });
    Audited { calls: noted.collect(), come_first }
}

/// Whether a message uses something of the server by name. Lists, sessions and pings don't.
const fn is_audited(message: &Message) -> bool {
    matches!(message.method, Method::ToolsCall | Method::PromptsGet | Method::Resource(_))
}

fn one(message: &Message, is_secret: &impl Fn(&str) -> bool) -> AuditedCall {
    let shown = |name: &Untrusted| match name.as_str().char_indices().nth(NAME) {
        _ if is_secret(name.as_str()) => Untrusted::new(MASK),
        Some((end, _)) => Untrusted::new(name.as_str().get(..end).unwrap_or_default()),
        None => name.clone(),
    };
    let id = (message.id != RpcId::NULL).then(|| {
        let text = message.id.as_json();
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        shown(&Untrusted::new(bare.unwrap_or(text)))
    });
    AuditedCall {
        method: message.method.as_str(),
        named: match &message.subject {
            Subject::Tool(name) => Named::Tool(shown(name)),
            Subject::Prompt(name) => Named::Prompt(shown(name)),
            Subject::Resource(uri) => Named::Resource(shown(uri)),
            _ => Named::Nothing,
        },
        rpc_id: id,
        digest: None,
        arguments: Vec::new(),
        is_partial: false,
    }
}

/// Notes the arguments that the configuration chooses, as far as there is room.
fn choose(
    fields: &[AuditFields],
    (message, arguments): (&Message, Option<&str>),
    (noted, room): (&mut AuditedCall, &mut usize),
    is_secret: &impl Fn(&str) -> bool,
) {
    let Some((tool, arguments)) = message.tool().zip(arguments) else { return };
    let mut left = OF_CALL.min(*room);
    let before = left;
    let of_tool = || fields.iter().filter(|fields| fields.are_of(tool.as_str()));
    for (index, fields) in of_tool().enumerate() {
        let walked = mcp::look_at(arguments, fields.pointers(), |pointer, found| {
            let name = fields.name(pointer);
            let Some((name, value)) = name.zip(Noted::of(found, is_secret)) else {
                return ControlFlow::Continue(());
            };
            if of_tool().take(index).any(|before| before.have(name)) {
                return ControlFlow::Continue(());
            }
            if noted.arguments.len() == VALUES || value.size() > left {
                noted.is_partial = true;
                return ControlFlow::Break(());
            }
            left -= value.size();
            noted.arguments.push((name.clone(), value));
            ControlFlow::Continue(())
        });
        // Nobody is refused for that here. But who reads the record has to know that a server may
        // have read another argument.
        noted.is_partial |= walked.is_err();
    }
    *room -= before - left;
}

/// Where the record comes first, waits until it is written: what isn't in the audit doesn't happen.
pub(super) async fn begun(
    place: &Place<'_>,
    known: &Known,
    client: &mut Client<'_>,
) -> Result<(), Stopped> {
    let Audited { calls, come_first } = &known.audited;
    if !come_first {
        return Ok(());
    }
    let begin = |auditor: &Auditor| {
        let upstream = known.route.as_ref().map(|route| route.upstream.name.clone());
        let so_far = record::so_far(place, known, Event::Exchange);
        auditor.sink.begin(&Record { upstream, ..so_far }, calls)
    };
    let refused = Denial::Overload(Limit::Audit);
    let written = place.state.audit.as_deref().and_then(begin).ok_or(refused)?;
    let mut draining = place.draining.clone();
    tokio::select! {
        biased;
        written = within(|| sleep(PATIENCE), written) => match written {
            Some(Ok(())) => Ok(()),
            // It can't be written, or not in time.
            Some(Err(_)) | None => Err(refused.into()),
        },
        () = client.gone() => Err(Stopped::Gone),
        () = draining.cut() => Err(Denial::Overload(Limit::Shutdown).into()),
    }
}

/// Records calls whose exchange has ended.
pub(super) fn ended(place: &Place<'_>, known: &Known, record: &Record) {
    if let Some(auditor) = &place.state.audit {
        auditor.sink.record(record, &known.audited.calls);
    }
}
