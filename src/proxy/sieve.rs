//! What the rules don't let be used is taken out of the lists in the upstream's answers, wherever they
//! travel: in an answer's body, on its stream, on a legacy stream or a resumed one.

use bytes::BytesMut;
use tokio::time::sleep;

use super::{
    forward::Answered,
    memory::{Held, Memory, Share},
    place::{Place, Stopped},
};
use crate::{
    mcp::{self, Listed, Piece, Sifted, Unreadable, WholeEvents},
    policy::Rulebook,
    types::Denial,
    wire::{BodyDecoder, Client, Decoded},
};

/// The most that is held of an answer, or of one event, in bytes. Servers take no larger message
/// themselves.
const MOST: usize = 4 << 20;

/// Whether an element of a list may be used, by the very question that is asked of a call.
fn keeps(book: Rulebook<'_>) -> impl Fn(Listed, &str) -> bool {
    move |listed, name| match listed {
        Listed::Tool => book.tool(name),
        Listed::Prompt => book.prompt(name),
        Listed::Resource => book.resource(name),
        Listed::Template => book.template(name),
    }
}

/// A stream that is let through event by event.
pub(super) struct Sieve<'m> {
    events: WholeEvents,
    memory: &'m Memory,
    share: Share<'m>,
}

impl<'m> Sieve<'m> {
    pub(super) fn new(memory: &'m Memory) -> Self {
        Self { events: WholeEvents::default(), memory, share: memory.share() }
    }

    /// Takes the next bytes of the stream; `put` gets what may go.
    pub(super) fn pass(
        &mut self,
        bytes: &[u8],
        book: Rulebook<'_>,
        mut put: impl FnMut(&[u8]),
    ) -> Result<(), Unreadable> {
        self.events.feed(bytes);
        self.share.grow(bytes.len()).map_err(|_| Unreadable)?;
        while let Some(piece) = self.events.next_piece() {
            put_piece(piece, book, &mut put)?;
        }
        match self.events.held() {
            0 => self.share = self.memory.share(),
            held if held > MOST => return Err(Unreadable),
            _ => {}
        }
        Ok(())
    }

    /// The stream has ended; `put` gets what was left of it.
    pub(super) fn end(
        &mut self,
        book: Rulebook<'_>,
        mut put: impl FnMut(&[u8]),
    ) -> Result<(), Unreadable> {
        self.events.rest().map_or(Ok(()), |rest| put_piece(rest, book, &mut put))
    }
}

fn put_piece(
    piece: Piece,
    book: Rulebook<'_>,
    put: &mut impl FnMut(&[u8]),
) -> Result<(), Unreadable> {
    match piece {
        Piece::Between(bytes) => put(&bytes),
        Piece::Event(event) => match mcp::sift_event(&event, keeps(book))? {
            Some(sifted) => put(&sifted),
            None => put(&event),
        },
    }
    Ok(())
}

/// An answer's body without what may not be used.
pub(super) fn sifted(body: Held<BytesMut>, book: Rulebook<'_>) -> Result<Held<BytesMut>, Denial> {
    let text = std::str::from_utf8(&body).map_err(|_| Denial::UpstreamBad)?;
    if text.trim().is_empty() {
        return Ok(body);
    }
    match mcp::sift(text, keeps(book)).map_err(|Unreadable| Denial::UpstreamBad)? {
        Sifted::AsItIs => Ok(body),
        Sifted::Rewritten(text) => Ok(body.with(text.as_bytes().into())),
    }
}

/// Reads the body of an answer whole, before anything of it goes to the client.
pub(super) async fn whole(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    answer: &mut Answered,
) -> Result<Held<BytesMut>, Stopped> {
    let (mut body, mut share) = (BytesMut::new(), place.state.memory.share());
    let mut decoder = BodyDecoder::new(answer.head.framing);
    let patience = place.snapshot.timeouts.upstream_first_byte;
    loop {
        match decoder.decode(answer.upstream.buffer()) {
            Ok(Decoded::Data(data)) if body.len() + data.len() <= MOST => {
                share.grow(data.len())?;
                body.extend_from_slice(&data);
                continue;
            }
            Ok(Decoded::Done) => return Ok(share.hold(body)),
            Ok(Decoded::NeedMore) => {}
            Ok(Decoded::Data(_)) | Err(_) => return Err(Denial::UpstreamBad.into()),
        }
        let filled = tokio::select! {
            biased;
            () = place.draining.cut() => return Err(Denial::Overload.into()),
            filled = answer.upstream.fill_large() => filled,
            () = client.gone() => return Err(Stopped::Gone),
            () = sleep(patience) => return Err(Denial::UpstreamSlow.into()),
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

    fn rules() -> impl Strategy<Value = Rules> {
        (names(), names(), names()).prop_map(|(tools, prompts, resources)| Rules {
            tools,
            prompts,
            resources,
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

    fn listed(book: Rulebook<'_>, text: &str, member: &str, named_by: &str) -> Vec<String> {
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
                    judge::message(book, call.single().unwrap(), false).is_ok()
                };
                let callable: Vec<String> = all.iter().filter(may_call).cloned().collect();
                prop_assert_eq!(listed(book, &answer, member, named_by), callable, "{}", member);
            }
        }
    }
}
