//! An MCP server that speaks as Postiz does, in two of its manners at once: the legacy transport of
//! v2.7.0 (the key in the path, answers on the key's event stream) and the stateless streamable
//! HTTP of today's main branch (JSON answers, the key in the path or in `Authorization`).
//!
//! It is an upstream for people to look at and for tests to run against, faults included: it names
//! itself by an absolute address with the key in it, it echoes the path of a wrong request, it never
//! sends a heartbeat, and one closing stream silences the others of its key.

mod legacy;
mod rpc;
mod streamable;
mod streams;
mod tools;

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::DefaultBodyLimit,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};

use self::streams::Streams;
use crate::types::Secret;

/// The body limit of v2.7.0: Express's default.
const LEGACY_BODY_BYTES: usize = 100 * 1024;

/// Events that wait for a slow reader before it is let go.
const WAITING_EVENTS: usize = 256;

/// What every handler sees.
struct Postiz {
    key: Secret,
    streams: Streams,
}

impl Postiz {
    fn knows(&self, presented: &str) -> bool {
        self.key.matches(&Secret::new(presented.to_owned()))
    }
}

/// Serves the one key until `shutdown`, then ends every stream and returns.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    key: String,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let postiz = Arc::new(Postiz { key: Secret::new(key), streams: Streams::default() });
    let closing = Arc::clone(&postiz);
    let ended = async move {
        shutdown.await;
        // A stream never ends by itself, and a graceful end waits for it.
        closing.streams.close();
    };
    axum::serve(listener, router(postiz)).with_graceful_shutdown(ended).await
}

fn router(postiz: Arc<Postiz>) -> Router {
    let path_key = post(streamable::post_with_path_key)
        .get(streamable::get_with_path_key)
        .delete(streamable::delete_with_path_key);
    let bearer = post(streamable::post_with_bearer)
        .get(streamable::get_with_bearer)
        .delete(streamable::delete_with_bearer);
    Router::new()
        .route("/", get(|| async { "App is running!" }))
        .route("/mcp/{key}/sse", get(legacy::open_stream).fallback(not_found))
        .route(
            "/mcp/{key}/messages",
            post(legacy::take_message)
                .layer(DefaultBodyLimit::max(LEGACY_BODY_BYTES))
                .fallback(not_found),
        )
        .route("/mcp/{key}", path_key.layer(DefaultBodyLimit::disable()))
        .route("/mcp", bearer.layer(DefaultBodyLimit::disable()))
        .fallback(not_found)
        .layer(middleware::map_response(async |mut response: Response| {
            let name = HeaderValue::from_static("Express");
            response.headers_mut().insert("x-powered-by", name);
            response
        }))
        .with_state(postiz)
}

/// The framework's own 404, which shows the whole path: with a key in it, the key.
async fn not_found(method: Method, uri: Uri) -> Response {
    let message = format!("Cannot {method} {}", uri.path());
    let body = serde_json::json!({"message": message, "error": "Not Found", "statusCode": 404});
    json(StatusCode::NOT_FOUND, &body)
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, body.to_string()).into_response()
}

/// One end of a response body: what is sent comes out at the other end at once.
type EventSender = mpsc::Sender<Result<Bytes, Infallible>>;

/// A stream of events; `held` is dropped with its end.
fn event_stream<T: Send + Unpin + 'static>(
    cache_control: &'static str,
    held: T,
) -> (EventSender, Response) {
    let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
    let fields =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, cache_control)];
    let body = Body::from_stream(Holding { events: ReceiverStream::new(receiver), _held: held });
    (sender, (StatusCode::OK, fields, body).into_response())
}

struct Holding<T> {
    events: ReceiverStream<Result<Bytes, Infallible>>,
    _held: T,
}

impl<T: Unpin> Stream for Holding<T> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.events).poll_next(cx)
    }
}

#[cfg(test)]
mod tests;
