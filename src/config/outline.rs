//! Where things stand in a file: for whoever explains what a line of it did.

use std::{net::IpAddr, path::Path, time::SystemTime};

use ipnet::IpNet;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Place, Surroundings, reading::Reading, value};
use crate::{policy::Glob, types::canonical};

/// A part of the file that has settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `[access]`.
    Access,
    /// `[limits]`.
    Limits,
    /// A list of `[sets]`; its one setting is `nets`.
    Set,
    /// One of `[[routes]]`.
    Route,
    /// One of `[[consumers]]`.
    Consumer,
}

/// Every setting of a file that has no errors, with its place.
pub struct Outline(Vec<Part>);

struct Part {
    owner: Owner,
    name: String,
    place: Place,
    settings: Vec<Setting>,
}

struct Setting {
    /// With dots: `tools.allow`.
    name: String,
    place: Place,
    /// Its texts: one, or those of a list.
    texts: Vec<(String, Place)>,
}

/// What the lists of a part say of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetWord {
    /// There is no list that could keep it out.
    NoList,
    /// No element is about it, and `allow`, which stands there, denies the rest.
    Rest(Place),
    /// The element that decides, as it is written there.
    Element(String, Place),
}

impl Outline {
    /// Reads a file. Of one with errors it knows what can be read.
    pub fn of(source: &str) -> Self {
        let (tree, _) = DeTable::parse_recoverable(source);
        let around = Surroundings {
            base_dir: Path::new(""),
            environment: &|_| None,
            now: SystemTime::UNIX_EPOCH,
        };
        let reading = Reading::new(source, around);
        let mut parts = Vec::new();
        for (key, value) in tree.get_ref() {
            match (&**key.get_ref(), value.get_ref()) {
                ("access", DeValue::Table(table)) => {
                    parts.push(Part::read((Owner::Access, value), table, &reading));
                }
                ("limits", DeValue::Table(table)) => {
                    parts.push(Part::read((Owner::Limits, value), table, &reading));
                }
                ("sets", DeValue::Table(sets)) => parts.extend(self::sets(sets, &reading)),
                ("routes", DeValue::Array(list)) => {
                    parts.extend(tables(Owner::Route, list, &reading));
                }
                ("consumers", DeValue::Array(list)) => {
                    parts.extend(tables(Owner::Consumer, list, &reading));
                }
                _ => {}
            }
        }
        Self(parts)
    }

    /// Where a part begins.
    pub fn place(&self, owner: Owner, name: &str) -> Option<&Place> {
        Some(&self.part(owner, name)?.place)
    }

    /// Where a setting stands, `tools.deny` say, and its text.
    pub fn setting(&self, owner: Owner, part: &str, name: &str) -> Option<(&str, &Place)> {
        let setting = self.part(owner, part)?.setting(name)?;
        Some((setting.texts.first().map_or("", |(text, _)| text), &setting.place))
    }

    /// The elements of a list.
    pub fn elements(&self, owner: Owner, part: &str, list: &str) -> &[(String, Place)] {
        let setting = self.part(owner, part).and_then(|part| part.setting(list));
        setting.map_or(&[], |setting| &setting.texts)
    }

    /// Which element of a list of names matches one.
    pub fn glob(
        &self,
        (owner, part, list): (Owner, &str, &str),
        name: &str,
    ) -> Option<(&str, &Place)> {
        let elements = &self.part(owner, part)?.setting(list)?.texts;
        let matches = |text: &str| Glob::parse(text).is_ok_and(|glob| glob.matches(name));
        elements.iter().find(|(text, _)| matches(text)).map(|(text, place)| (text.as_str(), place))
    }

