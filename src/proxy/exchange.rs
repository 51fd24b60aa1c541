use super::{
    admit, alive, forward,
    place::{End, Entered, Known, McpEntered, Place, Stopped},
    record, redirect, relay,
    respond::{self, Answer},
    session,
    state::DoorKind,
    strikes, tool_limits, web,
};
use crate::{
    mcp::Body,
    snapshot::Lead,
    types::{Denial, Method},
    wire::{Client, Framing, RequestHead},
};

/// Runs one exchange to its end and notes what became of it.
pub(super) async fn run(place: &mut Place<'_>, client: &mut Client<'_>, head: &RequestHead) -> End {
    let mut known = Known::arrived(place, head.method, head.framing);
    let answered = answer(place, client, head, &mut known).await;
    // It has ended, but for its last words.
    let was_admitted = place.life.take().is_some();
    let mut end = match answered {
        Ok(end) => end,
        Err(Stopped::Denied(denial)) => {
            record::reached(place, denial);
            // Before it is told: who takes no answer would guess on meanwhile. Whose key was right when
            // it came has guessed nothing.
            if !was_admitted {
                strikes::refused(place, &known, denial);
            }
            respond::refuse(place, client, &mut known, (head, denial)).await
        }
        Err(Stopped::Judged(judged)) => {
            let denial = judged.denial;
            record::reached(place, denial);
            known.refused = Some(judged);
            respond::refuse(place, client, &mut known, (head, denial)).await
        }
        Err(Stopped::Gone) => End::gone(),
    };
    if known.key_refused {
        // The upstream's word for it is another in each of its versions.
        end.reason = end.reason.or(Some(Denial::KeyUnknown.face().reason));
    }
    record::ended(place, &known, &end, end.bytes_in(place, client));
    end
}

/// Refuses what never became a request, and notes it.
pub(super) async fn refuse_head(
    place: &Place<'_>,
    client: &mut Client<'_>,
    (denial, method): (Denial, Method),
) -> End {
    let known = Known::arrived(place, method, Framing::UntilClose);
    record::reached(place, denial);
    let end = respond::refuse_unread(place, client, &known, denial).await;
    record::ended(place, &known, &end, end.bytes_in(place, client));
    end
}

async fn answer(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    head: &RequestHead,
    known: &mut Known,
) -> Result<End, Stopped> {
    if let DoorKind::Redirect { port } = place.door.kind {
        let answer = redirect::to_tls(place, head, (port, known))?;
        return Ok(respond::send(place, client, known, (head, answer)).await);
    }
    let (lead, source) = admit::enter(place, head, known)?;
    match lead {
        Lead::Mcp(lead) => mcp(place, client, (head, &Entered { lead, source }), known).await,
        Lead::Web(lead) => {
            let entered = Entered { lead, source };
            // Boxed: calls are many, and shouldn't carry the room that a site's pages take.
            Box::pin(web::answer(place, client, (head, &entered), known)).await
        }
    }
}

async fn mcp(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    (head, entered): (&RequestHead, &McpEntered<'_, '_>),
    known: &mut Known,
) -> Result<End, Stopped> {
    if head.method == Method::Options {
        let answer = Answer::preflight(head);
        return Ok(respond::send(place, client, known, (head, answer)).await);
    }
    let admitted = admit::admit(place, head, entered, client, known).await;
    // Names were kept whole to be judged. No account of memory has them, and an answer may take
    // hours, a refusal as long as a client lets it wait.
    known.call.iter_mut().for_each(Body::settle);
    let mut admission = admitted?;
    if let Some(told) = &known.legacy {
        admission.session.has_stream(&told.at);
    }
    let named = session::named(&admission.session, &head.fields, &entered.lead);
    alive::enter(place, known, named.map(|id| place.state.fingerprints.session(id)))?;
    if known.consumer.is_some() {
        has_a_right_key(place, known);
    }
    known.upstream = Some(entered.lead.route.upstream.name.clone());
    // Given back on every way out, until it is sent.
    let mut spending = std::mem::take(&mut admission.spending);
    let costs = (&mut admission, &mut spending);
    let sent = forward::forward(place, client, head, entered, costs).await;
    tool_limits::warn(place.state, &spending, known.key);
    drop(spending);
    let mut sent = sent?;
    if let (Some(life), Some(id)) = (&place.life, &sent.session) {
        life.has_session(place.state.fingerprints.session(id.as_bytes()));
    }
    known.key_refused = sent.key_refused;
    if known.key_refused {
        strikes::wrong_key(place, known);
    }
    // The upstream has accepted the key, whoever's it is.
    if !place.trusted && sent.answer.head.status.is_success() {
        has_a_right_key(place, known);
    }
    let end = relay::relay(place, client, (head, entered), &mut sent, known).await?;
    sent.answer.settle();
    Ok(end)
}

/// It is known who the client is.
fn has_a_right_key(place: &mut Place<'_>, known: &Known) {
    place.trusted = true;
    strikes::right_key(place, known);
}
