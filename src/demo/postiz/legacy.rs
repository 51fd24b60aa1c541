//! The legacy transport in the manner of v2.7.0.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderValue, StatusCode},
    response::Response,
};
use serde_json::{Value, json};

use super::{Postiz, event_stream, rpc};

/// What Postiz believes its public address to be. The endpoint event is made of it and not of the
/// Host that the client used; that it is wrong here shows that the gateway mends the event.
const BACKEND_URL: &str = "http://localhost:5000/api";

const CACHE_CONTROL: &str = "private, no-cache, no-store, must-revalidate, max-age=0, no-transform";

/// `GET /mcp/:key/sse`
pub(super) async fn open_stream(
    State(postiz): State<Arc<Postiz>>,
    Path(key): Path<String>,
) -> Response {
    if !postiz.knows(&key) {
        return wrong_key();
    }
    let (sender, mut response) = event_stream(CACHE_CONTROL, Silences(Arc::clone(&postiz)));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    postiz.streams.join(sender, &format!("{BACKEND_URL}/mcp/{key}/messages"));
    response
}

/// Silences the others with its drop, at the end of a stream.
struct Silences(Arc<Postiz>);

impl Drop for Silences {
    fn drop(&mut self) {
        self.0.streams.silence();
    }
}

/// `POST /mcp/:key/messages`: answered at once; what it asks for comes on the event stream.
pub(super) async fn take_message(
    State(postiz): State<Arc<Postiz>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    if !postiz.knows(&key) {
        return wrong_key();
    }
    let Ok(answer) = rpc::answer(&body) else {
        let body = json!({"statusCode": 500, "message": "Internal server error"});
        return super::json(StatusCode::INTERNAL_SERVER_ERROR, &body);
    };
    tokio::spawn(async move {
        for step in answer.steps {
            postiz.streams.publish(&step);
            tokio::time::sleep(rpc::STEP_INTERVAL).await;
            if postiz.streams.is_closed() {
                return;
            }
        }
        if let Some(last) = answer.last {
            postiz.streams.publish(&last);
        }
    });
    super::json(StatusCode::CREATED, &Value::Object(serde_json::Map::new()))
}

fn wrong_key() -> Response {
    let body = json!({"statusCode": 400, "message": "Invalid url"});
    super::json(StatusCode::BAD_REQUEST, &body)
}
