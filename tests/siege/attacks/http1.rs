//! Heads and bodies of HTTP/1.1 without measure.

use std::sync::Arc;

use crate::siege::{
    Outcome,
    door::{INSIDERS_KEY, Protocol},
    field::Field,
    pouring::{AT_ONCE, Carrier, Speech, pour},
    wire::post_head,
};

fn speech(opening: String, again: &'static [u8]) -> Speech {
    Speech {
        carrier: Carrier::Clear,
        opening: opening.into_bytes(),
        again: Arc::new(|_| again.to_vec()),
        times: u32::MAX,
    }
}

/// Fields without end, one field without end, and a target without end. Never returns.
pub(super) async fn heads(field: &Arc<Field>) -> Outcome<()> {
    let begun = || post_head(INSIDERS_KEY, "");
    let many = speech(begun(), b"X-A: 1\r\n");
    let long = speech(begun() + "X-Long: ", &[b'a'; 1024]);
    let target = speech("GET /mcp/".to_owned(), &[b'a'; 1024]);
    let over_tls = Speech { carrier: Carrier::Tls(Protocol::Http1), ..many.clone() };
    pour_all(field, [many, long, target, over_tls]).await
}

/// Chunks of a byte, and an extension without end. Never returns.
pub(super) async fn chunks(field: &Arc<Field>) -> Outcome<()> {
    let begun = || post_head(INSIDERS_KEY, "Transfer-Encoding: chunked\r\n\r\n");
    let small = speech(begun(), b"1\r\n \r\n");
    let extended = speech(begun(), b"1;a=b;c=d;e=f\r\n \r\n");
    let endless = speech(begun() + "1;a=", &[b'a'; 1024]);
    let over_tls = Speech { carrier: Carrier::Tls(Protocol::Http1), ..small.clone() };
    pour_all(field, [small, extended, endless, over_tls]).await
}

/// Each with a quarter of the connections.
async fn pour_all(field: &Arc<Field>, speeches: [Speech; 4]) -> Outcome<()> {
    let [one, two, three, four] = speeches.map(|speech| pour(field, speech, AT_ONCE / 4));
    tokio::try_join!(one, two, three, four)?;
    Ok(())
}
