//! The admin plane: an address with metrics and health, and a socket that says who is banned, which
//! tools are trusted, and what is under way and has to end.
//!
//! The address changes nothing, and still neither a web page in the operator's browser nor a server
//! that was made to fetch it must read it; `guard` says how they are told. The socket has no address:
//! whoever may open the file may ask.

mod client;
mod control;
mod family;
mod guard;
mod ready;
mod socket;

use std::{borrow::Cow, future::Future, net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Extension, Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing,
};
pub use client::{Ask, NoAnswer, ask};
pub use control::{
    AcceptRequest, BanAnswer, BanRequest, BansAnswer, Control, KillAnswer, KillRequest, LiveAnswer,
    PinsAnswer, ReloadAnswer, ReloadAsked, RevocationAnswer, RevocationsAnswer, RevokeRequest,
    RevokedAnswer, StatusAnswer, control,
};
pub use family::{Elder, Family, for_all};
use guard::Peer;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ready::Behind;
pub use ready::{Readiness, Stage};
pub use socket::{SocketFile, bind, connect};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::task::TaskTracker;

use crate::{observe::Metrics, upstream::World};

/// Connections at once; a scraper and two probes need three.
const CONNECTIONS: usize = 64;

/// How long a head may take, and how long a whole exchange.
const HEAD: Duration = Duration::from_secs(5);
const EXCHANGE: Duration = Duration::from_secs(30);

/// How large a head may be.
const HEAD_BYTES: usize = 16 << 10;

/// The pause after a refused `accept`: out of file descriptors, it would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the plane is asked.
pub enum Listening {
    /// At an address.
    Address(TcpListener),
    /// On a socket of this machine.
    Socket(UnixListener),
}

/// Who asks.
enum Asking {
    Peer(TcpStream, IpAddr),
    Local(UnixStream),
}

/// What is answered.
#[derive(Clone)]
pub struct App(Router);

/// Serves until `shutdown` is done; then open exchanges get a second. Those of the socket are `answering`
/// for as long: who ends the last stream of a process that is about to end still reads so.
pub async fn serve(
    listening: Listening,
    app: App,
    (answering, shutdown): (&TaskTracker, impl Future<Output = ()>),
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            // First: what is in the queue by then is another process's to answer.
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listening, &room) => accepted,
        };
        while open.try_join_next().is_some() {}
        if let Some((asking, permit)) = accepted {
            let (app, answering) = (app.0.clone(), answering.clone());
            open.spawn(async move {
                match asking {
                    Asking::Peer(stream, peer) => {
                        converse(stream, app.layer(Extension(Peer(peer)))).await;
                    }
                    Asking::Local(stream) => {
                        answering.track_future(converse(stream, app)).await;
                    }
                }
                drop(permit);
            });
        }
    }
    drop(listening);
    let ended = async { while open.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
}

/// The next connection once there is room for one; those beyond wait in the kernel's queue.
async fn accept(
    listening: &Listening,
    room: &Arc<Semaphore>,
) -> Option<(Asking, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    let accepted = match listening {
        Listening::Address(listener) => {
            listener.accept().await.map(|(stream, peer)| Asking::Peer(stream, peer.ip()))
        }
        Listening::Socket(listener) => {
            listener.accept().await.map(|(stream, _)| Asking::Local(stream))
        }
    };
    match accepted {
        Ok(asking) => Some((asking, permit)),
        Err(_) => {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// One exchange, then the end: without kept-alive connections one deadline covers everything.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router) {
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
    world: Arc<ArcSwap<World>>,
}

/// Everything that the address answers. The servers behind may not ask, and without them there is
/// nothing to be ready for.
pub fn monitor(metrics: Metrics, ready: Readiness, world: Arc<ArcSwap<World>>) -> App {
    let guard = middleware::from_fn_with_state(Arc::clone(&world), guard::address);
    let router = Router::new()
        .route("/metrics", routing::get(show_metrics))
        .route("/livez", routing::get(async || "ok"))
        .route("/readyz", routing::get(show_ready))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "method"))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "no_route"))
        .layer(guard)
        .with_state(Plane { metrics, ready, world });
    App(router)
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
    let unready = |word: &'static str| (StatusCode::SERVICE_UNAVAILABLE, Cow::from(word));
    match (plane.ready.get(), Behind::of(&plane.world.load())) {
        (Stage::Ready, Behind::Some { without }) if without.is_empty() => {
            (StatusCode::OK, Stage::Ready.as_str().into())
        }
        (Stage::Ready, Behind::Some { without }) => {
            (StatusCode::OK, format!("ready, without {}", without.join(", ")).into())
        }
        (Stage::Ready, Behind::Unknown) => unready(Stage::Starting.as_str()),
        (Stage::Ready, Behind::Nothing) => unready("upstream_down"),
        (stage @ (Stage::Starting | Stage::Draining), _) => unready(stage.as_str()),
    }
}

/// A refusal as the data plane words it: the reason, and nothing of the request.
fn refusal(status: StatusCode, reason: &'static str) -> Response {
    error(status, &serde_json::json!({ "reason": reason }))
}

/// The same for who can mend it by hand.
fn explained(status: StatusCode, reason: &'static str, text: &str) -> Response {
    error(status, &serde_json::json!({ "reason": reason, "message": text }))
}

fn error(status: StatusCode, why: &serde_json::Value) -> Response {
    let body = serde_json::json!({ "error": why }).to_string();
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, fields, body).into_response()
}

#[cfg(test)]
mod tests;