    /// The elements of a table by globs that match a name: each glob, its text and its place.
    pub fn by_tool<'o>(
        &'o self,
        (owner, part, table): (Owner, &str, &'o str),
        name: &'o str,
    ) -> impl Iterator<Item = (&'o str, &'o str, &'o Place)> {
        let matching = move |setting: &'o Setting| {
            let glob = setting.name.strip_prefix(table)?.strip_prefix('.')?;
            let text = setting.texts.first().map_or("", |(text, _)| text.as_str());
            let matches = Glob::parse(glob).is_ok_and(|glob| glob.matches(name));
            matches.then_some((glob, text, &setting.place))
        };
        let settings = self.part(owner, part).into_iter().flat_map(|part| &part.settings);
        settings.filter_map(matching)
    }

    /// What `allow` and `deny` of a part say of an address, as far as they refuse: the longest prefix
    /// wins, and `deny` wins a tie.
    pub fn nets(&self, owner: Owner, part: &str, address: IpAddr) -> NetWord {
        let Some(part) = self.part(owner, part) else { return NetWord::NoList };
        let (allow, deny) = (part.enforced("allow"), part.enforced("deny"));
        let found = |list: Option<&Setting>, wins: u8| {
            let longest = self.longest(list?, address)?;
            Some((longest.0, wins, longest.1.clone(), longest.2.clone()))
        };
        let best = found(allow, 0).into_iter().chain(found(deny, 1));
        let best = best.max_by_key(|(prefix, wins, ..)| (*prefix, *wins));
        match (best, allow) {
            (Some((_, _, text, place)), _) => NetWord::Element(text, place),
            (None, Some(allow)) => NetWord::Rest(allow.place.clone()),
            (None, None) => NetWord::NoList,
        }
    }

    /// The tools that rules, rates and budgets write out, by whose they are.
    pub(super) fn written_tools(&self) -> impl Iterator<Item = (Owner, &str, &str, &Place)> {
        self.0.iter().flat_map(|part| {
            let lists = ["tools.allow", "tools.deny"].into_iter();
            let elements = lists.filter_map(|list| part.setting(list)).flat_map(|s| &s.texts);
            let elements = elements.map(|(text, place)| (text.as_str(), place));
            let globs = part.settings.iter().filter_map(|setting| {
                let of_rates = setting.name.strip_prefix("rates.");
                let glob = of_rates.or_else(|| setting.name.strip_prefix("budgets."))?;
                Some((glob, &setting.place))
            });
            elements.chain(globs).map(|(text, at)| (part.owner, part.name.as_str(), text, at))
        })
    }

    fn part(&self, owner: Owner, name: &str) -> Option<&Part> {
        self.0.iter().find(|part| part.owner == owner && part.name == name)
    }

    /// The element with the longest prefix that holds an address. A set's name is written for each
    /// of its nets.
    fn longest<'s>(
        &'s self,
        list: &'s Setting,
        address: IpAddr,
    ) -> Option<(u8, &'s String, &'s Place)> {
        let prefix = |text: &str| match self.part(Owner::Set, text) {
            Some(set) => {
                let nets = set.setting("nets").into_iter().flat_map(|nets| &nets.texts);
                nets.filter_map(|(net, _)| holds(net, address)).max()
            }
            None => holds(text, address),
        };
        let found = list.texts.iter().filter_map(|(text, at)| Some((prefix(text)?, text, at)));
        found.max_by_key(|(prefix, ..)| *prefix)
    }
}

/// The length of a net's prefix, where the net holds the address.
fn holds(net: &str, address: IpAddr) -> Option<u8> {
    let net = value::net(net).ok()?;
    match (net, canonical(address)) {
        // `::ffff:192.0.2.0/120` is the IPv4 net that it maps.
        (IpNet::V6(v6), IpAddr::V4(v4)) => {
            let mapped = v6.contains(&v4.to_ipv6_mapped());
            mapped.then(|| v6.prefix_len().saturating_sub(96))
        }
        (net, address) => net.contains(&address).then(|| net.prefix_len()),
    }
}

fn sets<'s>(sets: &'s DeTable<'_>, reading: &'s Reading<'_>) -> impl Iterator<Item = Part> + 's {
    sets.iter().map(|(name, nets)| {
        let place = reading.place(&name.span());
        let texts = texts(nets, reading);
        let nets = Setting { name: "nets".to_owned(), place: place.clone(), texts };
        Part {
            owner: Owner::Set,
            name: name.get_ref().clone().into_owned(),
            place,
            settings: vec![nets],
        }
    })
}

fn tables<'s>(
    owner: Owner,
    list: &'s [Spanned<DeValue<'_>>],
    reading: &'s Reading<'_>,
) -> impl Iterator<Item = Part> + 's {
    list.iter().filter_map(move |value| {
        Some(Part::read((owner, value), value.get_ref().as_table()?, reading))
    })
}

fn texts(value: &Spanned<DeValue<'_>>, reading: &Reading<'_>) -> Vec<(String, Place)> {
    let one = |value: &Spanned<DeValue<'_>>| {
        Some((value.get_ref().as_str()?.to_owned(), reading.place(&value.span())))
    };
    match value.get_ref() {
        DeValue::Array(list) => list.iter().filter_map(one).collect(),
        _ => one(value).into_iter().collect(),
    }
}

