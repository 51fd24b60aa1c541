use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Control, bad_request, json};
use crate::{
    admin::explained,
    config,
    observe::Operation,
    policy::{Ban, BanCause},
    snapshot::Snapshot,
    types::{Denial, Nanos},
};

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

pub(super) async fn list(State(Control { bans, .. }): State<Control>) -> Response {
    let bans = bans.list(Nanos::now());
    json(&BansAnswer { bans: bans.iter().map(told).collect() })
}

pub(super) async fn add(
    State(control): State<Control>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let text =
        "write {\"net\": \"192.0.2.0/24\", \"for\": \"1h\"}; without `for` until it is lifted";
    let asked: BanRequest = super::body(body, text).map_err(|refused| *refused)?;
    let net = config::net(&asked.net).map_err(|text| bad_request("net", &text))?;
    let lasts = asked.lasts.as_deref().map(config::ban_length).transpose();
    let lasts = lasts.map_err(|text| bad_request("for", &text))?;
    if exempts(&control.world.load().snapshot, net) {
        let text = "`bans.exempt` has this net: it is never banned";
        return Err(explained(StatusCode::CONFLICT, "exempt", text));
    }
    let now = Nanos::now();
    control.bans.add(net, lasts, now).map_err(|_| {
        let text = "10,000 nets are banned: put lasting ones into `deny` of [access]";
        explained(StatusCode::INSUFFICIENT_STORAGE, "full", text)
    })?;
    let banning = control.clone();
    let ended = tokio::task::spawn_blocking(move || end_banned(&banning)).await.unwrap_or_default();
    let what = Operation {
        what: "ban",
        selector: "address",
        value: &crate::policy::shown_net(net),
        ended,
    };
    control.note(&what);
    let cause = BanCause::Operator;
    let left = lasts.and_then(|lasts| jiff::SignedDuration::try_from(lasts).ok());
    let ban = Ban { net, left, strikes: 1, cause };
    control.metrics.banned(cause.as_str());
    let seconds = lasts.as_ref().map(Duration::as_secs);
    tracing::info!(net = ban.shown(), seconds, strikes = 1, cause = cause.as_str(), "banned");
    Ok(json(&told(&ban)))
}

/// Ends what lives of who is banned by an operator. How many that were.
fn end_banned(control: &Control) -> u64 {
    let rules = &control.world.load().snapshot.bans;
    let (now, mut ended) = (Nanos::now(), 0);
    // Who was let in before the ban and isn't to be seen yet is judged once more.
    control.living.is_judged();
    control.living.each(|life| {
        if let Some(retry_after) = control.bans.by_operator(rules, life.whose.client, now) {
            ended += u64::from(life.end(Denial::Banned { retry_after }));
        }
    });
    ended
}

pub(super) async fn lift(
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
