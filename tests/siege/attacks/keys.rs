//! Keys that nobody gave out, from more addresses than a table should hold.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpStream, task::JoinSet};

use crate::siege::{
    Outcome,
    door::TRUSTED_PROXY,
    field::Field,
    wire::{CALL, Wire, post},
};

/// The longest that a round may take.
pub(super) const AT_MOST: Duration = Duration::from_secs(300);

/// Requests under way at once.
const AT_ONCE: u32 = 32;

/// What the attackers share: how many keys there were so far.
struct Guessing {
    field: Arc<Field>,
    made: AtomicU32,
    all: u32,
}

impl Guessing {
    /// The number of the next key, which no other has, in any round.
    fn next(&self) -> Option<u32> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        (number < self.all).then_some(number)
    }

    fn request(&self, number: u32, more: &str) -> String {
        let round = self.field.round;
        post(&format!("guessed-{round}-{number:08}-00112233445566778899aabb"), more, CALL)
    }

    fn answered(&self, status: u16) {
        self.field.did(1);
        if status >= 400 {
            self.field.was_cut();
        }
    }
}

/// So many keys as the round has: some on a connection and from an address of their own, the rest
/// from addresses that a trusted proxy names. Ends when all of them were answered.
pub(super) async fn made_up(field: &Arc<Field>) -> Outcome<()> {
    let [first, again] = field.force.keys;
    let all = if field.round == 0 { first } else { again };
    let strangers = field.force.strangers.min(all);
    let guessing = Arc::new(Guessing { field: Arc::clone(field), made: 0.into(), all });
    let mut asking = JoinSet::new();
    for _ in 0..AT_ONCE {
        let guessing = Arc::clone(&guessing);
        asking.spawn(async move {
            let mut proxied = None;
            while let Some(number) = guessing.next() {
                if number < strangers {
                    as_a_stranger(&guessing, number).await?;
                } else {
                    by_a_proxy(&guessing, number, &mut proxied).await?;
                }
            }
            Outcome::Ok(())
        });
    }
    asking.join_all().await.into_iter().collect()
}

/// From an address that asks once.
async fn as_a_stranger(guessing: &Guessing, number: u32) -> Outcome<()> {
    let field = &guessing.field;
    // Who is let in no more isn't answered, and that is an answer.
    let asked = async {
        let mut wire = Wire::new(field.door.clear(field.address(u32::MAX)).await?);
        field.connected();
        wire.ask(guessing.request(number, "").as_bytes()).await
    };
    guessing.answered(asked.await.map_or(403, |answer| answer.status));
    Ok(())
}

/// From an address that only the header has.
async fn by_a_proxy(
    guessing: &Guessing,
    number: u32,
    kept: &mut Option<Wire<TcpStream>>,
) -> Outcome<()> {
    let field = &guessing.field;
    let mut wire = match kept.take() {
        Some(wire) => wire,
        None => {
            field.connected();
            Wire::new(field.door.clear(TRUSTED_PROXY).await?)
        }
    };
    let client = Ipv4Addr::from_bits(0x0a00_0000 + number % field.force.forwarded_addresses);
    let request = guessing.request(number, &format!("X-Forwarded-For: {client}\r\n"));
    match wire.ask(request.as_bytes()).await {
        Ok(answer) => {
            guessing.answered(answer.status);
            *kept = Some(wire);
        }
        // A refusal may close; the next key has a new connection.
        Err(_) => guessing.answered(403),
    }
    Ok(())
}
