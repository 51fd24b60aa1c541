//! The gates of the page in its order, and what became of one request at each.

use std::net::IpAddr;

use crate::{
    config::Outline,
    policy::{AddressPolicy, Admittance, Consumer},
    snapshot::{Route, Snapshot},
};

/// What is known of a request.
pub(super) struct Case<'c> {
    pub(super) snapshot: &'c Snapshot,
    pub(super) outline: &'c Outline,
    /// Who connects, where that is known.
    pub(super) peer: Option<IpAddr>,
    pub(super) client: IpAddr,
    pub(super) path: String,
    pub(super) method: String,
    pub(super) tool: Option<String>,
    pub(super) has_origin: bool,
    pub(super) has_key: bool,
    pub(super) route: Option<&'c Route>,
    /// Who it turned out to be.
    pub(super) consumer: Option<&'c Consumer>,
    /// Whose key it is, whether or not it counts here.
    pub(super) meant: Option<&'c Consumer>,
    /// The one word of its refusal.
    pub(super) reason: Option<String>,
}

/// A gate of the page, or what is asked before a request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    Connection,
    Room,
    Path,
    Route,
    Address,
    Ban,
    Origin,
    Method,
    MediaType,
    Credential,
    Key,
    ConsumerAddress,
    Rate,
    Session,
    Body,
    Rules,
    Budget,
    Streams,
    Upstream,
}

/// What became of the request at a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passes,
    Refuses,
    /// It can't be asked here.
    Unasked,
    /// The request never came to it.
    Unreached,
}

impl Gate {
    pub(super) const ALL: [Self; 19] = [
        Self::Connection,
        Self::Room,
        Self::Path,
        Self::Route,
        Self::Address,
        Self::Ban,
        Self::Origin,
        Self::Method,
        Self::MediaType,
        Self::Credential,
        Self::Key,
        Self::ConsumerAddress,
        Self::Rate,
        Self::Session,
        Self::Body,
        Self::Rules,
        Self::Budget,
        Self::Streams,
        Self::Upstream,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Room => "room",
            Self::Path => "path",
            Self::Route => "route",
            Self::Address => "address",
            Self::Ban => "ban",
            Self::Origin => "origin",
            Self::Method => "method",
            Self::MediaType => "media type",
            Self::Credential => "credential",
            Self::Key => "key",
            Self::ConsumerAddress => "consumer",
            Self::Rate => "rate",
            Self::Session => "session",
            Self::Body => "body",
            Self::Rules => "rules",
            Self::Budget => "budget",
            Self::Streams => "streams",
            Self::Upstream => "upstream",
        }
    }

    /// The gate that gives a reason; of an address the route's, one of three.
    fn of(reason: &str) -> Option<Self> {
        Some(match reason {
            "overload" => Self::Room,
            "malformed" | "target_too_long" | "head_too_large" | "timeout" | "expectation" => {
                Self::Path
            }
            "no_route" | "host" | "discovery" | "insecure" => Self::Route,
            "address" => Self::Address,
            "banned" => Self::Ban,
            "origin" => Self::Origin,
            "method" => Self::Method,
            "media_type" => Self::MediaType,
            "credential_ambiguous" | "key_missing" => Self::Credential,
            "key_unknown" | "key_expired" | "key_revoked" | "certificate" => Self::Key,
            "rate" => Self::Rate,
            "budget" => Self::Budget,
            "session" => Self::Session,
            "body_too_large" | "not_json" | "not_rpc" | "head_mismatch" => Self::Body,
            "tool" | "prompt" | "resource" | "method_denied" | "argument" => Self::Rules,
            "streams" => Self::Streams,
            // Ended behind the last gate, by an operator too.
            "upstream_down" | "upstream_slow" | "upstream_bad" | "upstream_gone" | "killed" => {
                Self::Upstream
            }
            _ => return None,
        })
    }

    /// Whether it is asked of such a request at all.
    fn concerns(self, case: &Case<'_>) -> bool {
        let is_web = case.route.is_some_and(Route::is_web);
        match self {
            // What is redirected is asked no more.
            _ if case.route.is_none() && self > Self::Path => self == Self::Ban,
            Self::Origin | Self::Credential | Self::Key | Self::Session | Self::Rules => !is_web,
            Self::MediaType => !is_web && case.method == "POST",
            Self::ConsumerAddress => case.consumer.is_some(),
            Self::Budget => !is_web && case.tool.is_some(),
            Self::Streams => !is_web && case.method == "GET",
            _ => true,
        }
    }
}

impl Case<'_> {
    /// Every gate that concerns it, with its verdict.
    pub(super) fn gates(&self) -> Vec<(Gate, Verdict)> {
        let refuses = self.reason.as_deref().and_then(Gate::of);
        let refuses = refuses.map(|gate| match gate {
            Gate::Address => self.address_gate(),
            gate => gate,
        });
        let verdict = |gate: Gate| match refuses {
            None if gate == Gate::Ban => Verdict::Unasked,
            Some(refuses) if gate == Gate::Ban && gate < refuses => Verdict::Unasked,
            // Who was refused at the door wasn't looked up.
            Some(Gate::Rate) if gate == Gate::Key && self.consumer.is_none() => Verdict::Unasked,
            Some(refuses) if gate > refuses => Verdict::Unreached,
            Some(refuses) if gate == refuses => Verdict::Refuses,
            _ => Verdict::Passes,
        };
        let concerns = |gate: &Gate| refuses == Some(*gate) || gate.concerns(self);
        Gate::ALL.into_iter().filter(concerns).map(|gate| (gate, verdict(gate))).collect()
    }

    /// The first whose lists don't let the address in.
    fn address_gate(&self) -> Gate {
        let keeps_out = |nets: &AddressPolicy| nets.judge(self.client) == Admittance::KeptOut;
        match self.route {
            _ if keeps_out(&self.snapshot.access.nets) => Gate::Connection,
            Some(route) if keeps_out(&route.nets) => Gate::Address,
            _ => Gate::ConsumerAddress,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Gate;
    use crate::types::every_denial;

    #[test]
    fn every_reason_of_a_denial_is_some_gates() {
        for denial in every_denial(Duration::ZERO) {
            assert!(Gate::of(denial.face().reason).is_some(), "{denial:?}");
        }
    }
}
