//! Clients of one key before a server that knows them no other way (Postiz up to v2.7.0): one stream
//! there, a seat for each, and ids that are nobody else's.

mod answers;
mod crowd;
mod endings;
mod seats;

use serde_json::{Value, json};

use crate::harness::{Call, Event, EventStream, Gateway, Key, Seen, Setup, Streaming, Upstream};

const LEGACY: &str = "dialect = \"legacy-sse\"";

/// The server's end of a shared stream, and the key that it knows.
struct Bus {
    stream: Streaming,
}

/// A client that sits at it.
struct Member {
    events: EventStream,
    endpoint: String,
}

fn setup(upstream: &Upstream) -> Setup {
    Setup::new(upstream).upstream(LEGACY)
}

fn sse(key: &Key) -> Call {
    Call::get(&format!("/api/mcp/{}/sse", key.text()))
}

/// The server's own address for messages, which has its key in it.
fn announced(key: &Key) -> String {
    format!("http://localhost:5000/api/mcp/{}/messages", key.text())
}

/// Opens the first stream, of a client with `key` where the server knows `real`.
async fn open(
    (gateway, upstream): (&Gateway, &mut Upstream),
    key: &Key,
    real: &Key,
) -> (Bus, Member) {
    let mut client = gateway.client().await;
    client.send(&sse(key)).await;
    let mut bus = Bus { stream: upstream.next().await.stream(&[]).await };
    bus.announce(real).await;
    bus.answer_ping(upstream).await;
    (bus, Member::of(client.stream().await).await)
}

/// Takes a seat at a stream that is open.
async fn join(gateway: &Gateway, key: &Key) -> Member {
    let mut client = gateway.client().await;
    client.send(&sse(key)).await;
    Member::of(client.stream().await).await
}

impl Bus {
    async fn announce(&mut self, real: &Key) {
        // As the framework writes it.
        let data = announced(real);
        self.stream.send(format!("\nevent: endpoint\nid: 1\ndata: {data}\n\n")).await;
    }

    /// Answers the gateway's question whether it hears.
    async fn answer_ping(&mut self, upstream: &mut Upstream) {
        let ping = taken(upstream).await;
        assert_eq!((&ping["method"], ping.get("params")), (&json!("ping"), None));
        self.say(&json!({"jsonrpc": "2.0", "id": ping["id"], "result": {}})).await;
    }

    async fn say(&mut self, message: &Value) {
        self.stream.send(format!("event: message\nid: 2\ndata: {message}\n\n")).await;
    }

    /// Answers a call as it came.
    async fn answer(&mut self, call: &Value, result: Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": call["id"], "result": result})).await;
    }
}

/// Takes the next message as Postiz does: 201, and what it asks for comes on the stream.
async fn taken(upstream: &mut Upstream) -> Value {
    let fields = [("content-type", "application/json")];
    let seen: Seen = upstream.next().await.respond(201, &fields, "{}").await;
    assert_eq!(seen.method, "POST");
    assert!(seen.target.ends_with("/messages"), "{}", seen.target);
    serde_json::from_slice(&seen.body).unwrap()
}

impl Member {
    async fn of(mut events: EventStream) -> Self {
        let Event { name, data, .. } = events.next_event().await.unwrap();
        assert_eq!(name, "endpoint");
        Self { events, endpoint: data }
    }

    /// Posts a message, which has to go on; returns it as it reached the server.
    async fn post(&self, (gateway, upstream): (&Gateway, &mut Upstream), message: &Value) -> Value {
        let mut client = gateway.client().await;
        client.send(&Call::post(&self.endpoint, &message.to_string())).await;
        let seen = taken(upstream).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (201, "{}"));
        seen
    }

    /// The next message on its stream.
    async fn hears(&mut self) -> Value {
        let Event { name, data, id } = self.events.next_event().await.unwrap();
        assert_eq!((name.as_str(), id), ("message", None), "no client can resume it");
        serde_json::from_str(&data).unwrap()
    }
}

fn ping(id: impl Into<Value>) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "ping"})
}
