use std::net::IpAddr;

use crate::{
    observe::ConnectionOutcome,
    policy::{NetList, Places, Ticket},
};

/// Lets a peer in, before a byte of it is read and before TLS costs anything.
///
/// # Errors
/// How the connection is counted instead, where it is closed.
pub fn let_in(places: &Places, peer: IpAddr, nets: &NetList) -> Result<Ticket, ConnectionOutcome> {
    if !nets.lets_in(peer) {
        return Err(ConnectionOutcome::Address);
    }
    places.take(peer).ok_or(ConnectionOutcome::Connections)
}
