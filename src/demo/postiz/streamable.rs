//! Streamable HTTP in the manner of the main branch: stateless, answers as JSON. Only a call that
//! reports progress is answered by an event stream.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Postiz, event_stream, rpc};

const CACHE_CONTROL: &str = "no-cache";

pub(super) async fn post_with_path_key(
    State(postiz): State<Arc<Postiz>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if postiz.knows(&key) { take(&postiz, &headers, &body) } else { wrong_path_key() }
}

pub(super) async fn get_with_path_key(
    State(postiz): State<Arc<Postiz>>,
    Path(key): Path<String>,
) -> Response {
    if postiz.knows(&key) { idle(&postiz) } else { wrong_path_key() }
}

pub(super) async fn delete_with_path_key(
    State(postiz): State<Arc<Postiz>>,
    Path(key): Path<String>,
) -> Response {
    if postiz.knows(&key) { StatusCode::OK.into_response() } else { wrong_path_key() }
}

pub(super) async fn post_with_bearer(
    State(postiz): State<Arc<Postiz>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match bearer(&postiz, &headers) {
        Ok(()) => take(&postiz, &headers, &body),
        Err(refusal) => refusal.into_response(),
    }
}

pub(super) async fn get_with_bearer(
    State(postiz): State<Arc<Postiz>>,
    headers: HeaderMap,
) -> Response {
    match bearer(&postiz, &headers) {
        Ok(()) => idle(&postiz),
        Err(refusal) => refusal.into_response(),
    }
}

pub(super) async fn delete_with_bearer(
    State(postiz): State<Arc<Postiz>>,
    headers: HeaderMap,
) -> Response {
    match bearer(&postiz, &headers) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn wrong_path_key() -> Response {
    (StatusCode::BAD_REQUEST, "Invalid API Key").into_response()
}

/// Only the exact text `Bearer ` is taken off, so a bare key passes and `bearer` doesn't.
fn bearer(postiz: &Postiz, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let field = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(field) = field else {
        return Err((StatusCode::UNAUTHORIZED, "Missing Authorization header"));
    };
    let key = field.strip_prefix("Bearer ").unwrap_or(field);
    if postiz.knows(key) { Ok(()) } else { Err((StatusCode::UNAUTHORIZED, "Invalid API Key")) }
}

/// A stream on which nothing is ever sent.
fn idle(postiz: &Postiz) -> Response {
    let (sender, response) = event_stream(CACHE_CONTROL, ());
    postiz.streams.hold(sender);
    response
}

fn take(postiz: &Arc<Postiz>, headers: &HeaderMap, body: &[u8]) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !text("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        let message = "Unsupported Media Type: Content-Type must be application/json";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, -32000, message);
    }
    if text("mcp-protocol-version").is_some_and(|version| !rpc::VERSIONS.contains(&version)) {
        return refusal(
            StatusCode::BAD_REQUEST,
            -32000,
            "Bad Request: Unsupported protocol version",
        );
    }
    let Ok(answer) = rpc::answer(body) else {
        return refusal(StatusCode::BAD_REQUEST, -32700, "Parse error");
    };
    match answer.last {
        None => StatusCode::ACCEPTED.into_response(),
        Some(last) if answer.steps.is_empty() => super::json(StatusCode::OK, &last),
        Some(last) => stream(Arc::clone(postiz), answer.steps, last),
    }
}

/// One event per step, then the answer. It ends early where nobody reads any more.
fn stream(postiz: Arc<Postiz>, steps: Vec<Value>, last: Value) -> Response {
    let (sender, response) = event_stream(CACHE_CONTROL, ());
    let event = |message: &Value| Bytes::from(format!("event: message\ndata: {message}\n\n"));
    tokio::spawn(async move {
        for step in steps {
            if sender.send(Ok(event(&step))).await.is_err() || postiz.streams.is_closed() {
                return;
            }
            tokio::time::sleep(rpc::STEP_INTERVAL).await;
        }
        // A reader that has gone needs no answer.
        drop(sender.send(Ok(event(&last))).await);
    });
    response
}

fn refusal(status: StatusCode, code: i32, message: &str) -> Response {
    let error = json!({"code": code, "message": message});
    super::json(status, &json!({"jsonrpc": "2.0", "error": error, "id": null}))
}
