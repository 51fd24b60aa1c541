//! A client that knows the protocol by heart: calls and streams at once on one connection.

use bytes::Bytes;
use h2::{RecvStream, client};
use http::{Request, Response};
use tokio::task::JoinHandle;

use super::boot;
use crate::harness::{Gateway, Key, call_with_id, tool_call};

/// A client made of the library.
pub(super) struct Friendly {
    requests: client::SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Friendly {
    pub(super) async fn connect(gateway: &Gateway) -> Self {
        let (requests, connection) =
            client::handshake(gateway.tls_transport(&[b"h2", b"http/1.1"]).await).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    /// Hangs up, and waits until the connection is over.
    pub(super) async fn leave(self) {
        drop(self.requests);
        // Who closes first is nobody's fault.
        let _ = self.connection.await.unwrap();
    }

    /// Sends a message and waits for the head of its answer.
    pub(super) async fn post(&self, key: &Key, body: String) -> Response<RecvStream> {
        post(&self.requests, key, body).await
    }

    /// A page, whole.
    pub(super) async fn page(&self, path: &str) -> String {
        let request = Request::get(format!("https://gateway.test{path}")).body(()).unwrap();
        let (answer, _) = ready(&self.requests).await.send_request(request, true).unwrap();
        text(&mut answer.await.unwrap().into_body()).await
    }

    /// Asks for a stream and waits for its head.
    async fn listen(&self, key: &Key) -> RecvStream {
        let request = request("GET", key).header("accept", "text/event-stream");
        let request = request.body(()).unwrap();
        let (answer, _) = ready(&self.requests).await.send_request(request, true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body()
    }
}

async fn ready(requests: &client::SendRequest<Bytes>) -> client::SendRequest<Bytes> {
    requests.clone().ready().await.unwrap()
}

fn request(method: &str, key: &Key) -> http::request::Builder {
    let uri = format!("https://gateway.test/api/mcp/{}", key.text());
    Request::builder().method(method).uri(uri).version(http::Version::HTTP_2)
}

/// Sends a message and waits for the head of its answer.
async fn post(
    requests: &client::SendRequest<Bytes>,
    key: &Key,
    body: String,
) -> Response<RecvStream> {
    let request = request("POST", key).header("content-type", "application/json");
    let request = request.body(()).unwrap();
    let (answer, mut sent) = ready(requests).await.send_request(request, false).unwrap();
    sent.reserve_capacity(body.len());
    sent.send_data(body.into(), true).unwrap();
    answer.await.unwrap()
}

async fn text(body: &mut RecvStream) -> String {
    let mut text = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        text.extend_from_slice(&part);
    }
    assert!(body.trailers().await.unwrap().is_none(), "there are no trailers");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_client_lists_calls_and_listens_on_one_connection() {
    let (mut upstream, gateway, key) = boot("").await;
    let client = Friendly::connect(&gateway).await;
    let (mut events, mut stream) =
        tokio::join!(client.listen(&key), async { upstream.next().await.stream(&[]).await });
    for (body, result) in [(call_with_id(1, "tools/list"), "[]"), (tool_call(2), "{}")] {
        let (answer, seen) = tokio::join!(client.post(&key, body.clone()), upstream.answer(result));
        assert_eq!((answer.status().as_u16(), seen.text()), (200, body.as_str()));
        assert_eq!(text(&mut answer.into_body()).await, result);
        stream.event("message", &body).await;
        let event = events.data().await.unwrap().unwrap();
        assert_eq!(event, format!("event: message\ndata: {body}\n\n"));
    }
    stream.finish().await;
    assert_eq!(text(&mut events).await, "");
    drop(events);
    client.leave().await;
}

/// The answer to a call may itself be a stream (MCP, Streamable HTTP).
#[tokio::test]
async fn a_call_that_is_answered_by_a_stream_gives_each_event_as_it_comes() {
    let (mut upstream, gateway, key) = boot("").await;
    let client = Friendly::connect(&gateway).await;
    let (answer, mut stream) = tokio::join!(client.post(&key, tool_call(1)), async {
        upstream.next().await.stream(&[]).await
    });
    let mut events = answer.into_body();
    for data in ["1", "2"] {
        stream.event("message", data).await;
        let event = events.data().await.unwrap().unwrap();
        assert_eq!(event, format!("event: message\ndata: {data}\n\n"));
    }
    drop(events);
    stream.is_abandoned().await;
    client.leave().await;
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let (mut upstream, gateway, key) = boot("").await;
    let client = Friendly::connect(&gateway).await;
    // The first tells the client how many it may send at once.
    let first = client.post(&key, call_with_id(0, "ping"));
    tokio::join!(first, upstream.answer("0"));
    let mut calls = tokio::task::JoinSet::new();
    for id in 0..64 {
        let (requests, key) = (client.requests.clone(), key.clone());
        calls.spawn(async move {
            let answer = post(&requests, &key, call_with_id(id, "ping")).await;
            assert_eq!(text(&mut answer.into_body()).await, format!("{id}"));
        });
    }
    for _ in 0..64 {
        let request = upstream.next().await;
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        request.respond(200, &[], body["id"].to_string()).await;
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
    client.leave().await;
}
