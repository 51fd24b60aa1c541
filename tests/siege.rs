//! The siege in its quick form: a second or two of each attack on the real binary, with a friend who
//! is answered meanwhile. How fast isn't asked here, where tests share the machine; `make siege`
//! asks it, and attacks at length.

#[path = "siege/mod.rs"]
mod siege;

use std::time::Duration;

use siege::{Force, attacks::Attack};

const QUICK: Force = Force {
    quiet: Duration::from_millis(500),
    rounds: [Duration::from_millis(1500), Duration::from_millis(1000)],
    sockets: 200,
    pace: Duration::from_millis(200),
    keys: [5000, 1000],
    strangers: 1000,
    forwarded_addresses: 4000,
    body: 1 << 20,
    streams: 200,
    slowhttptest: false,
    is_timed: false,
};

fn holds(attack: Attack) -> siege::Outcome<()> {
    let row = siege::lay(attack, &QUICK)?;
    assert!(row.faults().is_empty(), "{row}");
    Ok(())
}

#[test]
fn heads_that_come_slowly() -> siege::Outcome<()> {
    holds(Attack::SlowHead)
}

#[test]
fn bodies_that_come_slowly() -> siege::Outcome<()> {
    holds(Attack::SlowBody)
}

#[test]
fn readers_that_take_their_time() -> siege::Outcome<()> {
    holds(Attack::SlowRead)
}

#[test]
fn a_flood_of_handshakes() -> siege::Outcome<()> {
    holds(Attack::Handshakes)
}

#[test]
fn sockets_that_stop_in_the_middle_of_the_hello() -> siege::Outcome<()> {
    holds(Attack::HalfAHello)
}

#[test]
fn sockets_that_stop_after_the_hello() -> siege::Outcome<()> {
    holds(Attack::NoAnswerToTheHello)
}

#[test]
fn requests_that_are_reset_at_once() -> siege::Outcome<()> {
    holds(Attack::RapidReset)
}

#[test]
fn requests_that_the_gateway_is_made_to_reset() -> siege::Outcome<()> {
    holds(Attack::MadeYouReset)
}

#[test]
fn a_head_in_parts_without_end() -> siege::Outcome<()> {
    holds(Attack::Continuation)
}

#[test]
fn data_that_is_empty() -> siege::Outcome<()> {
    holds(Attack::EmptyData)
}

#[test]
fn a_flood_of_pings() -> siege::Outcome<()> {
    holds(Attack::Ping)
}

#[test]
fn a_flood_of_settings() -> siege::Outcome<()> {
    holds(Attack::Settings)
}

#[test]
fn thousands_of_fields_of_a_byte_each() -> siege::Outcome<()> {
    holds(Attack::Bomb)
}

#[test]
fn answers_that_nobody_makes_room_for() -> siege::Outcome<()> {
    holds(Attack::ZeroWindow)
}

#[test]
fn heads_without_measure() -> siege::Outcome<()> {
    holds(Attack::HeaderBombs)
}

#[test]
fn chunks_without_measure() -> siege::Outcome<()> {
    holds(Attack::ChunkBombs)
}

#[test]
fn json_without_measure() -> siege::Outcome<()> {
    holds(Attack::JsonBombs)
}

#[test]
fn keys_that_are_made_up() -> siege::Outcome<()> {
    holds(Attack::MadeUpKeys)
}

#[test]
fn streams_that_are_opened_and_abandoned() -> siege::Outcome<()> {
    holds(Attack::AbandonedStreams)
}

#[test]
fn a_key_that_wants_every_stream() -> siege::Outcome<()> {
    holds(Attack::StreamsOfAKey)
}

#[test]
fn an_address_that_wants_every_stream() -> siege::Outcome<()> {
    holds(Attack::StreamsOfAnAddress)
}
