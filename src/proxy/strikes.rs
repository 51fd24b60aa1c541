//! What keys turn out to be, held against the addresses that they come from. No gate does this: it is
//! known only once somebody has looked at the key.

use super::place::{Known, Place};
use crate::{
    policy::{BanMode, Judgement},
    types::{Denial, Nanos},
};

/// The key is real.
pub(super) fn right_key(place: &Place<'_>, known: &Known) {
    place.state.bans.right_key(known.client);
}

/// A request is refused: was it a wrong key, or one more word to who is banned?
pub(super) fn refused(place: &Place<'_>, known: &Known, denial: Denial) {
    match denial {
        // A key that was stolen is tried as one that is guessed.
        Denial::KeyUnknown | Denial::Certificate => wrong_key(place, known),
        Denial::Banned { .. } => place.state.bans.told(known.client, Nanos::now()),
        _ => {}
    }
}

/// The reason of a refusal by a ban.
pub(super) const BANNED: &str =
    Denial::Banned { retry_after: std::time::Duration::ZERO }.face().reason;

/// A key is none.
pub(super) fn wrong_key(place: &Place<'_>, known: &Known) {
    let (state, rules) = (place.state, &place.snapshot().bans);
    // A key that was forwarded has paid when it knocked.
    if let Some(prefix) = known.prefix.filter(|_| !known.key_refused) {
        let at = (std::num::NonZeroU32::MIN, Nanos::now());
        let _ = state.limiter.charge_prefix(prefix, rules.wrong_keys, at);
    }
    // A ban of a proxy would be one of everybody behind it.
    if place.snapshot().access.trusted_proxies.trusts(known.client) {
        return;
    }
    let again = known.key.filter(|_| known.key_refused);
    for ban in state.bans.wrong_key(rules, (known.client, again), Nanos::now()) {
        state.metrics.banned(ban.cause.as_str());
        let seconds = ban.left.map_or(0, |left| left.as_secs());
        let (client, cause) = (known.client, ban.cause.as_str());
        // The words are an interface: log readers look for them.
        if rules.mode == BanMode::Enforce {
            tracing::info!(%client, net = ban.shown(), seconds, strikes = ban.strikes, cause, "banned");
        } else {
            tracing::info!(
                %client, net = ban.shown(), seconds, strikes = ban.strikes, cause, "would be banned"
            );
        }
    }
}

/// What the bans say of a client.
pub(super) fn judge(place: &Place<'_>, client: std::net::IpAddr) -> Judgement {
    place.state.bans.judge(&place.snapshot().bans, client, Nanos::now())
}
