use std::sync::Arc;

use super::{
    BootError, acme::AcmeKeeper, bans::BanKeeper, budgets::BudgetKeeper,
    certificates::CertificateKeeper, doors::Doors, pins::PinKeeper, revocations::RevocationKeeper,
};
use crate::{edge::Challenges, proxy::State};

/// What outlives the process and who keeps it, and who keeps certificates fresh.
pub(super) struct Keepers {
    bans: Arc<BanKeeper>,
    budgets: Arc<BudgetKeeper>,
    pins: Arc<PinKeeper>,
    revocations: Arc<RevocationKeeper>,
    certificates: Arc<CertificateKeeper>,
    pub(super) acme: Arc<AcmeKeeper>,
}

impl Keepers {
    /// Puts back what was kept.
    ///
    /// # Errors
    /// Where it can't be read who is revoked.
    pub(super) fn new(
        state: &State,
        doors: &Arc<Doors>,
        challenges: &Challenges,
    ) -> Result<Self, BootError> {
        let (metrics, world) = (&state.metrics, &state.world);
        let acme = AcmeKeeper::new(doors, world, (challenges, &state.tokens), metrics);
        Ok(Self {
            bans: Arc::new(BanKeeper::new(&state.bans, metrics, world)),
            budgets: Arc::new(BudgetKeeper::new(&state.budgets, metrics, world)),
            pins: Arc::new(PinKeeper::new(world, metrics)),
            revocations: Arc::new(RevocationKeeper::new(state)?),
            certificates: Arc::new(CertificateKeeper::new(doors, metrics)),
            acme: Arc::new(acme),
        })
    }

    /// Keeps what changes. Ends only when dropped.
    pub(super) async fn keep(&self) {
        let Self { bans, budgets, pins, revocations, certificates, acme } = self;
        tokio::join!(
            Arc::clone(bans).keep(),
            Arc::clone(budgets).keep(),
            Arc::clone(pins).keep(),
            Arc::clone(revocations).keep(),
            Arc::clone(certificates).keep(),
            Arc::clone(acme).keep(),
        );
    }

    /// Keeps what has changed, at the end.
    pub(super) fn turn(&self) {
        self.bans.turn();
        self.budgets.turn();
        self.pins.turn();
        self.revocations.turn();
    }
}
