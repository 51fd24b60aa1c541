use std::sync::Arc;

use super::{Budget, Glob, Quota};

/// How often all tools may be called together that a glob matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRate {
    /// The tools.
    pub tools: Glob,
    /// The rate.
    pub quota: Quota,
}

/// What calls of tools are held to beside the rate of all calls. `None` means that nothing is said.
#[derive(Clone, Debug, Default)]
pub struct ToolLimits {
    /// How fast.
    pub rates: Option<Arc<[ToolRate]>>,
    /// How many a day.
    pub budgets: Option<Arc<[Budget]>>,
}

impl ToolLimits {
    /// The tools that are written out, without a star.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        let rates = self.rates.iter().flat_map(|rates| rates.iter().map(|rate| &rate.tools));
        let budgets = self.budgets.iter().flat_map(|all| all.iter().map(|budget| &budget.tools));
        rates.chain(budgets).filter_map(Glob::name)
    }
}
