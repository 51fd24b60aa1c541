//! What calls of tools cost: a call is taken from the rates and the budgets of its tool before it goes
//! upstream, and doesn't count if it was never done.

use std::{num::NonZeroU32, sync::Arc};

use http::StatusCode;
use jiff::Timestamp;

use super::{
    place::{Judged, Stopped},
    quota::{Payer, SHARED},
    state::State,
};
use crate::{
    mcp::{self, Body, Message},
    policy::{
        Account, Budget, Charge, Principal, Purse, Shortage, Spender, Spending, ToolLimits,
        ToolRate, Used,
    },
    snapshot::{McpRoute, Route, Snapshot},
    types::{Denial, KeyDigest, Limit, Nanos, Untrusted},
};

/// Who calls.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) principal: &'a Principal,
    pub(super) key: &'a KeyDigest,
    pub(super) payer: Payer,
}

/// Takes the calls of tools from their budgets, and from their rates. All or nothing; what a rate
/// refuses gets its place in a budget back.
pub(super) fn take(
    state: &State,
    snapshot: &Snapshot,
    (route, rules): (&Route, &McpRoute),
    caller: Caller<'_>,
    call: &Body,
) -> Result<Spending, Stopped> {
    let own = caller.principal.consumer().map(|consumer| &consumer.tool_limits);
    let limits = Both { own, route: &rules.tool_limits };
    if limits.are_none() || calls(call).next().is_none() {
        return Ok(Spending::default());
    }
    let spending = match limits.of(|limits| limits.budgets.as_ref()) {
        Some((budgets, is_own)) => {
            let purse = purse(state, route, caller, is_own);
            spend(state, snapshot, (&purse, budgets, caller.payer), call)?
        }
        None => Spending::default(),
    };
    if let Some((rates, is_own)) = limits.of(|limits| limits.rates.as_ref()) {
        let purse = purse(state, route, caller, is_own);
        slow_down(state, (route, &purse, caller.payer), rates, call)?;
    }
    Ok(spending)
}

/// The limits of a route, and those of a consumer, which take the place of the route's.
#[derive(Clone, Copy)]
struct Both<'l> {
    own: Option<&'l ToolLimits>,
    route: &'l ToolLimits,
}

impl<'l> Both<'l> {
    fn are_none(self) -> bool {
        let none = |limits: &ToolLimits| limits.rates.is_none() && limits.budgets.is_none();
        none(self.route) && self.own.is_none_or(none)
    }

    /// The table that counts, and whether it is the consumer's own.
    fn of<T>(self, table: impl Fn(&'l ToolLimits) -> Option<&'l T>) -> Option<(&'l T, bool)> {
        let own = self.own.and_then(&table).map(|table| (table, true));
        own.or_else(|| table(self.route).map(|table| (table, false)))
    }
}

/// The calls of tools, each with its place in the batch and the name, where that can be read.
fn calls(call: &Body) -> impl Iterator<Item = (usize, Option<&str>)> + Clone {
    let all = call.messages().iter().enumerate();
    // Whether or not it has an id: a server may do it all the same.
    let calls = all.filter(|(_, message)| message.method == mcp::Method::ToolsCall);
    calls.map(|(at, message): (usize, &Message)| (at, message.tool().map(Untrusted::as_str)))
}

fn purse(state: &State, route: &Route, caller: Caller<'_>, is_own: bool) -> Purse {
    match caller.principal {
        Principal::Consumer(consumer) if is_own => Purse::Consumer(consumer.name.clone()),
        Principal::Consumer(consumer) => {
            Purse::OnRoute(route.name.clone(), Spender::Consumer(consumer.name.clone()))
        }
        Principal::Stranger => {
            let mark = state.fingerprints.mark(caller.key);
            Purse::OnRoute(route.name.clone(), Spender::Key(mark))
        }
    }
}

fn spend(
    state: &State,
    snapshot: &Snapshot,
    (purse, budgets, payer): (&Purse, &Arc<[Budget]>, Payer),
    call: &Body,
) -> Result<Spending, Stopped> {
    let account = Account { purse, budgets, is_proven: payer == Payer::Proven };
    let now = (&snapshot.time_zone, Timestamp::now());
    let taken = state.budgets.take(account, calls(call), now);
    taken.map_err(|shortage| match shortage {
        Shortage::Full => Denial::Overload(Limit::Budgets).into(),
        Shortage::Spent { call, calls, retry_after } => {
            let limit = match purse {
                Purse::Consumer(_) => Limit::ConsumerBudgets,
                Purse::OnRoute(..) => Limit::RouteBudgets,
            };
            let denial = Denial::Budget { retry_after, calls, limit };
            Judged { element: call, denial, words: None }.into()
        }
    })
}

/// What one rate takes another may still refuse: a bucket gets nothing back, and refills by itself.
fn slow_down(
    state: &State,
    (route, purse, payer): (&Route, &Purse, Payer),
    rates: &[ToolRate],
    call: &Body,
) -> Result<(), Denial> {
    for ToolRate { tools, quota } in rates {
        let matches = |name: Option<&str>| name.is_none_or(|name| tools.matches(name));
        let count = calls(call).filter(|(_, name)| matches(*name)).count();
        let Some(cells) = u32::try_from(count).ok().and_then(NonZeroU32::new) else { continue };
        let (at, bucket) = ((cells, Nanos::now()), Charge::Tools(purse, tools));
        match payer {
            Payer::Consumer => state.limiter.charge_configured(bucket, *quota, at),
            Payer::Proven => state.limiter.charge_proven(bucket, *quota, at),
            // Made-up keys have no buckets of their own here either.
            Payer::Address(group) => {
                let bucket = Charge::ToolsOf(&route.name, group, tools);
                state.limiter.charge_address(bucket, *quota, at)
            }
            Payer::Prefix(_, group) => {
                let bucket = Charge::ToolsOf(&route.name, group, tools);
                state.limiter.charge_address(bucket, quota.times(SHARED), at)
            }
        }?;
    }
    Ok(())
}

/// Says of budgets that they are nearly used up, once it is known that the calls count.
pub(super) fn warn(state: &State, spending: &Spending, key: Option<KeyDigest>) {
    for Used { purse, tools, used, calls } in spending.nearly_used_up() {
        let (budget, of) = (tools.as_str(), calls);
        let route = purse.route().map(tracing::field::display);
        match purse.consumer() {
            Some(consumer) => {
                tracing::warn!(%consumer, route, budget, used, of, "a budget is nearly used up");
            }
            None => {
                let key = key.map(|key| state.fingerprints.fingerprint(&key));
                let key = key.map(tracing::field::display);
                tracing::warn!(key, route, budget, used, of, "a budget is nearly used up");
            }
        }
    }
}

/// Whether the upstream says with its answer that it did nothing: it failed, or it doesn't know the key
/// or the session. What 502 and 504 say comes from somebody between, who may have waited too short for
/// a server that goes on: a video that takes longer would be made for nothing, again and again.
pub(super) fn was_not_done(status: StatusCode, names_session: bool) -> bool {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
        StatusCode::NOT_FOUND => names_session,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => false,
        status => status.is_server_error(),
    }
}
