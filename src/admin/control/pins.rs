use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{Control, bad_request, body, json};
use crate::{
    admin::explained,
    policy::{Pin, PinLine, Pins},
    types::{Name, ToolDigest, Untrusted},
};

/// All pinned tools.
#[derive(Debug, Serialize, Deserialize)]
pub struct PinsAnswer {
    /// By upstream and name.
    pub pins: Vec<PinLine>,
}

/// What `POST /pins` takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// Whose tool it is.
    pub upstream: String,
    /// Its name; left out: every tool that isn't trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The digest of the description that was looked at; another one isn't accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

pub(super) async fn list(State(control): State<Control>) -> Response {
    let lines = |(upstream, pins): (&Name, &Arc<Pins>)| {
        let all = pins.list().into_iter();
        all.map(|(tool, pin)| PinLine::of(upstream, &tool, pin)).collect::<Vec<_>>()
    };
    json(&PinsAnswer { pins: control.world.load().pins().iter().flat_map(lines).collect() })
}

pub(super) async fn accept(
    State(control): State<Control>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let text =
        "write {\"upstream\": \"postiz\", \"tool\": \"integrationList\"}; without `tool` for all";
    let asked: AcceptRequest = body(sent, text).map_err(|refused| *refused)?;
    let seen = asked.seen.as_deref().map(ToolDigest::parse_hex);
    if seen == Some(None) {
        let text = "`seen` is the digest that GET /pins shows: 64 hex digits";
        return Err(bad_request("seen", text));
    }
    let seen = seen.flatten();
    let pinned = control.world.load().pins();
    let mut all = pinned.iter();
    let Some((upstream, pins)) = all.find(|(name, _)| name.as_str() == asked.upstream) else {
        let text = "no upstream of this name has `pin`";
        return Err(explained(StatusCode::NOT_FOUND, "no_upstream", text));
    };
    let waits = |(tool, pin): &(Arc<str>, Pin)| {
        let asked_for = asked.tool.as_deref().is_none_or(|name| name == &**tool);
        asked_for && !pin.is_trusted() && seen.is_none_or(|seen| pin.seen == Some(seen))
    };
    let waiting = pins.list().into_iter().filter(waits);
    // What it was when it was listed here is what is accepted: it may change meanwhile.
    let accepted: Vec<_> =
        waiting.filter_map(|(tool, pin)| accepted(upstream, pins, (tool, pin))).collect();
    control.metrics.changed_tools(upstream, pins.changed());
    if accepted.is_empty() && asked.tool.is_some() {
        let text = "no tool of this name waits to be accepted as it is; GET /pins lists them";
        return Err(explained(StatusCode::NOT_FOUND, "no_change", text));
    }
    Ok(json(&PinsAnswer { pins: accepted }))
}

fn accepted(upstream: &Name, pins: &Pins, (tool, pin): (Arc<str>, Pin)) -> Option<PinLine> {
    let seen = pin.seen?;
    pins.accept(&tool, seen).ok()?;
    let name = Untrusted::new(&tool);
    tracing::info!(%upstream, tool = %name, "a tool is trusted as it is");
    Some(PinLine::of(upstream, &tool, Pin { accepted: Some(seen), seen: Some(seen) }))
}
