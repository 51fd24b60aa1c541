//! What the admin socket answers. Whoever can open it may say who is banned.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{App, explained, guard, refusal};
use crate::{
    config,
    observe::Metrics,
    policy::{Ban, BanCause, Bans},
    snapshot::Snapshot,
    types::Nanos,
};

/// The largest body, in bytes. What is asked for here is a line.
const BODY: usize = 4 << 10;

/// What the socket's answers come from.
#[derive(Clone)]
pub struct Control {
    /// The bans.
    pub bans: Arc<Bans>,
    /// The configuration.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What is counted.
    pub metrics: Metrics,
}

/// A ban, as it is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct BanAnswer {
    /// An address or a net.
    pub net: String,
    /// When it ends, as RFC 3339; `None`: when it is lifted.
    pub until: Option<String>,
    /// The seconds until then.
    pub left_seconds: Option<u64>,
    /// How often it was banned.
    pub strikes: u32,
    /// `wrong_keys` or `operator`.
    pub cause: String,
}

/// All bans.
#[derive(Debug, Serialize, Deserialize)]
pub struct BansAnswer {
    /// The lowest address first.
    pub bans: Vec<BanAnswer>,
}

/// What `POST /bans` takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// An address or a net.
    pub net: String,
    /// How long, as the configuration writes durations; left out: until it is lifted.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<String>,
}

/// Everything that the socket answers.
pub fn control(control: Control) -> App {
    let router = Router::new()
        .route("/bans", routing::get(list).post(add))
        .route("/bans/{net}", routing::delete(lift))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "method"))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "no_route"))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(guard::socket))
        .with_state(control);
    App(router)
}

async fn list(State(Control { bans, .. }): State<Control>) -> Response {
    let bans = bans.list(Nanos::now());
    json(&BansAnswer { bans: bans.iter().map(told).collect() })
}

async fn add(
    State(control): State<Control>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let body = body.map_err(|_| refusal(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"))?;
    let asked: BanRequest = serde_json::from_slice(&body).map_err(|_| {
        let text =
            "write {\"net\": \"192.0.2.0/24\", \"for\": \"1h\"}; without `for` until it is lifted";
        bad_request("body", text)
    })?;
    let net = config::net(&asked.net).map_err(|text| bad_request("net", &text))?;
    let lasts = asked.lasts.as_deref().map(config::ban_length).transpose();
    let lasts = lasts.map_err(|text| bad_request("for", &text))?;
    if exempts(&control.snapshot.load(), net) {
        let text = "`bans.exempt` has this net: it is never banned";
        return Err(explained(StatusCode::CONFLICT, "exempt", text));
    }
    let now = Nanos::now();
    control.bans.add(net, lasts, now).map_err(|_| {
        let text = "10,000 nets are banned: put lasting ones into `deny` of [access]";
        explained(StatusCode::INSUFFICIENT_STORAGE, "full", text)
    })?;
    let cause = BanCause::Operator;
    let left = lasts.and_then(|lasts| jiff::SignedDuration::try_from(lasts).ok());
    let ban = Ban { net, left, strikes: 1, cause };
    control.metrics.banned(cause.as_str());
    let seconds = lasts.as_ref().map(Duration::as_secs);
    tracing::info!(net = ban.shown(), seconds, strikes = 1, cause = cause.as_str(), "banned");
    Ok(json(&told(&ban)))
}

async fn lift(
    State(control): State<Control>,
    Path(text): Path<String>,
) -> Result<Response, Response> {
    let net = config::net(&text).map_err(|text| bad_request("net", &text))?;
    if !control.bans.lift(net, Nanos::now()) {
        let text = "no ban is of exactly this net; GET /bans lists them";
        return Err(explained(StatusCode::NOT_FOUND, "no_ban", text));
    }
    let net = crate::policy::shown_net(net);
    tracing::info!(net, "ban lifted");
    Ok(json(&serde_json::json!({ "net": net, "lifted": true })))
}

/// Whether the whole of a net is exempt, as far as its ends tell.
fn exempts(snapshot: &Snapshot, net: IpNet) -> bool {
    let exempt = &snapshot.bans.exempt;
    exempt.lets_in(net.network()) && exempt.lets_in(net.broadcast())
}

fn bad_request(reason: &'static str, text: &str) -> Response {
    explained(StatusCode::BAD_REQUEST, reason, text)
}

fn told(ban: &Ban) -> BanAnswer {
    let until = |left| jiff::Timestamp::now().checked_add(left).ok();
    let seconds = |until: jiff::Timestamp| {
        let whole = until.round(jiff::Unit::Second).unwrap_or(until);
        whole.to_string()
    };
    BanAnswer {
        net: ban.shown(),
        until: ban.left.and_then(until).map(seconds),
        left_seconds: ban.left.map(|left| left.as_secs().unsigned_abs()),
        strikes: ban.strikes,
        cause: ban.cause.as_str().to_owned(),
    }
}

fn json(answer: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(answer) else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal");
    };
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (fields, body).into_response()
}
