use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Control, json};
use crate::admin::explained;

/// Somebody wants the configuration to be read again, and to hear what came of it.
pub struct ReloadAsked(pub oneshot::Sender<ReloadAnswer>);

/// What came of a configuration.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReloadAnswer {
    /// Whether it is in force now; else nothing has changed.
    pub applied: bool,
    /// What is wrong with it, or weak, for eyes: each with its place and how to mend it.
    pub problems: String,
}

pub(super) async fn reload(State(control): State<Control>) -> Result<Response, Response> {
    let ends = |_| explained(StatusCode::SERVICE_UNAVAILABLE, "ending", "the gateway is ending");
    let (answer, answered) = oneshot::channel();
    let asked = control.reload.send(ReloadAsked(answer)).await;
    asked.map_err(|_| ends(()))?;
    let answer = answered.await.map_err(|_| ends(()))?;
    Ok(json(&answer))
}
