use std::net::IpAddr;

use crate::{
    observe::ConnectionOutcome,
    policy::{Admittance, Bans, Places, Ticket},
    snapshot::Snapshot,
    types::{Denial, Nanos},
};

/// What lists in observe mode would have refused a peer for.
pub type Observed = Option<Denial>;

/// Lets a peer in, before a byte of it is read and before TLS costs anything. Where the listener wants
/// a PROXY header, whoever may not send one isn't asked for it.
///
/// # Errors
/// How the connection is counted instead, where it is closed.
pub fn let_in(
    (places, bans): (&Places, &Bans),
    (peer, wants_header): (IpAddr, bool),
    snapshot: &Snapshot,
) -> Result<(Ticket, Observed), ConnectionOutcome> {
    let access = &snapshot.access;
    let observed = may_connect(peer, bans, snapshot)?;
    if wants_header && !access.trusted_proxies.trusts(peer) {
        return Err(ConnectionOutcome::ProxyHeader);
    }
    let ticket = places.take(peer, &access.trusted_proxies);
    Ok((ticket.ok_or(ConnectionOutcome::Connections)?, observed))
}

/// Lets in whom a PROXY header told. From here on that is the peer, and the place counts for it.
///
/// # Errors
/// How the connection is counted instead, where it is closed.
pub fn let_in_told(
    (ticket, bans): (&mut Ticket, &Bans),
    told: IpAddr,
    snapshot: &Snapshot,
) -> Result<Observed, ConnectionOutcome> {
    let observed = may_connect(told, bans, snapshot)?;
    let fits = ticket.is_for(told, &snapshot.access.trusted_proxies);
    if fits { Ok(observed) } else { Err(ConnectionOutcome::Connections) }
}

fn may_connect(
    peer: IpAddr,
    bans: &Bans,
    snapshot: &Snapshot,
) -> Result<Observed, ConnectionOutcome> {
    let access = &snapshot.access;
    let observed = match access.nets.judge(peer) {
        Admittance::LetIn => None,
        Admittance::Observed => Some(Denial::Address),
        Admittance::KeptOut => return Err(ConnectionOutcome::Address),
    };
    // Who was told its ban a few times costs no handshake any more. A proxy is told for those behind
    // it, and they are judged by their own addresses.
    let is_over = bans.judge(&snapshot.bans, peer, Nanos::now()).closes();
    if is_over && !access.trusted_proxies.trusts(peer) {
        return Err(ConnectionOutcome::Banned);
    }
    Ok(observed)
}
