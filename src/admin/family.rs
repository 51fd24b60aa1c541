//! The processes of one gateway while it is upgraded. The newest has the admin socket; what is asked there
//! and concerns all of them it asks the others too.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method as HttpMethod, StatusCode, header, response},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    App,
    client::{Ask, NoAnswer, ask_within},
    refusal,
};
use crate::types::Method;

/// What concerns every process: its live streams, and who may go on.
const SHARED: [&str; 5] = ["/status", "/kill", "/revocations", "/bans", "/reload"];

/// How long an older process may take for its part.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest body of a request and of an answer, in bytes.
const ASKED: usize = 64 << 10;
const ANSWERED: usize = 64 << 20;

/// An older process of the same gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elder {
    /// Which it is.
    pub pid: u32,
    /// Where it is asked.
    pub socket: PathBuf,
}

/// The processes of one gateway that are older than this one and still end their streams.
pub struct Family {
    /// Where this process is asked.
    own: PathBuf,
    elders: Mutex<Vec<Elder>>,
}

impl Family {
    /// This process, which is asked there, and those before it.
    pub const fn new(own: PathBuf, elders: Vec<Elder>) -> Self {
        Self { own, elders: Mutex::new(elders) }
    }

    /// The older ones, as far as it is known.
    pub fn elders(&self) -> Vec<Elder> {
        self.lock().clone()
    }

    /// All that are older than the one that takes over.
    pub fn with_ourselves(&self) -> Vec<Elder> {
        let ourselves = Elder { pid: std::process::id(), socket: self.own.clone() };
        let mut all = self.elders();
        all.push(ourselves);
        all
    }

