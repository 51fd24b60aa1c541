use std::net::IpAddr;

use crate::{
    observe::{ConnectionOutcome, Metrics},
    policy::{Admittance, Bans, Places, Ticket},
    snapshot::Snapshot,
    types::{Denial, Limit, Nanos},
};

/// What lists in observe mode would have refused a peer for.
pub type Observed = Option<Denial>;

/// Who knocks.
pub struct Knock {
    /// The peer.
    pub peer: IpAddr,
    /// Whether the listener wants a PROXY header.
    pub wants_header: bool,
    /// What the process is short of.
    pub pressed: Option<Limit>,
}

/// What knocks are judged by.
#[derive(Clone, Copy)]
pub struct Gatekeeper<'g> {
    /// Who may connect.
    pub snapshot: &'g Snapshot,
    /// Who is banned.
    pub bans: &'g Bans,
    /// Who hears of caps that are reached.
    pub metrics: &'g Metrics,
}

/// Lets a peer in, before a byte of it is read and before TLS costs anything. Where the listener wants
/// a PROXY header, whoever may not send one isn't asked for it. Where the process is short of
/// something, or a cap is reached, the connection that has waited longest makes way for it.
///
/// # Errors
/// How the connection is counted instead, where it is closed.
pub fn let_in(
    keeper: Gatekeeper<'_>,
    places: &Places,
    knock: &Knock,
) -> Result<(Ticket, Observed), ConnectionOutcome> {
    let (access, peer) = (&keeper.snapshot.access, knock.peer);
    let observed = may_connect(keeper, peer)?;
    if knock.wants_header && !access.trusted_proxies.trusts(peer) {
        return Err(ConnectionOutcome::ProxyHeader);
    }
    if let Some(limit) = knock.pressed {
        keeper.metrics.reached(limit);
        if !places.shed_oldest() {
            return Err(ConnectionOutcome::Overload);
        }
    }
    let reached = |limit| keeper.metrics.reached(limit);
    let ticket = places.take((peer, &access.trusted_proxies), reached);
    Ok((ticket.map_err(|_| ConnectionOutcome::Connections)?, observed))
}

/// Lets in whom a PROXY header told. From here on that is the peer, and the place counts for it.
///
/// # Errors
/// How the connection is counted instead, where it is closed.
pub fn let_in_told(
    keeper: Gatekeeper<'_>,
    ticket: &mut Ticket,
    told: IpAddr,
) -> Result<Observed, ConnectionOutcome> {
    let observed = may_connect(keeper, told)?;
    let reached = |limit| keeper.metrics.reached(limit);
    let counted = ticket.is_for((told, &keeper.snapshot.access.trusted_proxies), reached);
    counted.map_err(|_| ConnectionOutcome::Connections)?;
    Ok(observed)
}

fn may_connect(keeper: Gatekeeper<'_>, peer: IpAddr) -> Result<Observed, ConnectionOutcome> {
    let Gatekeeper { snapshot, bans, .. } = keeper;
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
