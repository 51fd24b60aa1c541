//! Where a refused request ends: a request behind it is read as itself or not at all, and a body
//! that looks like a request never becomes one. HTTP/1 has no other border between two requests
//! than what was read of the first, so a refusal that stops reading must close.

use tokio::task::LocalSet;

use super::{
    SCENES,
    scene::{Making, Scene},
};
use crate::harness::tool_call;

/// Scenes that need the whole body, or whose request is all that comes: they aren't answered before
/// the rest is sent.
const BY_THEIR_BODY: [&str; 18] = [
    "chunk",
    "rate",
    "budget",
    "streams",
    "overload",
    "not_json",
    "not_rpc",
    "head_mismatch",
    "tool",
    "argument",
    "prompt",
    "resource",
    "method_denied",
    "method_gone",
    "discover_rate",
    "upstream_down",
    "upstream_slow",
    "upstream_bad",
];

/// How the end of a body is told.
#[derive(Clone, Copy, Debug)]
enum Framed {
    ByLength,
    InChunks,
}

/// When a body comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    AtOnce,
    /// Half of it with the head, and the rest once the request is refused, if it can be by then.
    InTwo,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    ItsOwn,
    /// Bytes that are a request, were they read as one.
    ARequest,
}

#[derive(Clone, Copy, Debug)]
struct Form {
    framed: Framed,
    comes: Comes,
    holds: Holds,
}

fn forms() -> impl Iterator<Item = Form> {
    [Framed::ByLength, Framed::InChunks].into_iter().flat_map(|framed| {
        [Comes::AtOnce, Comes::InTwo].into_iter().flat_map(move |comes| {
            [Holds::ItsOwn, Holds::ARequest].map(|holds| Form { framed, comes, holds })
        })
    })
}

#[tokio::test]
async fn no_refusal_lets_a_body_become_a_request_or_a_request_a_body() {
    let mut failures = Vec::new();
    let tasks = LocalSet::new();
    for (name, reason, making) in SCENES {
        for form in forms() {
            // A task of its own, so that a failure is that of one form of one scene.
            let task = tasks.spawn_local(stays_in_step(name, reason, *making, form));
            if let Err(failure) = tasks.run_until(task).await {
                let panic = failure.into_panic();
                let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                failures.push(format!("{name}, {form:?}: {said}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// Sends the request of a scene in that form, and a whole request behind it.
async fn stays_in_step(name: &str, reason: &str, making: Making, form: Form) {
    // In this order, so that the client goes before the gateway does.
    let Scene { gateway, mut upstream, mut client, request, reply, meanwhile } = making().await;
    let inner = gateway.passing("inner").bytes();
    let behind = gateway.passing("behind").bytes();
    let (head, body) = reformed(&request, form, &inner);
    let own = form.holds == Holds::ItsOwn;
    let mut answer = None;
    match form.comes {
        Comes::AtOnce => client.raw([head, body, behind].concat()).await,
        Comes::InTwo => {
            let (first, rest) = body.split_at(body.len() / 2);
            client.raw([&head, first].concat()).await;
            if !BY_THEIR_BODY.contains(&name) {
                answer = Some(client.answer().await);
            }
            client.raw([rest, &behind].concat()).await;
        }
    }
    let mut asked = None;
    if let Some(reply) = reply.filter(|_| own) {
        asked.insert(upstream.next().await).raw(reply).await;
    }
    let answer = match answer {
        Some(answer) => answer,
        None => client.answer().await,
    };
    drop(asked);
    meanwhile.ends().await;
    let told = if reason.starts_with("key_") { "unauthorized" } else { reason };
    // What comes at once behind half a head completes it.
    let same = own && !(name == "timeout" && form.comes == Comes::AtOnce);
    assert!(!same || answer.reason() == told, "{answer:?}");
    assert!(!answer.reason().is_empty(), "{answer:?}");
    if answer.closes() {
        client.is_closed().await;
    } else if name == "insecure" {
        client.answer().await.refused(403, "insecure");
    } else {
        let seen = upstream.answer("{}").await;
        assert_eq!((&*seen.target, seen.text()), ("/marker/behind", &*tool_call(1)));
        assert_eq!(client.answer().await.status, 200);
    }
    upstream.saw_nothing(&gateway).await;
}

/// A request with a body in that form: its head, and the body as it is framed. Half a head stays one.
fn reformed(request: &[u8], form: Form, inner: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(end) = memchr::memmem::find(request, b"\r\n\r\n") else {
        return (request.to_vec(), Vec::new());
    };
    let (head, own) = (str::from_utf8(&request[..end]).unwrap(), &request[end + 4..]);
    let chunked =
        |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    let call = tool_call(7);
    let body = match form.holds {
        Holds::ARequest => inner,
        Holds::ItsOwn if own.is_empty() => call.as_bytes(),
        Holds::ItsOwn => own,
    };
    // A coding is what such a scene is about.
    if head.contains("\r\ntransfer-encoding:") {
        return (request.to_vec(), chunked(body));
    }
    let lines = head.split("\r\n").filter(|line| !line.starts_with("content-length:"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    let body = match form.framed {
        Framed::ByLength => {
            lines.push(format!("content-length: {}", body.len()));
            body.to_vec()
        }
        Framed::InChunks => {
            lines.push("transfer-encoding: chunked".to_owned());
            chunked(body)
        }
    };
    ((lines.join("\r\n") + "\r\n\r\n").into_bytes(), body)
}
