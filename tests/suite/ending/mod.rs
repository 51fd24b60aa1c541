//! What is under way is seen, and ended from outside: by an operator, by a revocation, and by a change of
//! what let it in. Whoever is told to end has ended within a second.

mod judged;
mod killed;
mod revoked;
mod status;
mod unread;

pub(crate) use self::killed::a_call_that_waits_is_refused_and_one_on_its_stream_is_told_there;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{
    Call, Client, EventStream, Gateway, Key, Setup, Streaming, Upstream, tool_call,
};

/// Before an upstream, with an admin socket and two consumers.
struct Stage {
    gateway: Gateway,
    upstream: Upstream,
    alice: Key,
    bob: Key,
}

impl Stage {
    async fn new(setup: impl FnOnce(Setup) -> Setup) -> Self {
        Self::with("", setup).await
    }

    /// Alice's block has these lines too.
    async fn with(lines: &str, setup: impl FnOnce(Setup) -> Setup) -> Self {
        let (upstream, alice, bob) = (Upstream::start().await, Key::new(), Key::new());
        let gateway = Setup::new(&upstream).operator().consumer("alice", &alice, lines);
        let gateway = setup(gateway.consumer("bob", &bob, "")).start();
        Self { gateway, upstream, alice, bob }
    }

    /// Opens a stream, on which one event has come.
    async fn stream(&mut self, key: &Key) -> (Streaming, EventStream) {
        let call = Call::get("/api/mcp").bearer(key).field("accept", "text/event-stream");
        self.opened(&call).await
    }

    async fn opened(&mut self, call: &Call) -> (Streaming, EventStream) {
        let mut client = self.gateway.client().await;
        client.send(call).await;
        let mut stream = self.upstream.next().await.stream(&[]).await;
        let mut events = client.stream().await;
        stream.event("message", "{}").await;
        events.next_event().await.unwrap();
        (stream, events)
    }

    /// Sends a call that waits for its answer.
    async fn call(&self, key: &Key, id: u32) -> Client {
        let mut client = self.gateway.client().await;
        client.send(&Call::post("/api/mcp", &tool_call(id)).bearer(key)).await;
        client
    }

    /// Waits for the line of an exchange that ended for this reason.
    async fn ended(&self, outcome: &str, reason: &str) -> Value {
        let is_it = |line: &Value| line["event"] == "exchange" && line["reason"] == reason;
        let line = self.gateway.logged(reason, is_it).await;
        assert_eq!(line["outcome"], outcome, "{line}");
        line
    }
}

/// A stream that nobody waits on ends with a comment, whole, and isn't asked to come back.
async fn ends_with(mut events: EventStream, word: &str) {
    assert_eq!(events.next_comment().await.as_deref(), Some(&*format!("ended: {word}")));
    assert!(events.next_event().await.is_none());
    assert!(events.ended_whole() && events.retry().is_none());
}

/// No longer than a second ago.
fn at_once(begun: Instant) {
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
}