impl Part {
    fn read(
        (owner, at): (Owner, &Spanned<DeValue<'_>>),
        table: &DeTable<'_>,
        reading: &Reading<'_>,
    ) -> Self {
        let mut settings = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().clone().into_owned();
            if let DeValue::Table(inner) = value.get_ref() {
                for (key, value) in inner {
                    let name = format!("{name}.{}", key.get_ref());
                    settings.push(Setting::read(name, (key.span(), value), reading));
                }
            }
            settings.push(Setting::read(name, (key.span(), value), reading));
        }
        settings.sort_by_key(|setting| setting.place.span.start);
        let name = settings.iter().find(|setting| setting.name == "name");
        let name = name.and_then(|name| name.texts.first()).map(|(text, _)| text.clone());
        let named = matches!(owner, Owner::Route | Owner::Consumer);
        let name = name.filter(|_| named).unwrap_or_default();
        Self { owner, name, place: reading.place(&at.span()), settings }
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// A list of nets that refuses, and doesn't only count whom it would.
    fn enforced(&self, list: &str) -> Option<&Setting> {
        let mode = self.setting(&format!("{list}.mode"));
        let mode = mode.and_then(|mode| mode.texts.first()).map(|(text, _)| text.as_str());
        let nets = self.setting(&format!("{list}.nets"));
        nets.or_else(|| self.setting(list)).filter(|_| mode != Some("observe"))
    }
}

impl Setting {
    fn read(
        name: String,
        (at, value): (super::Span, &Spanned<DeValue<'_>>),
        reading: &Reading<'_>,
    ) -> Self {
        Self { name, place: reading.place(&at), texts: texts(value, reading) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[sets]
office = ["203.0.113.0/24", "2001:db8::/32"]

[access]
deny = ["203.0.113.7", "::ffff:198.51.100.0/120"]
allow = { nets = ["192.0.2.0/24"], mode = "observe" }

[[routes]]
name = "mcp"
allow = [
    "10.0.0.0/8",
    "office",
]
deny = { nets = ["10.1.0.0/16"] }
tools = { deny = ["posts*"] }

[[consumers]]
name = "agent"
rate = "60/min"
"#;

    fn word(owner: Owner, name: &str, address: &str) -> (String, usize) {
        match Outline::of(FILE).nets(owner, name, address.parse().unwrap()) {
            NetWord::NoList => ("none".to_owned(), 0),
            NetWord::Rest(place) => ("rest".to_owned(), place.line),
            NetWord::Element(text, place) => (text, place.line),
        }
    }

    fn said(text: &str, line: usize) -> (String, usize) {
        (text.to_owned(), line)
    }

    #[test]
    fn the_element_that_decides_is_found_with_its_line() {
        assert_eq!(word(Owner::Access, "", "203.0.113.7"), said("203.0.113.7", 6));
        assert_eq!(word(Owner::Access, "", "198.51.100.9"), said("::ffff:198.51.100.0/120", 6));
        // The list that only observes refuses nobody.
        assert_eq!(word(Owner::Access, "", "10.0.0.1"), said("none", 0));
        assert_eq!(word(Owner::Route, "mcp", "203.0.113.7"), said("office", 13));
        assert_eq!(word(Owner::Route, "mcp", "2001:db8::1"), said("office", 13));
        assert_eq!(word(Owner::Route, "mcp", "10.2.0.1"), said("10.0.0.0/8", 12));
        assert_eq!(word(Owner::Route, "mcp", "10.1.0.1"), said("10.1.0.0/16", 15));
        assert_eq!(word(Owner::Route, "mcp", "192.0.2.1"), said("rest", 11));
        assert_eq!(word(Owner::Consumer, "agent", "192.0.2.1"), said("none", 0));
    }

    #[test]
    fn settings_and_globs_have_their_lines() {
        let outline = Outline::of(FILE);
        let (text, place) = outline.setting(Owner::Consumer, "agent", "rate").unwrap();
        assert_eq!((text, place.line), ("60/min", 20));
        let rule = (Owner::Route, "mcp", "tools.deny");
        let (text, place) = outline.glob(rule, "postsList").unwrap();
        assert_eq!((text, place.line, place.column), ("posts*", 16, 19));
        assert!(outline.glob(rule, "integrationList").is_none());
        assert_eq!(outline.place(Owner::Route, "mcp").unwrap().line, 9);
    }
}
