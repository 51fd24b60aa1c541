//! What a call says, judged: its head against its body, and what it asks for against the rules.

use std::sync::Arc;

use jiff::Timestamp;

use super::place::Judged;
use crate::{
    live::Asked,
    mcp::{self, Body, Heads, Kind, Line, Message, Method, Subject},
    policy::{Consumer, Rulebook},
    snapshot::McpRoute,
    types::Denial,
    upstream::Server,
    wire::Fields,
};

/// What the head says of the body.
pub(super) fn heads(fields: &Fields) -> Heads<'_> {
    let line = |name| {
        let mut lines = fields.get_all(name);
        match (lines.next(), lines.next()) {
            (None, _) => Line::Absent,
            (Some(value), None) => Line::One(value),
            (Some(_), Some(_)) => Line::Several,
        }
    };
    Heads {
        version: line("mcp-protocol-version"),
        method: line("mcp-method"),
        name: line("mcp-name"),
    }
}

/// The head agrees with the body, and the version has what the body is. Whoever behind us goes by
/// the head would otherwise do another thing than what was judged.
pub(super) fn head_agrees(heads: &Heads<'_>, call: &Body) -> Result<(), Denial> {
    match call {
        Body::Batch(_) if !heads.have_batches() => Err(Denial::NotRpc),
        call if !heads.agree_with(call) => Err(Denial::HeadMismatch),
        _ => Ok(()),
    }
}

/// The rules of the route and of the consumer, and which tools are no longer what they were; `None`
/// where there is nothing to judge by.
pub(super) fn rulebook(
    route: &McpRoute,
    consumer: Option<&Arc<Consumer>>,
    server: Option<&Server>,
) -> Option<Rulebook> {
    let of_consumer = consumer.and_then(|consumer| consumer.rules.as_ref());
    let pins = server.and_then(Server::pins).filter(|pins| pins.are_enforced());
    Rulebook::pinned(Rulebook::of(route.rules.as_ref(), of_consumer), pins)
}

/// What was asked for by name may still be had.
pub(super) fn still(book: Option<&Rulebook>, asked: &[Asked]) -> Result<(), Denial> {
    let Some(book) = book else { return Ok(()) };
    asked.iter().try_for_each(|asked| match asked {
        Asked::Tool(name) if !book.tool(name.as_str()) => Err(Denial::Tool),
        Asked::Prompt(name) if !book.prompt(name.as_str()) => Err(Denial::Prompt),
        Asked::Tool(_) | Asked::Prompt(_) => Ok(()),
    })
}

/// Every message asks for what the rules let it have. One that doesn't takes its batch with it.
pub(super) fn calls(
    book: Option<&Rulebook>,
    heads: &Heads<'_>,
    (call, body): (&Body, &[u8]),
) -> Result<(), Judged> {
    let Some(book) = book else { return Ok(()) };
    let mirrors = heads.mirror();
    for (element, asked) in call.messages().iter().enumerate() {
        let refuse = |(denial, words)| Judged { element, denial, words };
        message(book, asked, mirrors).map_err(|denial| refuse((denial, None)))?;
        arguments(book, asked, body).map_err(refuse)?;
    }
    Ok(())
}

/// The arguments of a tool are what the rules of everyone want them to be. A call without any has
/// none of them.
fn arguments(
    book: &Rulebook,
    message: &Message,
    body: &[u8],
) -> Result<(), (Denial, Option<Arc<str>>)> {
    let Some(tool) = message.tool() else { return Ok(()) };
    let written = message.arguments_in(body).unwrap_or("{}");
    for rules in book.arguments(tool.as_str()) {
        let (now, mut broken) = (Timestamp::now(), None);
        let walked = mcp::look_at(written, rules.pointers(), |pointer, found| {
            rules.hold(pointer, found, now).map_break(|words| broken = Some(words))
        });
        walked.map_err(|denial| {
            let too_much = denial == Denial::Argument;
            (denial, too_much.then(|| "there are too many of them to be judged".into()))
        })?;
        if broken.is_some() {
            return Err((Denial::Argument, broken));
        }
    }
    Ok(())
}

/// One message asks for what the rules let it have. `mirrors`: it is of a version that mirrors it in
/// the head.
pub(super) fn message(book: &Rulebook, message: &Message, mirrors: bool) -> Result<(), Denial> {
    // An answer gives, and asks for nothing.
    if message.kind == Kind::Response {
        return Ok(());
    }
    let unknown = if mirrors { Denial::MethodGone } else { Denial::MethodDenied };
    let (allowed, denial) = match (message.method, &message.subject) {
        // Replaced by `subscriptions/listen`, which is judged by the same URIs.
        (Method::Resource("resources/subscribe" | "resources/unsubscribe"), _) if mirrors => {
            (false, unknown)
        }
        (Method::ToolsCall, Subject::Tool(name)) => (book.tool(name.as_str()), Denial::Tool),
        (Method::PromptsGet | Method::Complete, Subject::Prompt(name)) => {
            (book.prompt(name.as_str()), Denial::Prompt)
        }
        (Method::Resource(_), Subject::Resource(uri)) => {
            (book.resource(uri.as_str()), Denial::Resource)
        }
        (Method::Complete, Subject::Template(uri)) => {
            (book.template(uri.as_str()), Denial::Resource)
        }
        (Method::Listen, Subject::Resources(uris)) => {
            (uris.iter().all(|uri| book.resource(uri.as_str())), Denial::Resource)
        }
        // Names nothing, or nothing that can be read.
        (Method::ToolsCall, _) => (false, Denial::Tool),
        (Method::PromptsGet, _) => (false, Denial::Prompt),
        (Method::Resource(_) | Method::Complete | Method::Listen, _) => (false, Denial::Resource),
        // Nobody knows what it would do; the list of tasks is of every tool's.
        (Method::Other | Method::OfServers(_) | Method::TasksList, _) => (false, unknown),
        (
            Method::Initialize
            | Method::Discover
            | Method::ToolsList
            | Method::Task(_)
            | Method::Known(_),
            _,
        ) => (true, unknown),
    };
    if allowed { Ok(()) } else { Err(denial) }
}
