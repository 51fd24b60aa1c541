//! The admin plane's address: metrics and health, nothing else.
//!
//! It changes nothing, and still a web page in the operator's browser must not read it: a request
//! that a page could have made is refused by its `Origin`, or by a `Host` that DNS rebinding
//! would have brought.

mod guard;
mod ready;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
pub use ready::{Readiness, Stage};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::observe::Metrics;

/// Connections at once; a scraper and two probes need three.
const CONNECTIONS: usize = 64;

/// How long a head may take, and how long a whole exchange.
const HEAD: Duration = Duration::from_secs(5);
const EXCHANGE: Duration = Duration::from_secs(30);

/// How large a head may be.
const HEAD_BYTES: usize = 16 << 10;

/// The pause after a refused `accept`: out of file descriptors, it would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is done; then open exchanges get a second.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    ready: Readiness,
    shutdown: impl Future<Output = ()>,
) {
    let app = router(metrics, ready);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &room) => accepted,
        };
        while open.try_join_next().is_some() {}
        if let Some((stream, permit)) = accepted {
            let app = app.clone();
            open.spawn(async move {
                converse(stream, app).await;
                drop(permit);
            });
        }
    }
    drop(listener);
    let ended = async { while open.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
}

/// The next connection once there is room for one; those beyond wait in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(_) => {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// One exchange, then the end: without kept-alive connections one deadline covers everything.
async fn converse(stream: TcpStream, app: Router) {
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    // Whatever went wrong, there is nobody to tell: the other side left or was too slow.
    let _ = tokio::time::timeout(EXCHANGE, exchange).await;
}

#[derive(Clone)]
struct Plane {
    metrics: Metrics,
    ready: Readiness,
}

fn router(metrics: Metrics, ready: Readiness) -> Router {
    Router::new()
        .route("/metrics", routing::get(show_metrics))
        .route("/livez", routing::get(async || "ok"))
        .route("/readyz", routing::get(show_ready))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "method"))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "no_route"))
        .layer(middleware::from_fn(guard::check))
        .with_state(Plane { metrics, ready })
}

async fn show_metrics(State(plane): State<Plane>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    // With many consumers this takes long enough to hold up the exchanges of its thread.
    match tokio::task::spawn_blocking(move || plane.metrics.render()).await {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

async fn show_ready(State(plane): State<Plane>) -> impl IntoResponse {
    let stage = plane.ready.get();
    let status = match stage {
        Stage::Ready => StatusCode::OK,
        Stage::Starting | Stage::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, stage.as_str())
}

/// A refusal as the data plane words it: the reason, and nothing of the request.
fn refusal(status: StatusCode, reason: &'static str) -> Response {
    let body = format!("{{\"error\":{{\"reason\":\"{reason}\"}}}}");
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, fields, body).into_response()
}

#[cfg(test)]
mod tests;
