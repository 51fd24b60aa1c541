use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Control, body, json, taking_over};
use crate::{
    admin::{explained, refusal},
    live::Life,
    observe::Operation,
    policy::{Consumer, Revocation, Unchanged},
    snapshot::Snapshot,
    types::{Denial, KeyMark},
};

/// How long an answer waits for the disk. What isn't in the file by then is tried again, and said.
const PATIENCE: Duration = Duration::from_secs(2);

/// A revocation, as it is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct RevocationAnswer {
    /// The consumer.
    pub consumer: String,
    /// Since when, as RFC 3339.
    pub since: String,
    /// How many keys of it.
    pub keys: usize,
}

/// All revocations.
#[derive(Debug, Serialize, Deserialize)]
pub struct RevocationsAnswer {
    /// By the consumers' names.
    pub revocations: Vec<RevocationAnswer>,
}

/// What `POST /revocations` takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// The consumer.
    pub consumer: String,
}

/// What became of a revocation, or of its end.
#[derive(Debug, Serialize, Deserialize)]
pub struct RevokedAnswer {
    /// The consumer.
    pub consumer: String,
    /// Whether it is revoked now.
    pub revoked: bool,
    /// How many exchanges were ended with it.
    pub ended: u64,
    /// It is in the state directory, and so holds over a restart. `false` also where there is none.
    pub kept: bool,
    /// There is a state directory: what isn't kept is still to be written, or can't be.
    pub state: bool,
}

pub(super) async fn list(State(control): State<Control>) -> Response {
    let told = |revoked: &Revocation| RevocationAnswer {
        consumer: revoked.name.to_string(),
        since: format!("{:.0}", revoked.since),
        keys: revoked.keys.len(),
    };
    json(&RevocationsAnswer { revocations: control.revocations.list().iter().map(told).collect() })
}

pub(super) async fn add(
    State(control): State<Control>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let asked: RevokeRequest =
        body(sent, "write {\"consumer\": \"NAME\"}").map_err(|refused| *refused)?;
    let snapshot = Arc::clone(&control.world.load().snapshot);
    let Some(consumer) = called(&snapshot, &asked.consumer) else {
        let text = "the configuration has no consumer of this name; `kill --key fp:...` ends what a \
                    key that no consumer has holds open, and the server behind has to refuse it";
        return Err(explained(StatusCode::NOT_FOUND, "no_consumer", text));
    };
    let (name, revoking) = (consumer.name.clone(), control.clone());
    let done = tokio::task::spawn_blocking(move || revoke_of(&revoking, snapshot, &asked.consumer));
    let done = done.await.map_err(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
    let (change, ended) = done.map_err(unchanged)?;
    let what = Operation { what: "revoke", selector: "key", value: name.as_str(), ended };
    control.note(&what);
    let state = control.world.load().snapshot.state_dir.is_some();
    let kept = state && is_kept(&control, change).await;
    Ok(json(&RevokedAnswer { consumer: name.to_string(), revoked: true, ended, kept, state }))
}

fn called<'s>(snapshot: &'s Snapshot, name: &str) -> Option<&'s Arc<Consumer>> {
    snapshot.consumers.iter().find(|consumer| consumer.name.as_str() == name)
}

/// Revokes the keys that a consumer has, and once more where a reload has just given it others: by the
/// time of the answer it is that configuration's consumer that is meant.
fn revoke_of(
    control: &Control,
    mut snapshot: Arc<Snapshot>,
    name: &str,
) -> Result<(u64, u64), Unchanged> {
    let (mut change, mut ended) = (0, 0);
    while let Some(consumer) = called(&snapshot, name) {
        let digests = std::iter::once(consumer.digest)
            .chain(consumer.previous.as_ref().map(|previous| previous.digest));
        let keys: Vec<KeyMark> = digests.map(|key| control.fingerprints.mark(&key)).collect();
        let revoked = Revocation { name: consumer.name.clone(), since: Timestamp::now(), keys };
        let (changed, more) = revoke(control, revoked)?;
        (change, ended) = (changed, ended + more);
        let now = Arc::clone(&control.world.load().snapshot);
        if Arc::ptr_eq(&now, &snapshot) {
            break;
        }
        snapshot = now;
    }
    Ok((change, ended))
}

/// Revokes, and ends what came with the keys. Which change that is, and how many were ended.
fn revoke(control: &Control, revoked: Revocation) -> Result<(u64, u64), Unchanged> {
    let keys = revoked.keys.clone();
    let is_meant = |life: &Life| {
        let mark = life.whose.key.map(|key| control.fingerprints.mark(&key));
        mark.is_some_and(|mark| keys.contains(&mark))
    };
    // Before and behind: whoever judges all that lives may be the first to end one, and what comes in
    // meanwhile is ended too.
    let mut met = Vec::new();
    control.living.each(|life| met.extend(is_meant(life).then(|| Arc::clone(life))));
    let change = control.revocations.add(revoked)?;
    // Who was let in before that and isn't to be seen yet is judged once more.
    control.living.is_judged();
    let mut ended = u64::try_from(met.len()).unwrap_or(u64::MAX);
    met.iter().for_each(|life| {
        life.end(Denial::KeyRevoked);
    });
    control.living.each(|life| {
        ended += u64::from(is_meant(life) && life.end(Denial::KeyRevoked));
    });
    Ok((change, ended))
}

pub(super) async fn lift(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<Response, Response> {
    let Some(change) = control.revocations.lift(&name).map_err(unchanged)? else {
        let text = "no consumer of this name is revoked; GET /revocations lists them";
        return Err(explained(StatusCode::NOT_FOUND, "not_revoked", text));
    };
    let what = Operation { what: "unrevoke", selector: "key", value: &name, ended: 0 };
    control.note(&what);
    let state = control.world.load().snapshot.state_dir.is_some();
    let kept = state && is_kept(&control, change).await;
    Ok(json(&RevokedAnswer { consumer: name, revoked: false, ended: 0, kept, state }))
}

fn unchanged(why: Unchanged) -> Response {
    match why {
        Unchanged::Full => {
            let text = "10,000 consumers or 160,000 keys are revoked: take those out of the \
                        configuration that are to stay out, and `unrevoke` them once it is in force";
            explained(StatusCode::INSUFFICIENT_STORAGE, "full", text)
        }
        Unchanged::Sealed => taking_over(),
    }
}

/// Waits until a change is in the file.
async fn is_kept(control: &Control, change: u64) -> bool {
    let mut kept = control.revocations.kept();
    let in_the_file = kept.wait_for(|kept| *kept >= change);
    tokio::time::timeout(PATIENCE, in_the_file).await.is_ok_and(|waited| waited.is_ok())
}
