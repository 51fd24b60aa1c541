use std::collections::VecDeque;

use super::{life::Life, which::Which};
use crate::types::FingerprintKey;

/// How many are remembered. An admission would have to last through more of them.
const MOST: usize = 256;

/// What an operator has ended lately, for who was admitted before that and is entered behind it: there
/// was nothing to be seen of it then, and it would go on as if nobody had said anything.
#[derive(Default)]
pub(super) struct Lately {
    /// Behind which judgement, and what.
    ended: VecDeque<(u64, Which)>,
    /// The last that is remembered no more.
    forgotten: u64,
}

impl Lately {
    pub(super) fn ended(&mut self, at: u64, which: Which) {
        // It can be known only of what is entered.
        if matches!(which, Which::One(_)) {
            return;
        }
        if self.ended.len() >= MOST
            && let Some((at, _)) = self.ended.pop_front()
        {
            self.forgotten = at;
        }
        self.ended.push_back((at, which));
    }

    /// Whether it was meant since that judgement. What nobody remembers may have meant it.
    pub(super) fn meant(&self, life: &Life, since: u64, salt: &FingerprintKey) -> bool {
        let later = |(at, _): &&(u64, Which)| *at > since;
        let mut lately = self.ended.iter().rev().take_while(later);
        self.forgotten > since || lately.any(|(_, which)| which.means(life, salt))
    }
}
