//! The legacy transport (2024-11-05): a client posts, and reads nothing but its stream. A refusal
//! therefore has to be told there. The gateway finds the stream by a token that it put into the
//! endpoint it announced, and that only this client knows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::rand;
use tokio::sync::mpsc;

use crate::{
    snapshot::Endpoint,
    types::{KeyDigest, Name},
    upstream::Seat,
};

/// The query parameter that carries the token.
const PARAMETER: &str = "portcullis=";

/// Refusals that wait for a stream to come between two events. A client that floods its own stream
/// loses the rest.
const WAITING: usize = 32;

type Token = [u8; 16];

/// The open streams of the legacy transport. It grows and shrinks with them.
#[derive(Clone, Default)]
pub struct LegacyStreams(Arc<Mutex<HashMap<Token, Stream>>>);

struct Stream {
    route: Name,
    key: KeyDigest,
    at: Arc<Endpoint>,
    events: mpsc::Sender<String>,
    seat: Option<Seat>,
}

/// The client's stream, as the answer to its POST sees it.
pub(super) struct Told {
    events: mpsc::Sender<String>,
    /// The endpoint that the stream comes from.
    pub(super) at: Arc<Endpoint>,
    /// Its seat, where others share what it hears.
    pub(super) seat: Option<Seat>,
}

/// The stream's own end: what it is told, and its place in the table, returned by drop.
pub(super) struct Listening {
    streams: LegacyStreams,
    token: Token,
    pub(super) events: mpsc::Receiver<String>,
}

impl LegacyStreams {
    /// Registers a stream of a key on a route, which comes from an endpoint.
    pub(super) fn open(
        &self,
        (route, at): (&Name, &Arc<Endpoint>),
        key: KeyDigest,
        seat: Option<Seat>,
    ) -> Option<Listening> {
        let mut token = Token::default();
        rand::fill(&mut token).ok()?;
        let (sender, events) = mpsc::channel(WAITING);
        let (route, at) = (route.clone(), Arc::clone(at));
        let stream = Stream { route, key, at, events: sender, seat };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, stream);
        Some(Listening { streams: self.clone(), token, events })
    }

    /// The stream that a POST's query names, if it is of the same key and route: a token alone
    /// lets nobody write into another's stream.
    pub(super) fn find(&self, query: Option<&str>, route: &Name, key: &KeyDigest) -> Option<Told> {
        let hex = query?.split('&').find_map(|parameter| parameter.strip_prefix(PARAMETER))?;
        let mut token = Token::default();
        hex::decode_to_slice(hex, &mut token).ok()?;
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = streams.get(&token)?;
        let told = || Told {
            events: stream.events.clone(),
            at: Arc::clone(&stream.at),
            seat: stream.seat.clone(),
        };
        (stream.route == *route && stream.key == *key).then(told)
    }
}

impl Told {
    /// Puts a JSON-RPC message into the stream. `false` where it is gone or flooded.
    pub(super) fn tell(&self, message: String) -> bool {
        self.events.try_send(message).is_ok()
    }
}

impl Listening {
    /// The endpoint's query with the token added.
    pub(super) fn with_token(&self, query: &str) -> String {
        let token = hex::encode(self.token);
        let border = if query.is_empty() { "" } else { "&" };
        format!("{query}{border}{PARAMETER}{token}")
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.streams.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

/// Whether a query has a token, of an open stream or of one that was.
pub(super) fn has_token(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|parameter| parameter.starts_with(PARAMETER)))
}

/// A query without our token, as it goes upstream.
pub(super) fn without_token(query: &str) -> Option<String> {
    let ours = |parameter: &&str| !parameter.starts_with(PARAMETER);
    let rest = query.split('&').filter(ours).collect::<Vec<_>>().join("&");
    (!rest.is_empty()).then_some(rest)
}

/// A message as an event of the legacy transport.
pub(super) fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{snapshot::Scheme, types::Secret};

    #[test]
    fn a_token_opens_the_stream_of_its_own_key_and_route_alone() {
        let streams = LegacyStreams::default();
        let name = |text: &str| Name::parse(text).unwrap();
        let key = |text: &str| Secret::new(text.to_owned()).digest();
        let (scheme, host) = (Scheme::Http, "10.0.0.1".into());
        let at = Arc::new(Endpoint { scheme, host, port: 80, authority: "10.0.0.1".into() });
        let mut mine = streams.open((&name("mcp"), &at), key("k"), None).unwrap();
        let query = mine.with_token("sessionId=7");
        let find = |route: &str, of: &str| streams.find(Some(&query), &name(route), &key(of));
        assert!(find("mcp", "k").unwrap().tell("x".to_owned()));
        assert_eq!(mine.events.try_recv().unwrap(), "x");
        assert!(find("mcp", "other").is_none() && find("other", "k").is_none());
        assert_eq!(without_token(&query).as_deref(), Some("sessionId=7"));
        assert_eq!(without_token(&mine.with_token("")), None);
        drop(mine);
        assert!(streams.find(Some(&query), &name("mcp"), &key("k")).is_none());
    }
}
