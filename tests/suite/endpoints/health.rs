//! `health`: endpoints are asked, and what they say decides where calls go.

use std::sync::{
    Arc,
    atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::mpsc;

use super::post;
use crate::harness::{Call, Client, Gateway, Key, Request, Setup, Upstream, call_with_id};

const HEALTH: &str = "health = { path = \"/up?x=1\", interval = \"20ms\", unhealthy_after = 1 }";

/// A server that answers questions by itself, and leaves calls to the test.
struct Asked {
    authority: String,
    status: Arc<AtomicU16>,
    questions: Arc<AtomicUsize>,
    calls: mpsc::UnboundedReceiver<Request>,
}

impl Asked {
    fn new(mut upstream: Upstream) -> Self {
        let authority = upstream.address().to_string();
        let (status, questions) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicUsize::new(0)));
        let (sender, calls) = mpsc::unbounded_channel();
        let (says, asked, host) = (Arc::clone(&status), Arc::clone(&questions), authority.clone());
        tokio::spawn(async move {
            loop {
                let request = upstream.next().await;
                if request.target == "/up?x=1" {
                    assert_eq!((&*request.method, request.field("host")), ("GET", Some(&*host)));
                    asked.fetch_add(1, SeqCst);
                    request.respond(says.load(SeqCst), &[], "").await;
                } else if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { authority, status, questions, calls }
    }

    fn label(&self) -> String {
        format!("endpoint=\"{}\"", self.authority)
    }

    /// Answers questions so, and waits until the gateway knows.
    async fn says(&self, gateway: &Gateway, status: u16) {
        self.status.store(status, SeqCst);
        let well = if status < 500 { 1.0 } else { 0.0 };
        gateway.metric_becomes("portcullis_upstream_healthy", &[&self.label()], well).await;
    }
}

/// Two servers and a gateway before them.
async fn pair() -> ([Asked; 2], Gateway) {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    let gateway = Setup::new(&one).and(&other).upstream(HEALTH).start();
    ([Asked::new(one), Asked::new(other)], gateway)
}

/// Sends a call, and says which of two gets it.
async fn pass(pair: &mut [Asked; 2], client: &mut Client, call: &Call) -> usize {
    client.send(call).await;
    let [one, other] = pair;
    let (at, request) = tokio::select! {
        Some(request) = one.calls.recv() => (0, request),
        Some(request) = other.calls.recv() => (1, request),
    };
    request.respond(200, &[("mcp-session-id", "s-1")], "{}").await;
    at
}

async fn becomes_ready(gateway: &Gateway, status: &str, word: &str) {
    let patient = std::time::Instant::now();
    loop {
        let answer = gateway.admin("/readyz");
        if answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.ends_with(word) {
            return;
        }
        assert!(patient.elapsed().as_secs() < 10, "{word}: {answer}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_says_it_cannot_is_out_until_it_says_otherwise() {
    let (mut pair, gateway) = pair().await;
    let key = Key::new();
    let mut client = gateway.client().await;
    let own = pass(&mut pair, &mut client, &post(&key)).await;
    client.answer().await;
    for (status, goes_to) in [(503, 1 - own), (404, own), (500, 1 - own), (200, own)] {
        pair[own].says(&gateway, status).await;
        for _ in 0..2 {
            assert_eq!(pass(&mut pair, &mut client, &post(&key)).await, goes_to, "{status}");
            assert_eq!(client.answer().await.status, 200);
        }
    }
    // Where all are out all are tried.
    pair[0].says(&gateway, 500).await;
    pair[1].says(&gateway, 500).await;
    assert_eq!(pass(&mut pair, &mut client, &post(&key)).await, own);
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_session_of_an_endpoint_that_is_ill_is_unknown_where_another_is_well() {
    let (mut pair, gateway) = pair().await;
    let key = Key::new();
    let mut client = gateway.client().await;
    let initialize = Call::post("/api/mcp", &call_with_id(1, "initialize")).bearer(&key);
    let own = pass(&mut pair, &mut client, &initialize).await;
    let session = client.answer().await.field("mcp-session-id").unwrap().to_owned();
    let call = post(&key).field("mcp-session-id", &session);
    pair[own].says(&gateway, 503).await;
    client.ask(&call).await.refused(404, "session");
    pair[1 - own].says(&gateway, 503).await;
    assert_eq!(pass(&mut pair, &mut client, &call).await, own, "there is nowhere to begin anew");
    client.answer().await;
}

#[tokio::test]
async fn the_gateway_is_ready_while_some_upstream_is_well() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    let routes = "[[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\npaths = [\"/api/mcp\"]\n\
                  [[routes]]\nname = \"site\"\nupstream = \"site\"\npaths = [\"/\"]\nkind = \"web\"\n";
    let site = format!("[upstreams.site]\nendpoints = [\"http://{}\"]\n{HEALTH}", other.address());
    let gateway = Setup::new(&one).upstream(HEALTH).routes(routes).also(&site).start();
    // Nobody has answered yet.
    assert!(gateway.admin("/readyz").ends_with("starting"));
    let (one, other) = (Asked::new(one), Asked::new(other));
    becomes_ready(&gateway, "200", "ready").await;
    other.says(&gateway, 503).await;
    becomes_ready(&gateway, "200", "ready, without site").await;
    one.says(&gateway, 503).await;
    becomes_ready(&gateway, "503", "upstream_down").await;
    other.says(&gateway, 200).await;
    becomes_ready(&gateway, "200", "ready, without postiz").await;
}

#[tokio::test]
async fn nothing_is_asked_that_is_not_configured() {
    let (mut one, other) = (Upstream::start().await, Upstream::start().await);
    let alone = Setup::new(&one).start();
    assert!(!alone.admin("/metrics").contains("upstream_healthy"), "nobody knows");
    one.saw_nothing(&alone).await;
    let pair = Setup::new(&one).and(&other).start();
    pair.ask(&Call::get("/nowhere")).await;
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn one_endpoint_that_is_ill_is_asked_for_and_used_all_the_same() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).upstream(HEALTH).start();
    let mut asked = Asked::new(upstream);
    asked.says(&gateway, 503).await;
    assert!(asked.questions.load(SeqCst) > 0);
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    asked.calls.recv().await.unwrap().respond(200, &[], "{}").await;
    assert_eq!(client.answer().await.status, 200);
}