    /// Asks every older process, all at once. Those that have ended are forgotten. Blocks, but not for
    /// longer than two seconds or a little more.
    pub fn ask(&self, ask: &Ask<'_>) -> Vec<(Elder, Result<Vec<u8>, NoAnswer>)> {
        let elders = self.elders();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let one = |elder: Elder| {
                scope.spawn(move || {
                    let answer = ask_within(&elder.socket, ask, PATIENCE);
                    (elder, answer)
                })
            };
            let asked: Vec<_> = elders.into_iter().map(one).collect();
            asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
        });
        let has_ended = |answer: &Result<_, _>| {
            matches!(answer, Err(NoAnswer::Absent(_) | NoAnswer::Nobody(_)))
        };
        let ended = answers.iter().filter(|(_, answer)| has_ended(answer));
        for (elder, _) in ended {
            self.lock().retain(|one| one != elder);
        }
        answers.into_iter().filter(|(_, answer)| !has_ended(answer)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Elder>> {
        self.elders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same, where what is asked and concerns every process is asked of all.
pub fn for_all(App(router): App, family: Arc<Family>) -> App {
    App(router.layer(axum::middleware::from_fn_with_state(family, forward)))
}

async fn forward(State(family): State<Arc<Family>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let shares = |shared: &&'static str| {
        let rest = path.strip_prefix(*shared);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let method = method(request.method(), &path);
    let Some(method) = method.filter(|_| SHARED.iter().any(shares)) else {
        return next.run(request).await;
    };
    if family.elders().is_empty() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, ASKED).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    };
    let own = next.run(Request::from_parts(head, Body::from(body.clone())));
    // Neither waits for the other, or for who asked: what an operator said before leaving was said.
    let own = tokio::spawn(own);
    let asked = tokio::task::spawn_blocking(move || {
        let body = (method != Method::Get && !body.is_empty()).then_some(&body[..]);
        family.ask(&Ask { method, path: &path, body })
    });
    let (own, answers) = tokio::join!(own, asked);
    let Ok(own) = own else { return refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal") };
    let answers = answers.unwrap_or_default();
    let (head, body) = own.into_parts();
    match to_bytes(body, ANSWERED).await {
        Ok(body) => joined(head, &body, answers),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// How it is asked of the others. Lists of what all have alike aren't: the newest has them.
fn method(method: &HttpMethod, path: &str) -> Option<Method> {
    match *method {
        HttpMethod::GET if path == "/status" => Some(Method::Get),
        HttpMethod::POST => Some(Method::Post),
        HttpMethod::DELETE => Some(Method::Delete),
        _ => None,
    }
}

/// One answer of all: what lives is told together, what ended is counted together, and what each of the
/// others said stands beside it.
fn joined(
    head: response::Parts,
    body: &Bytes,
    answers: Vec<(Elder, Result<Vec<u8>, NoAnswer>)>,
) -> Response {
    let Ok(Value::Object(mut own)) = serde_json::from_slice(body) else {
        return (head.status, head.headers, body.clone()).into_response();
    };
    let mut elders = Vec::new();
    for (elder, answer) in answers {
        match answer.map(|body| serde_json::from_slice::<Map<String, Value>>(&body)) {
            Ok(Ok(mut theirs)) => {
                join(&mut own, &mut theirs, elder.pid);
                theirs.insert("pid".to_owned(), elder.pid.into());
                elders.push(Value::Object(theirs));
            }
            Ok(Err(_)) => elders.push(json!({ "pid": elder.pid, "error": "of another version" })),
            Err(why) => elders.push(json!({ "pid": elder.pid, "error": why.to_string() })),
        }
    }
    own.insert("elders".to_owned(), Value::Array(elders));
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (head.status, kind, Value::Object(own).to_string()).into_response()
}

/// Moves the lists of one answer to another's, and adds up what ended.
fn join(own: &mut Map<String, Value>, theirs: &mut Map<String, Value>, pid: u32) {
    if let (Some(Value::Array(mine)), Some(Value::Array(live))) =
        (own.get_mut("live"), theirs.get_mut("live"))
    {
        for mut one in std::mem::take(live) {
            if let Value::Object(one) = &mut one {
                one.insert("pid".to_owned(), pid.into());
            }
            mine.push(one);
        }
        theirs.remove("live");
    }
    let ended = |of: &Map<String, Value>| of.get("ended").and_then(Value::as_u64);
    if let (Some(mine), Some(more)) = (ended(own), ended(theirs)) {
        own.insert("ended".to_owned(), mine.saturating_add(more).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Vec<u8>, NoAnswer> {
        Ok(text.as_bytes().to_vec())
    }

    async fn said(own: &str, answers: Vec<Result<Vec<u8>, NoAnswer>>) -> Value {
        let (head, _) = Response::new(Body::empty()).into_parts();
        let elder = |pid| Elder { pid, socket: PathBuf::new() };
        let answers = answers.into_iter().zip(7..).map(|(answer, pid)| (elder(pid), answer));
        let joined = joined(head, &Bytes::from(own.to_owned()), answers.collect());
        serde_json::from_slice(&to_bytes(joined.into_body(), 4096).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn what_ended_is_counted_together_and_what_lives_is_told_together() {
        let killed = said("{\"ended\":2}", vec![answer("{\"ended\":3}"), answer("<html>")]).await;
        let elders = json!([{ "ended": 3, "pid": 7 }, { "pid": 8, "error": "of another version" }]);
        assert_eq!(killed, json!({ "ended": 5, "elders": elders }));
        let own = "{\"live\":[{\"stream\":\"a\"}]}";
        let live = said(own, vec![answer("{\"live\":[{\"stream\":\"b\"}]}")]).await;
        let all = json!([{ "stream": "a" }, { "stream": "b", "pid": 7 }]);
        assert_eq!(live, json!({ "live": all, "elders": [{ "pid": 7 }] }));
        let refused = said("{\"ended\":0}", vec![Err(NoAnswer::Refused("no.".to_owned()))]).await;
        assert_eq!(refused["elders"], json!([{ "pid": 7, "error": "no." }]));
    }

    #[test]
    fn one_that_has_ended_is_forgotten_and_one_that_is_silent_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let socket = |name: &str| dir.path().join(name);
        drop(std::os::unix::net::UnixListener::bind(socket("1")).unwrap());
        let elders = [1, 2].map(|pid| Elder { pid, socket: socket(&pid.to_string()) });
        let family = Family::new(socket("3"), elders.to_vec());
        let said = family.ask(&Ask { method: Method::Get, path: "/status", body: None });
        assert!(said.is_empty() && family.elders().is_empty());
        assert_eq!(family.with_ourselves().len(), 1);
    }
}
