//! Bodies that are as large as they may be and cost a reader more than they cost to send.

use std::{future, sync::Arc};

use tokio::task::JoinSet;

use crate::siege::{
    Outcome,
    door::INSIDERS_KEY,
    field::Field,
    wire::{Wire, post},
};

/// Bodies under way at once.
const AT_ONCE: u32 = 4;
/// From so many addresses.
const ADDRESSES: u32 = 64;

/// Bodies of so many bytes, each of which repeats something between what opens and what closes it.
fn bodies(bytes: usize) -> Vec<String> {
    let body = |open: &str, again: &str, close: &str| {
        let times = bytes.saturating_sub(open.len() + close.len()) / again.len();
        [open, &again.repeat(times), close].concat()
    };
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"#;
    vec![
        body("", "[", ""),
        body("", r#"{"a":"#, ""),
        body(&format!("{call}["), "[[[[", "]}"),
        body(&format!("{call}{{\"a\":"), "9", "}}"),
        body(&format!("{call}{{\"a\":1e"), "9", "}}"),
        body(&format!("{call}{{\"a\":\""), r"\u0041", "\"}}"),
        body(&format!("{call}{{"), r#""a":1,"#, "\"a\":1}}"),
        body(&format!("{call}["), "0,", "0]}"),
        body("[", r#"{"jsonrpc":"2.0","id":1,"method":"ping"},"#, "{}]"),
        body("[", "{},", "{}]"),
        body("", " ", ""),
    ]
}

/// Posts them in turn, with a key that is right, and reads what is answered. Never returns.
pub(super) async fn bombs(field: &Arc<Field>) -> Outcome<()> {
    let bodies = bodies(field.force.body);
    let requests: Arc<Vec<String>> =
        Arc::new(bodies.iter().map(|body| post(INSIDERS_KEY, "", body)).collect());
    let mut posting = JoinSet::new();
    for first in 0..AT_ONCE {
        let (field, requests) = (Arc::clone(field), Arc::clone(&requests));
        posting.spawn(async move {
            for request in requests.iter().cycle().skip(first.try_into().unwrap_or(0)) {
                let _ = ask(&field, request).await;
            }
        });
    }
    match posting.join_next().await {
        Some(Err(error)) => Err(error.into()),
        _ => future::pending().await,
    }
}

async fn ask(field: &Field, request: &str) -> Outcome<()> {
    let mut wire = Wire::new(field.door.clear(field.address(ADDRESSES)).await?);
    field.connected();
    let answer = wire.ask(request.as_bytes()).await;
    field.did(1);
    if answer.is_ok_and(|answer| answer.status >= 400) {
        field.was_cut();
    }
    Ok(())
}
