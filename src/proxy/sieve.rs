//! What the rules don't let be used is taken out of the lists in the upstream's answers, wherever they
//! travel: in an answer's body, on its stream, on a legacy stream or a resumed one.

use tokio::time::sleep;

use super::{
    alive,
    forward::Answered,
    memory::{Held, Memory, Share},
    place::{Place, Stopped},
    tools::{Heard, Learner},
};
use crate::{
    mcp::{self, Element, Listed, Piece, Sifted, Unreadable, WholeEvents},
    policy::Rulebook,
    types::{Denial, Limit, Name},
    wire::{BodyDecoder, Client, Decoded},
};

/// The most that is held of an answer, or of one event, in bytes: what SDKs take of a message too.
const MOST: usize = 4 << 20;

/// Whether an element of a list may be used, by the very question that is asked of a call.
fn keeps(book: &Rulebook) -> impl Fn(&Element<'_>) -> bool {
    |element| match element.listed {
        Listed::Tool => book.tool_as(element.name, element.text),
        Listed::Prompt => book.prompt(element.name),
        Listed::Resource => book.resource(element.name),
        Listed::Template => book.template(element.name),
    }
}

/// A stream that is let through event by event.
pub(super) struct Sieve<'m> {
    book: Rulebook,
    events: WholeEvents,
    share: Share<'m>,
}

impl<'m> Sieve<'m> {
    pub(super) fn new(book: &Rulebook, memory: &'m Memory) -> Self {
        Self { book: book.clone(), events: WholeEvents::default(), share: memory.share(None) }
    }

    /// Takes the next bytes of the stream; `put` gets what may go.
    pub(super) fn pass(
        &mut self,
        bytes: &[u8],
        learner: Option<Learner<'_>>,
        mut put: impl FnMut(&[u8]),
    ) -> Result<(), NotPassed> {
        self.events.feed(bytes);
        while let Some(piece) = self.events.next_piece() {
            put_piece(piece, (&self.book, learner), &mut put)?;
        }
        match self.events.held() {
            held if held > MOST => Err(NotPassed::TooLarge),
            held => self.share.resize(held).map_err(|_| NotPassed::NoRoom),
        }
    }

    /// The stream has ended; `put` gets what was left of it.
    pub(super) fn end(
        &mut self,
        learner: Option<Learner<'_>>,
        mut put: impl FnMut(&[u8]),
    ) -> Result<(), NotPassed> {
        let rest = self.events.rest();
        rest.map_or(Ok(()), |rest| put_piece(rest, (&self.book, learner), &mut put))
    }
}

/// Why something of an answer doesn't pass. The client is told no more than that; an operator reads
/// it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotPassed {
    /// It can't be read, or in two ways.
    #[error("it can't be read in one way")]
    Unreadable,
    /// It is over 4 MiB.
    #[error("it is over 4 MiB")]
    TooLarge,
    /// It is no JSON, and a call waits for one.
    #[error("it is no JSON")]
    OtherType,
    /// It is compressed, though nobody asked for that.
    #[error("it is compressed")]
    Encoded,
    /// All bodies together have no room for it.
    #[error("bodies together take 64 MiB already")]
    NoRoom,
}

impl NotPassed {
    /// What becomes of the exchange: the call may have been done, so nobody is asked to try again.
    pub(super) fn denial(self, upstream: &Name) -> Denial {
        tracing::warn!(%upstream, because = %self, "an answer can't be judged by the rules");
        Denial::UpstreamBad
    }
}

