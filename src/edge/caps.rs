use std::net::IpAddr;

use crate::{
    observe::ConnectionOutcome,
    policy::{Admittance, Places, Ticket},
    snapshot::Access,
    types::Denial,
};

/// What lists in observe mode would have refused a peer for.
pub type Observed = Option<Denial>;

/// Lets a peer in, before a byte of it is read and before TLS costs anything.
///
/// # Errors
/// How the connection is counted instead, where it is closed.
pub fn let_in(
    places: &Places,
    peer: IpAddr,
    access: &Access,
) -> Result<(Ticket, Observed), ConnectionOutcome> {
    let observed = match access.nets.judge(peer) {
        Admittance::LetIn => None,
        Admittance::Observed => Some(Denial::Address),
        Admittance::KeptOut => return Err(ConnectionOutcome::Address),
    };
    Ok((places.take(peer).ok_or(ConnectionOutcome::Connections)?, observed))
}
