//! What each gate goes by for one request, with the place in the file.

use super::chain::{Case, Gate};
use crate::{
    config::{self, NetWord, Owner, Place},
    policy::Admittance,
    snapshot::{Route, UnknownKeys},
    types::Untrusted,
};

/// What is told of a gate, and the place in the file that it goes by.
pub(super) type Fact = (String, Option<Place>);

impl Case<'_> {
    /// What a gate goes by.
    pub(super) fn fact(&self, gate: Gate) -> Fact {
        match gate {
            Gate::Connection => self.connection(),
            Gate::Room => ("there is room, as far as can be told from here".into(), None),
            Gate::Path => (self.path_fact().into(), None),
            Gate::Route => self.at_route(),
            Gate::Address => self.nets(Owner::Route, self.route_name()),
            Gate::Ban if self.reason.as_deref() == Some("banned") => {
                ("the address was banned; `portcullis ban list` tells who is now".into(), None)
            }
            Gate::Ban => ("`portcullis ban list` tells who is banned".into(), None),
            Gate::Origin => self.origin(),
            Gate::Method => (self.method.clone(), None),
            Gate::MediaType => ("application/json".into(), None),
            Gate::Credential => self.credential(),
            Gate::Key => self.key(),
            Gate::ConsumerAddress => self.nets(Owner::Consumer, self.consumer_name()),
            Gate::Rate => self.rate(),
            Gate::Session => {
                ("a session counts with the key and route that it was given to".into(), None)
            }
            Gate::Body => self.body(),
            Gate::Rules => self.rules(),
            Gate::Budget => self.budget(),
            Gate::Streams => self.streams(),
            Gate::Upstream => self.upstream(),
        }
    }

    fn path_fact(&self) -> &'static str {
        match self.reason.as_deref() {
            Some("malformed") => "what two readers could take differently isn't cleaned",
            Some("target_too_long" | "head_too_large") => {
                "longer than `target` or `head` of [limits]"
            }
            Some("timeout") => "came more slowly than [timeouts] lets it",
            Some("expectation") => "expects what no server does",
            _ => "can be read in one way alone",
        }
    }

    pub(super) fn route_name(&self) -> &str {
        self.route.map_or("", |route| route.name.as_str())
    }

    pub(super) fn consumer_name(&self) -> &str {
        self.consumer.map_or("", |consumer| consumer.name.as_str())
    }

    fn connection(&self) -> Fact {
        let (text, place) = self.nets(Owner::Access, "");
        match self.peer.filter(|peer| *peer != self.client) {
            Some(peer) => {
                (format!("{peer} is a trusted proxy, and comes for {}; {text}", self.client), place)
            }
            None => (text, place),
        }
    }

    /// What the lists of an owner say of the client's address.
    fn nets(&self, owner: Owner, name: &str) -> Fact {
        let nets = match (owner, self.route, self.consumer) {
            (Owner::Route, Some(route), _) => &route.nets,
            (Owner::Consumer, _, Some(consumer)) => &consumer.nets,
            _ => &self.snapshot.access.nets,
        };
        let admittance = nets.judge(self.client);
        let let_in = admittance != Admittance::KeptOut;
        if admittance == Admittance::Observed {
            let text = format!("a list in observe mode would keep out {}", self.client);
            return (text, self.observing_list(owner, name));
        }
        match self.outline.nets(owner, name, self.client) {
            NetWord::NoList if let_in => (format!("no list is about {}", self.client), None),
            NetWord::NoList => (format!("{} isn't let in", self.client), None),
            NetWord::Rest(place) => {
                (format!("`allow` has no net with {}", self.client), Some(place))
            }
            NetWord::Element(text, place) => {
                let does = if let_in { "lets in" } else { "keeps out" };
                (format!("\"{text}\" {does} {}", self.client), Some(place))
            }
        }
    }

    fn observing_list(&self, owner: Owner, name: &str) -> Option<Place> {
        let mode = |list| self.outline.setting(owner, name, list);
        let mut modes = ["allow.mode", "deny.mode"].into_iter().filter_map(mode);
        modes.find(|(text, _)| *text == "observe").map(|(_, place)| place.clone())
    }

    fn at_route(&self) -> Fact {
        match self.route {
            Some(route) => {
                let place = self.outline.place(Owner::Route, self.route_name()).cloned();
                (format!("`{}`", route.name), place)
            }
            None => {
                let text = match self.reason.as_deref() {
                    Some("discovery") => "there is no OAuth to be discovered here",
                    Some("host") => "no route is for that host",
                    Some("insecure") => "a key that came in clear is burnt: it needs https",
                    Some("no_route") => "no route is for that path",
                    _ => "not looked for",
                };
                (text.into(), None)
            }
        }
    }

    fn origin(&self) -> Fact {
        if !self.has_origin {
            return ("none is named, so no browser sends it".into(), None);
        }
        let listed = self.outline.setting(Owner::Route, self.route_name(), "origins");
        let place = listed.map(|(_, place)| place.clone());
        ("the route's own origin passes, and those of `origins`".into(), place)
    }

    fn credential(&self) -> Fact {
        let text = match (self.has_key, self.reason.as_deref()) {
            (_, Some("credential_ambiguous")) => {
                "one key, in the path or in Authorization, and never in the query"
            }
            (false, _) => "there is no key",
            (true, _) => "one key",
        };
        (text.into(), None)
    }

    fn key(&self) -> Fact {
        let unknown = self.outline.setting(Owner::Route, self.route_name(), "unknown_keys");
        let unknown = unknown.map(|(_, place)| place.clone());
        match (self.consumer, self.meant, self.reason.as_deref()) {
            (_, _, Some("key_revoked")) => ("the operator has revoked it".into(), None),
            (_, _, Some("certificate")) => {
                ("it counts with the consumer's client certificate alone".into(), None)
            }
            (Some(consumer), _, _) => {
                let place = self.outline.place(Owner::Consumer, consumer.name.as_str());
                (format!("`{}`", consumer.name), place.cloned())
            }
            (None, Some(meant), Some("key_unknown")) => {
                let routes = self.outline.setting(Owner::Consumer, meant.name.as_str(), "routes");
                let text = format!("`{}` may not use this route", meant.name);
                (text, routes.map(|(_, place)| place.clone()))
            }
            (_, _, Some("key_expired")) => ("its last day is over".into(), None),
            (_, _, Some("key_unknown")) if self.forwards_unknown_keys() => {
                ("no consumer has it, and the server behind refused it".into(), unknown)
            }
            (_, _, Some("key_unknown")) => {
                ("no consumer has it, and unknown keys are refused here".into(), unknown)
            }
            _ => ("no consumer has it; the server behind will judge it".into(), unknown),
        }
    }

    fn forwards_unknown_keys(&self) -> bool {
        let rules = self.route.and_then(Route::mcp);
        rules.is_some_and(|rules| rules.unknown_keys == UnknownKeys::Forward)
    }

    fn rate(&self) -> Fact {
        let own = self.outline.setting(Owner::Consumer, self.consumer_name(), "rate");
        let route = self.outline.setting(Owner::Route, self.route_name(), "rate");
        let told = |who: &str, (text, place): (&str, &Place)| {
            (format!("{text}, {who}"), Some(place.clone()))
        };
        let is_web = self.route.is_some_and(Route::is_web);
        match (own, route) {
            (Some(own), _) => told("the consumer's own", own),
            (None, Some(route)) if is_web => told("for each address", route),
            (None, Some(route)) if self.consumer.is_some() => told("for each key", route),
            _ if self.consumer.is_some() || is_web => ("no rate is set".into(), None),
            (None, route) => {
                let unproven = self.outline.setting(Owner::Limits, "", "unproven_per_address");
                let text = unproven.map_or("60/min", |(text, _)| text);
                let then = route.map_or("without a rate", |(text, _)| text);
                let text = format!(
                    "{text} for all keys of the address that the server hasn't accepted; then {then}"
                );
                (text, unproven.or(route).map(|(_, place)| place.clone()))
            }
        }
    }

    fn body(&self) -> Fact {
        let size = self.outline.setting(Owner::Route, self.route_name(), "max_body");
        match size {
            Some((text, place)) => (format!("of at most {text}"), Some(place.clone())),
            None if self.route.is_some_and(Route::is_web) => ("of any size".into(), None),
            None => ("of at most 4MiB".into(), None),
        }
    }

    /// The rule that decides: of the route and of the consumer the one that denies, else the last
    /// that allows.
    fn rules(&self) -> Fact {
        let owners = [(Owner::Route, self.route_name()), (Owner::Consumer, self.consumer_name())];
        let Some(tool) = &self.tool else {
            return ("it names no tool".into(), None);
        };
        if self.reason.as_deref() == Some("argument") {
            let rules = |(owner, name)| {
                let named = ["tools.arguments", "tools.presets"].into_iter();
                let mut named = named.filter_map(|rules| self.outline.setting(owner, name, rules));
                named.next()
            };
            let place = owners.into_iter().find_map(rules).map(|(_, place)| place.clone());
            return ("a rule about an argument is broken; the client was told which".into(), place);
        }
        let mut allowed = None;
        for (owner, name) in owners {
            let list = |list| self.outline.glob((owner, name, list), tool);
            if let Some((text, place)) = list("tools.deny") {
                return (
                    format!("\"{text}\" of `deny` is about {}", shown(tool)),
                    Some(place.clone()),
                );
            }
            let mut presets = self.outline.elements(owner, name, "tools.presets").iter();
            if let Some((preset, place)) =
                presets.find(|(name, _)| !config::preset_lets_in(name, tool))
            {
                let text = format!("the preset \"{preset}\" doesn't have {}", shown(tool));
                return (text, Some(place.clone()));
            }
            if let Some((text, place)) = list("tools.allow") {
                allowed =
                    Some((format!("\"{text}\" of `allow` lets it be called"), Some(place.clone())));
                continue;
            }
            if let Some((_, place)) = self.outline.setting(owner, name, "tools.allow") {
                let text = format!("`allow` doesn't have {}", shown(tool));
                return (text, Some(place.clone()));
            }
            let others = ["prompts.allow", "resources.allow"];
            let mut others =
                others.iter().filter_map(|list| self.outline.setting(owner, name, list));
            if let Some((_, place)) = others.next() {
                let text = "beside that `allow` tools are closed, since no list is about them";
                return (text.into(), Some(place.clone()));
            }
        }
        allowed.unwrap_or_else(|| ("no rule is about tools".into(), None))
    }

    /// The rates and the budgets of the tool: of each table the consumer's own, else the route's.
    fn budget(&self) -> Fact {
        let tool = self.tool.as_deref().unwrap_or_default();
        let owners = [(Owner::Consumer, self.consumer_name()), (Owner::Route, self.route_name())];
        let (mut told, mut place) = (Vec::new(), None);
        for table in ["rates", "budgets"] {
            let has =
                |(owner, name): &(Owner, &str)| self.outline.setting(*owner, name, table).is_some();
            let Some((owner, name)) = owners.into_iter().find(has) else { continue };
            for (glob, text, at) in self.outline.by_tool((owner, name, table), tool) {
                told.push(format!("{text} for \"{glob}\""));
                place = Some(at.clone());
            }
        }
        match told.is_empty() {
            true => ("no rate and no budget is of this tool alone".into(), None),
            false => (told.join(", "), place),
        }
    }

    fn streams(&self) -> Fact {
        let most = self.outline.setting(Owner::Route, self.route_name(), "max_streams");
        let count = self.route.and_then(Route::mcp).map_or(0, |rules| rules.max_streams);
        (format!("{count} may be open for each key"), most.map(|(_, place)| place.clone()))
    }

    fn upstream(&self) -> Fact {
        let Some(route) = self.route else { return ("none".into(), None) };
        let place = self.outline.setting(Owner::Route, self.route_name(), "upstream");
        (format!("`{}`", route.upstream.name), place.map(|(_, place)| place.clone()))
    }
}

/// A tool's name as it may be shown.
fn shown(tool: &str) -> String {
    Untrusted::new(tool).shown().into_owned()
}
