use std::cmp::Reverse;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{Control, bad_request, body, json};
use crate::{
    admin::refusal,
    config,
    live::{Asked, Life, Which},
    observe::Operation,
    types::{Fingerprint, FingerprintKey, Name, Nanos, RequestId},
};

/// The most tools of one exchange that are told: a batch may name 64.
const TOOLS: usize = 8;

/// Something that lives, as it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveAnswer {
    /// Its id: that of its request.
    pub stream: String,
    /// `request`, `stream` or `tunnel`.
    pub kind: String,
    /// The route.
    pub route: String,
    /// The consumer, if the key is one's.
    pub consumer: Option<String>,
    /// The client's address.
    pub client: String,
    /// The fingerprint of its key.
    pub key: Option<String>,
    /// The fingerprint of its session's id.
    pub session: Option<String>,
    /// The MCP method; of a batch, `batch`.
    pub mcp_method: Option<String>,
    /// The tools that it calls.
    pub tools: Vec<String>,
    /// The seconds since it was admitted.
    pub age_seconds: f64,
    /// Events that went to the client.
    pub events: u64,
    /// Bytes of the answer that went to the client.
    pub bytes: u64,
    /// The seconds since the last event.
    pub last_event_seconds: Option<f64>,
}

/// All that lives.
#[derive(Debug, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// By route and consumer, the oldest first.
    pub live: Vec<LiveAnswer>,
}

/// What `POST /kill` takes: exactly one of these.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillRequest {
    /// Whose key it is: a consumer's name, or the fingerprint that the log has.
    Key(String),
    /// An address or a net.
    Address(String),
    /// A session's id as its client has it, or its fingerprint.
    Session(String),
    /// An id of the status.
    Stream(String),
    /// `true`: everything.
    All(bool),
}

/// What was ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct KillAnswer {
    /// How many.
    pub ended: u64,
}

pub(super) async fn status(State(control): State<Control>) -> Response {
    let listed = move || {
        let (now, mut live) = (Nanos::now(), Vec::new());
        control.living.each(|life| live.push(told(life, &control.fingerprints, now)));
        live.sort_by_cached_key(|one: &LiveAnswer| {
            let oldest_first = Reverse(ordered(one.age_seconds));
            (one.route.clone(), one.consumer.clone(), oldest_first, one.stream.clone())
        });
        json(&StatusAnswer { live })
    };
    // Thousands may live.
    let listed = tokio::task::spawn_blocking(listed).await;
    listed.unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal"))
}

pub(super) async fn kill(
    State(control): State<Control>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let text = "write one of {\"key\": \"NAME\"}, {\"address\": \"192.0.2.0/24\"}, {\"session\": \"ID\"}, \
                {\"stream\": \"ID\"} and {\"all\": true}";
    let asked: KillRequest = body(sent, text).map_err(|refused| *refused)?;
    let which = which(&asked, &control.fingerprints).map_err(|refused| *refused)?;
    let ended = tokio::task::spawn_blocking(move || {
        let ended = control.living.kill(&which, &control.fingerprints);
        let (selector, value) = shown(&which, (&control, ended));
        control.note(&Operation { what: "kill", selector, value: &value, ended });
        ended
    });
    let ended = ended.await;
    let ended = ended.map_err(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
    Ok(json(&KillAnswer { ended }))
}

/// What is meant. A text that can't be meant is never repeated: a key may have been pasted there.
fn which(asked: &KillRequest, salt: &FingerprintKey) -> Result<Which, Box<Response>> {
    let bad = |reason: &'static str, text: &str| Box::new(bad_request(reason, text));
    match asked {
        KillRequest::Key(text) if text.starts_with("fp:") => Fingerprint::parse(text)
            .map(Which::Key)
            .ok_or_else(|| bad("key", "a fingerprint is `fp:` and 8 hex digits")),
        KillRequest::Key(name) => Name::parse(name)
            .map(Which::Consumer)
            .ok_or_else(|| bad("key", "`key` is a consumer's name, or a fingerprint of the log")),
        KillRequest::Address(net) => {
            config::net(net).map(Which::Net).map_err(|text| bad("address", &text))
        }
        KillRequest::Session(text) if text.starts_with("fp:") => Fingerprint::parse(text)
            .map(Which::ShownSession)
            .ok_or_else(|| bad("session", "a fingerprint is `fp:` and 8 hex digits")),
        KillRequest::Session(id) => Ok(Which::Session(salt.session(id.as_bytes()))),
        KillRequest::Stream(id) => RequestId::parse(id)
            .map(Which::One)
            .ok_or_else(|| bad("stream", "`stream` is an id of the status: 16 hex digits")),
        KillRequest::All(true) => Ok(Which::All),
        KillRequest::All(false) => Err(bad("all", "write true, or what else is meant")),
    }
}

/// What was meant, for a record of it. A name that nothing is called by may be a key.
fn shown(which: &Which, (control, ended): (&Control, u64)) -> (&'static str, String) {
    match which {
        Which::Consumer(name) => {
            let world = control.world.load();
            let snapshot = &world.snapshot;
            let is_one = ended > 0 || snapshot.consumers.iter().any(|one| one.name == *name);
            ("key", if is_one { name.to_string() } else { "unknown".to_owned() })
        }
        Which::Key(shown) => ("key", shown.to_string()),
        Which::Net(net) => ("address", crate::policy::shown_net(*net)),
        Which::Session(mark) => ("session", mark.fingerprint().to_string()),
        Which::ShownSession(shown) => ("session", shown.to_string()),
        Which::One(id) => ("stream", id.to_string()),
        Which::All => ("all", "all".to_owned()),
    }
}

fn told(life: &Life, salt: &FingerprintKey, at: Nanos) -> LiveAnswer {
    let now = life.now(at);
    let tool = |asked: &Asked| match asked {
        Asked::Tool(name) => Some(name.to_string()),
        Asked::Prompt(_) => None,
    };
    LiveAnswer {
        stream: life.id.to_string(),
        kind: now.kind.as_str().to_owned(),
        route: life.whose.route.to_string(),
        consumer: life.whose.consumer.as_ref().map(Name::to_string),
        client: life.whose.client.to_string(),
        key: life.whose.key.map(|key| salt.fingerprint(&key).to_string()),
        session: now.session.map(|session| session.fingerprint().to_string()),
        mcp_method: life.mcp_method.map(str::to_owned),
        tools: life.asked.iter().filter_map(tool).take(TOOLS).collect(),
        age_seconds: rounded(now.age),
        events: now.events,
        bytes: now.bytes,
        last_event_seconds: now.last_event.map(rounded),
    }
}

/// To a millisecond.
fn rounded(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A time that is never negative, to be sorted by.
fn ordered(seconds: f64) -> u64 {
    seconds.to_bits()
}
