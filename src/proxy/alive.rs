//! An exchange that was admitted is entered where it can be seen and ended from outside; and when
//! what admitted it has changed, it is judged again.

use std::{future::pending, sync::Arc};

use super::{
    admit,
    place::{Known, Place},
    state::State,
};
use crate::{
    live::{Alive, Asked, Life, Whose},
    mcp::{Body, Message, Subject},
    types::{Denial, Nanos, SessionMark},
};

/// Enters an exchange. Where anything has changed since it was admitted it is judged once more: whoever
/// judged all that lives has missed it.
pub(super) fn enter(
    place: &mut Place<'_>,
    known: &Known,
    session: Option<SessionMark>,
) -> Result<(), Denial> {
    let Some(route) = &known.route else { return Err(Denial::NoRoute) };
    let whose = Whose {
        client: known.client,
        route: route.name.clone(),
        is_web: route.is_web(),
        key: known.key,
        certificate: place.certificate.cloned(),
        consumer: known.consumer.as_ref().map(|consumer| consumer.name.clone()),
        brought_by: [place.peer, place.via],
    };
    let called = (known.call.as_ref().map(Body::method), asked(known.call.as_ref()));
    let life = Life::new((known.id, Nanos::now()), whose, called, session);
    let alive = place.life.insert(place.state.living.enter(life));
    // Behind the entry, or a change in between would be seen by nobody.
    let now = place.state.world.load_full();
    let as_judged =
        Arc::ptr_eq(&now, &place.world) && known.judgements == place.state.living.judgements();
    if as_judged { Ok(()) } else { admit::again(place.state, &now, (alive, known.judgements)) }
}

/// What a call asks for by name.
fn asked(call: Option<&Body>) -> Box<[Asked]> {
    let asked = |message: &Message| match &message.subject {
        Subject::Tool(name) => Some(Asked::Tool(name.clone())),
        Subject::Prompt(name) => Some(Asked::Prompt(name.clone())),
        _ => None,
    };
    call.into_iter().flat_map(Body::messages).filter_map(asked).collect()
}

/// Waits until an exchange is ended from outside; why it is. One that wasn't entered never is.
pub(super) async fn ended(alive: Option<&Alive>) -> Denial {
    match alive {
        Some(alive) => alive.ended().await,
        None => pending().await,
    }
}

/// Judges all that lives by the configuration of now and of that second, UTC since 1970, and ends what it would no longer let in. How
/// many that were. Takes a moment where much lives: not for a thread that serves.
pub fn judge_again(state: &State, at: u64) -> usize {
    // Before anything is looked at: what is entered after that sees that it wasn't.
    state.living.is_judged();
    state.living.forgets_ends();
    let world = state.world.load_full();
    let mut ended = 0;
    state.living.each(|life| match admit::still(state, &world, life) {
        Ok(()) => state.living.goes_on(life, at),
        Err(denial) => ended += usize::from(life.end(denial)),
    });
    ended
}
