//! `[sets]`: nets under a name, which may stand wherever a net may.

use ipnet::IpNet;

use super::{
    Span,
    known_sets::{Set, Sets},
    mask::shown,
    once::unknown_name,
    reading::Reading,
    table::{Item, Table},
    value::{self, Fault},
};
use crate::types::Name;

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Sets {
    let mut sets = Sets::default();
    let Some(mut table) = root.section("sets", "[sets]", reading) else { return sets };
    for item in table.take_all() {
        let Some(name) = name(&item, reading) else { continue };
        let nets = item.each(reading, own).into_iter().map(|(net, _)| net).collect();
        if item.value.as_array().is_some_and(|list| list.is_empty()) {
            reading.warning(&item.at, "an empty set stands for no address").hint("name its nets");
        }
        sets.by_name.insert(name, Set { nets, name_at: item.name_at.clone(), used: false });
    }
    sets
}

/// An element of a set: a net, and no other set.
fn own(element: &Item<'_>, reading: &mut Reading<'_>) -> Vec<(IpNet, Span)> {
    let net = element.read(reading, |text| {
        let nested = "write its nets here: a set holds no other sets";
        let fault = |fault: Fault| if may_be_a_name(text) { fault.hint(nested) } else { fault };
        value::net(text).map_err(fault)
    });
    net.map(|net| (net, element.at.clone())).into_iter().collect()
}

/// A set's name has a letter in it, or nobody could tell it from an address.
fn name(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Name> {
    match value::name(item.name) {
        Err(fault) => {
            reading.error(&item.name_at, fault.message).hint = fault.hint;
            None
        }
        Ok(_) if !may_be_a_name(item.name) => {
            reading
                .error(&item.name_at, format!("{} could be an address", shown(item.name)))
                .hint("give the set a name with letters in it: office = [\"203.0.113.0/24\"]");
            None
        }
        Ok(name) => Some(name),
    }
}

/// Whether a text that is no net was meant as a name. What has no letter was meant as an address.
pub(super) fn may_be_a_name(text: &str) -> bool {
    Name::parse(text).is_some() && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// The nets that an element of a list stands for: its own, or those of the set that it names.
pub(super) fn resolve(item: &Item<'_>, reading: &mut Reading<'_>) -> Vec<(IpNet, Span)> {
    let Some(text) = item.text(reading) else { return Vec::new() };
    let named = Name::parse(text).filter(|_| may_be_a_name(text));
    let Some(name) = named else {
        return item
            .read(reading, value::net)
            .map(|net| (net, item.at.clone()))
            .into_iter()
            .collect();
    };
    if let Some(set) = reading.sets.by_name.get_mut(&name) {
        set.used = true;
        return set.nets.iter().map(|net| (*net, item.at.clone())).collect();
    }
    let mut defined: Vec<Name> = reading.sets.by_name.keys().cloned().collect();
    if defined.is_empty() {
        // Nothing says that a name was meant.
        let _ = item.read(reading, value::net);
        return Vec::new();
    }
    defined.sort();
    unknown_name("set", (&name, &item.at), defined.iter(), reading);
    Vec::new()
}

/// Sets that stand in no list.
pub(super) fn unused(reading: &mut Reading<'_>) {
    let unused = reading.sets.by_name.values().filter(|set| !set.used);
    let unused: Vec<Span> = unused.map(|set| set.name_at.clone()).collect();
    for at in unused {
        reading
            .warning(&at, "no list names this set")
            .hint("name it where nets stand: allow = [\"office\"]; or remove it");
    }
}
