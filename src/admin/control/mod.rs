//! What the admin socket answers. Whoever can open it may say who is banned, which tools are trusted,
//! when the configuration is read again, and what has to end.

mod bans;
mod live;
mod pins;
mod reload;
mod revocations;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State, rejection::BytesRejection},
    http::{Method as HttpMethod, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
pub use bans::{BanAnswer, BanRequest, BansAnswer};
pub use live::{KillAnswer, KillRequest, LiveAnswer, StatusAnswer};
pub use pins::{AcceptRequest, PinsAnswer};
pub use reload::{ReloadAnswer, ReloadAsked};
pub use revocations::{RevocationAnswer, RevocationsAnswer, RevokeRequest, RevokedAnswer};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

use super::{App, explained, guard, refusal};
use crate::{
    live::Living,
    observe::{AuditSink, Metrics, Operation},
    policy::{Bans, Leases, Revocations},
    types::FingerprintKey,
    upstream::World,
};

/// The largest body, in bytes. What is asked for here is a line.
const BODY: usize = 4 << 10;

/// What the socket's answers come from.
#[derive(Clone)]
pub struct Control {
    /// What asks is a process of the same gateway, or who means this one alone.
    pub is_own: bool,
    /// The bans.
    pub bans: Arc<Bans>,
    /// The keys that are revoked.
    pub revocations: Arc<Revocations>,
    /// What is under way.
    pub living: Living,
    /// The salt of fingerprints.
    pub fingerprints: Arc<FingerprintKey>,
    /// Where it is recorded what an operator ends.
    pub audit: Option<AuditSink>,
    /// The configuration, and the servers with what is pinned of them.
    pub world: Arc<ArcSwap<World>>,
    /// Who reloads the configuration.
    pub reload: mpsc::Sender<ReloadAsked>,
    /// What is counted.
    pub metrics: Metrics,
    /// Open streams.
    pub leases: Leases,
}

impl Control {
    /// Records what an operator has done.
    fn note(&self, done: &Operation<'_>) {
        let Operation { what, selector, value, ended } = *done;
        tracing::info!(selector, value, ended, "operator: {what}");
        if let Some(audit) = &self.audit {
            audit.operation(done);
        }
    }
}

/// Everything that the socket answers.
pub fn control(control: Control) -> App {
    let router = Router::new()
        .route("/bans", routing::get(bans::list).post(bans::add))
        .route("/bans/{net}", routing::delete(bans::lift))
        .route("/pins", routing::get(pins::list).post(pins::accept))
        .route("/reload", routing::post(reload::reload))
        .route("/status", routing::get(live::status))
        .route("/kill", routing::post(live::kill))
        .route("/revocations", routing::get(revocations::list).post(revocations::add))
        .route("/revocations/{consumer}", routing::delete(revocations::lift))
        .route("/leases", routing::get(leases))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "method"))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "no_route"))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(control.clone(), while_handing_over))
        .layer(middleware::from_fn(guard::socket))
        .with_state(control);
    App(router)
}

/// What is changed while another process takes over would be changed here alone, and be over with this
/// process: it is asked for again. A process of the same gateway means this one.
async fn while_handing_over(
    State(control): State<Control>,
    request: Request,
    next: Next,
) -> Response {
    let revocations = &control.revocations;
    if control.is_own || request.method() == HttpMethod::GET {
        return next.run(request).await;
    }
    if revocations.are_sealed() {
        return taking_over();
    }
    let answer = next.run(request).await;
    if revocations.are_handed_over() { taking_over() } else { answer }
}

fn taking_over() -> Response {
    let text = "another process is taking over: ask again";
    explained(StatusCode::SERVICE_UNAVAILABLE, "upgrade", text)
}

/// For the process that has taken over from this one.
async fn leases(State(Control { leases, .. }): State<Control>) -> Response {
    // Thousands may be open.
    let told = tokio::task::spawn_blocking(move || json(&leases.counts())).await;
    told.unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal"))
}

/// What a body says; `text` is how it is written.
fn body<T: DeserializeOwned>(
    sent: Result<Bytes, BytesRejection>,
    text: &str,
) -> Result<T, Box<Response>> {
    let refused = |_| refusal(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    let sent = sent.map_err(refused)?;
    Ok(serde_json::from_slice(&sent).map_err(|_| bad_request("body", text))?)
}

fn bad_request(reason: &'static str, text: &str) -> Response {
    explained(StatusCode::BAD_REQUEST, reason, text)
}

fn json(answer: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(answer) else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal");
    };
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (fields, body).into_response()
}
