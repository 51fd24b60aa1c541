use std::net::IpAddr;

use crate::{
    observe::ConnectionOutcome,
    policy::{Admittance, Places, Ticket},
    snapshot::Access,
    types::Denial,
};

/// What lists in observe mode would have refused a peer for.
pub type Observed = Option<Denial>;

/// Lets a peer in, before a byte of it is read and before TLS costs anything. Where the listener wants
/// a PROXY header, whoever may not send one isn't asked for it.
///
/// # Errors
/// How the connection is counted instead, where it is closed.
pub fn let_in(
    places: &Places,
    (peer, wants_header): (IpAddr, bool),
    access: &Access,
) -> Result<(Ticket, Observed), ConnectionOutcome> {
    let observed = may_connect(peer, access)?;
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
    ticket: &mut Ticket,
    told: IpAddr,
    access: &Access,
) -> Result<Observed, ConnectionOutcome> {
    let observed = may_connect(told, access)?;
    let fits = ticket.is_for(told, &access.trusted_proxies);
    if fits { Ok(observed) } else { Err(ConnectionOutcome::Connections) }
}

fn may_connect(peer: IpAddr, access: &Access) -> Result<Observed, ConnectionOutcome> {
    match access.nets.judge(peer) {
        Admittance::LetIn => Ok(None),
        Admittance::Observed => Ok(Some(Denial::Address)),
        Admittance::KeptOut => Err(ConnectionOutcome::Address),
    }
}