impl From<Unreadable> for NotPassed {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

fn put_piece(
    piece: Piece,
    (book, learner): (&Rulebook, Option<Learner<'_>>),
    put: &mut impl FnMut(&[u8]),
) -> Result<(), NotPassed> {
    match piece {
        Piece::Between(bytes) => put(&bytes),
        Piece::Event(event) => {
            let (mut heard, keeps) = (Heard::by(learner), keeps(book));
            let judge = |element: &Element<'_>| heard.note(element) && keeps(element);
            match mcp::sift_event(&event, judge)? {
                Some(sifted) => put(&sifted),
                None => put(&event),
            }
            heard.learn();
        }
    }
    Ok(())
}

/// An answer's body without what may not be used.
pub(super) fn sifted(
    body: Held<Vec<u8>>,
    (book, learner): (&Rulebook, Option<Learner<'_>>),
) -> Result<Held<Vec<u8>>, NotPassed> {
    let text = std::str::from_utf8(&body).map_err(|_| NotPassed::Unreadable)?;
    if text.trim().is_empty() {
        return Ok(body);
    }
    let (mut heard, keeps) = (Heard::by(learner), keeps(book));
    let sifted = mcp::sift(text, |element| heard.note(element) && keeps(element))?;
    heard.learn();
    match sifted {
        Sifted::AsItIs => Ok(body),
        Sifted::Rewritten(text) => Ok(body.with(text.into_bytes())),
    }
}

/// Reads the body of an answer whole, before anything of it goes to the client.
pub(super) async fn whole(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    answer: &mut Answered,
) -> Result<Held<Vec<u8>>, Stopped> {
    let refused = |why: NotPassed, answer: &Answered| why.denial(&answer.server.upstream.name);
    let (mut body, mut share) = (Vec::new(), place.state.memory.share(None));
    let mut decoder = BodyDecoder::new(answer.head.framing);
    let patience = place.snapshot().timeouts.upstream_first_byte;
    loop {
        match decoder.decode(answer.upstream.buffer()) {
            Ok(Decoded::Data(data)) if body.len() + data.len() <= MOST => {
                share.grow(data.len()).map_err(|_| refused(NotPassed::NoRoom, answer))?;
                body.extend_from_slice(&data);
                continue;
            }
            Ok(Decoded::Done) => return Ok(share.hold(body)),
            Ok(Decoded::NeedMore) => {}
            Ok(Decoded::Data(_)) => return Err(refused(NotPassed::TooLarge, answer).into()),
            Err(_) => return Err(Denial::UpstreamBad.into()),
        }
        let filled = tokio::select! {
            biased;
            // The call may have been done: it isn't asked for again.
            () = place.draining.cut() => return Err(Denial::UpstreamGone.into()),
            why = alive::ended(place.life.as_ref()) => return Err(why.into()),
            filled = answer.upstream.fill_large() => filled,
            () = client.gone() => return Err(Stopped::Gone),
            () = sleep(patience) => return Err(Denial::UpstreamSlow(Limit::UpstreamFirstByte).into()),
        };
        match filled {
            Ok(0) if decoder.end_of_input().is_ok() => {
                answer.head.persistent = false;
                return Ok(share.hold(body));
            }
            Ok(0) | Err(_) => return Err(Denial::UpstreamGone.into()),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        policy::{Glob, Names, Rules},
        proxy::judge,
    };

    fn globs() -> impl Strategy<Value = Vec<Glob>> {
        let text = prop_oneof!["[a-c*]{1,3}", "d://[ab./*]{0,4}"];
        let glob = text.prop_map(|text| Glob::parse(&text).unwrap());
        prop::collection::vec(glob, 0..3)
    }

    fn names() -> impl Strategy<Value = Names> {
        (prop::option::of(globs()), globs()).prop_map(|(allow, deny)| Names { allow, deny })
    }

    fn rules() -> impl Strategy<Value = Arc<Rules>> {
        (names(), names(), names()).prop_map(|(tools, prompts, resources)| {
            Arc::new(Rules { tools, prompts, resources, ..Rules::default() })
        })
    }

    type Kind = (&'static str, &'static str, &'static str, fn(&str) -> Value);

    /// Each kind of list: where it stands, what names an element, and the call of one.
    fn kinds() -> [Kind; 4] {
        [
            ("tools", "name", "tools/call", |name| json!({"name": name})),
            ("prompts", "name", "prompts/get", |name| json!({"name": name})),
            ("resources", "uri", "resources/read", |uri| json!({"uri": uri})),
            (
                "resourceTemplates",
                "uriTemplate",
                "completion/complete",
                |uri| json!({"ref": {"type": "ref/resource", "uri": uri}}),
            ),
        ]
    }

    fn listed(book: &Rulebook, text: &str, member: &str, named_by: &str) -> Vec<String> {
        let text = match mcp::sift(text, keeps(book)).unwrap() {
            Sifted::AsItIs => text.to_owned(),
            Sifted::Rewritten(text) => text,
        };
        let list: Value = serde_json::from_str(&text).unwrap();
        let elements = list["result"][member].as_array().unwrap();
        elements.iter().map(|element| element[named_by].as_str().unwrap().to_owned()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_listed_is_exactly_what_can_be_called(
            (route, consumer) in (prop::option::of(rules()), rules()),
            all in prop::collection::vec(
                prop_oneof!["[a-cA]{0,4}", "d://[ab./]{0,5}", "[a\"\\\\é*]{1,3}"], 0..8),
        ) {
            let book = Rulebook::of(route.as_ref(), Some(&consumer)).unwrap();
            for (member, named_by, method, params) in kinds() {
                let list: Vec<Value> = all.iter().map(|name| json!({named_by: name})).collect();
                let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {member: list}}).to_string();
                let may_call = |name: &&String| {
                    let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params(name)});
                    let call = mcp::read(call.to_string().as_bytes()).unwrap();
                    judge::message(&book, call.single().unwrap(), false).is_ok()
                };
                let callable: Vec<String> = all.iter().filter(may_call).cloned().collect();
                prop_assert_eq!(listed(&book, &answer, member, named_by), callable, "{}", member);
            }
        }
    }
}
