use std::sync::Arc;

use super::{
    BootError, bans::BanKeeper, budgets::BudgetKeeper, pins::PinKeeper,
    revocations::RevocationKeeper,
};
use crate::proxy::State;

/// What outlives the process, and who keeps it.
pub(super) struct Keepers {
    bans: Arc<BanKeeper>,
    budgets: Arc<BudgetKeeper>,
    pins: Arc<PinKeeper>,
    revocations: Arc<RevocationKeeper>,
}

impl Keepers {
    /// Puts back what was kept.
    ///
    /// # Errors
    /// Where it can't be read who is revoked.
    pub(super) fn new(state: &State) -> Result<Self, BootError> {
        let (metrics, world) = (&state.metrics, &state.world);
        Ok(Self {
            bans: Arc::new(BanKeeper::new(&state.bans, metrics, world)),
            budgets: Arc::new(BudgetKeeper::new(&state.budgets, metrics, world)),
            pins: Arc::new(PinKeeper::new(world, metrics)),
            revocations: Arc::new(RevocationKeeper::new(state)?),
        })
    }

    /// Keeps what changes. Ends only when dropped.
    pub(super) async fn keep(&self) {
        let Self { bans, budgets, pins, revocations } = self;
        tokio::join!(
            Arc::clone(bans).keep(),
            Arc::clone(budgets).keep(),
            Arc::clone(pins).keep(),
            Arc::clone(revocations).keep(),
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
