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

/// What is kept, as text: bans, budgets, pins, revocations.
pub(super) type Texts = [String; 4];

/// Nothing is kept here for as long as it is held: another process does.
pub(super) struct Closed<'k> {
    keepers: &'k Keepers,
    opens: bool,
}

impl Keepers {
    /// Puts back what was kept, and what the process before had.
    ///
    /// # Errors
    /// Where it can't be read who is revoked.
    pub(super) fn new(
        state: &State,
        (doors, challenges): (&Arc<Doors>, &Challenges),
        taken: &Texts,
    ) -> Result<Self, BootError> {
        let (metrics, world) = (&state.metrics, &state.world);
        let acme = AcmeKeeper::new(doors, world, (challenges, &state.tokens), metrics);
        let [bans, budgets, pins, revocations] = taken;
        Ok(Self {
            bans: Arc::new(BanKeeper::new(&state.bans, metrics, (world, bans))),
            budgets: Arc::new(BudgetKeeper::new(&state.budgets, metrics, (world, budgets))),
            pins: Arc::new(PinKeeper::new((world, pins), metrics)),
            revocations: Arc::new(RevocationKeeper::new(state, revocations)?),
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

    /// Keeps what has changed a last time: a state directory has one writer.
    pub(super) fn close(&self) -> Closed<'_> {
        self.turn();
        self.set_closed(true);
        Closed { keepers: self, opens: true }
    }

    fn set_closed(&self, is_closed: bool) {
        self.bans.close(is_closed);
        self.budgets.close(is_closed);
        self.pins.close(is_closed);
        self.revocations.close(is_closed);
    }
}

impl Closed<'_> {
    /// What is kept. It may be newer than what was written.
    pub(super) fn texts(&self) -> Texts {
        let Keepers { bans, budgets, pins, revocations, .. } = self.keepers;
        [bans.text(), budgets.text(), pins.text(), revocations.text()]
    }

    /// It isn't opened again, and nothing is ordered any more.
    pub(super) fn for_good(mut self) {
        self.opens = false;
        self.keepers.revocations.hand_over();
        self.keepers.acme.rest();
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        if self.opens {
            self.keepers.set_closed(false);
        }
    }
}
