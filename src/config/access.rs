//! `[access]`, and the nets of routes and consumers.

use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;
use toml::de::DeValue;

use super::{
    Span, defaults,
    known_sets::WrittenList,
    mask::shown,
    reading::Reading,
    sets,
    table::{Item, TOLD, Table},
    value::Fault,
};
use crate::{
    policy::{AddressPolicy, NetList, TrustedProxies},
    snapshot::Access,
};

/// `[access]`, and how much of it is written.
pub(super) struct Draft {
    pub(super) access: Access,
    /// How many nets `trusted_proxies` names, if it is written.
    pub(super) proxies: Option<usize>,
}

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Draft {
    let mut access = Access {
        nets: AddressPolicy::default(),
        trusted_proxies: TrustedProxies::new(&[]),
        trusted_header: defaults::TRUSTED_HEADER.into(),
    };
    let mut proxies = None;
    let Some(mut table) = root.section("access", "[access]", reading) else {
        return Draft { access, proxies };
    };
    access.nets = nets(&mut table, reading);
    if let Some(item) = table.take("trusted_proxies") {
        let before = reading.problems_so_far();
        let nets = net_list(&item, reading);
        // What can't be read was meant as somebody.
        proxies = Some(nets.len().max(reading.problems_so_far() - before));
        weak_proxies(&nets, &access.nets, reading);
        access.trusted_proxies = TrustedProxies::new(&only_nets(nets));
    }
    if let Some(item) = table.take("trusted_header")
        && let Some(name) = item.read(reading, header)
    {
        access.trusted_header = Arc::from(name);
    }
    table.finish(&[], reading);
    Draft { access, proxies }
}

/// Proxies that say more, or less, than they were meant to.
fn weak_proxies(nets: &[(IpNet, Span)], policy: &AddressPolicy, reading: &mut Reading<'_>) {
    let before = reading.problems_so_far();
    for (net, at) in nets {
        if reading.problems_so_far() - before >= TOLD {
            break;
        }
        if net.prefix_len() == 0 {
            reading
                .warning(at, "every peer is trusted to name its own address")
                .hint("name the nets of your proxies: anyone else can write any address there");
        } else if policy.keeps_out_all_of(*net) {
            reading
                .warning(
                    at,
                    "this proxy can't connect: `allow` or `deny` keeps its own address out",
                )
                .hint("add its address to `allow`: a peer is judged before what it tells");
        }
    }
}

/// A list of nets and of names of sets. What can't be read is reported and left out.
pub(super) fn net_list(item: &Item<'_>, reading: &mut Reading<'_>) -> Vec<(IpNet, Span)> {
    item.each(reading, sets::resolve)
}

/// `allow` or `deny`: a list, or `{ nets = [...], mode = "observe" }`.
struct List<'t> {
    nets: Item<'t>,
    observed: bool,
}

/// The `allow` and `deny` of a table.
pub(super) fn nets(table: &mut Table<'_>, reading: &mut Reading<'_>) -> AddressPolicy {
    let mut take =
        |name, label| table.take(name).and_then(|item: Item<'_>| List::read(item, label, reading));
    let (allow, deny) = (take("allow", "`allow`"), take("deny", "`deny`"));
    let written = [&allow, &deny].map(|list| list.as_ref().map(List::written));
    if let Some(compiled) = reading.sets.compiled.get(&written) {
        return compiled.clone();
    }
    let before = reading.problems_so_far();
    let mut resolve = |list: List<'_>| (only_nets(net_list(&list.nets, reading)), list.observed);
    let policy = compile(allow.map(&mut resolve), deny.map(&mut resolve));
    let names_a_set = written
        .iter()
        .flatten()
        .any(|list| list.elements.iter().any(|text| sets::may_be_a_name(text)));
    if names_a_set && before == reading.problems_so_far() {
        reading.sets.compiled.insert(written, policy.clone());
    }
    policy
}

/// Each list is its nets, and whether it is observed.
fn compile(allow: Option<(Vec<IpNet>, bool)>, deny: Option<(Vec<IpNet>, bool)>) -> AddressPolicy {
    let list = |allow: Option<&[IpNet]>, deny: Option<&[IpNet]>| {
        let written = allow.is_some() || deny.is_some();
        written.then(|| NetList::new(allow, deny.unwrap_or_default()))
    };
    let (all_allow, all_deny) = (allow.as_ref(), deny.as_ref());
    let in_force = |list: &&(Vec<IpNet>, bool)| !list.1;
    fn nets(list: &(Vec<IpNet>, bool)) -> &[IpNet] {
        &list.0
    }
    let enforced = list(all_allow.filter(in_force).map(nets), all_deny.filter(in_force).map(nets));
    let observes = all_allow.into_iter().chain(all_deny).any(|list| list.1);
    let all = observes.then(|| list(all_allow.map(nets), all_deny.map(nets)));
    AddressPolicy::new(enforced, all.flatten())
}

impl<'t> List<'t> {
    fn read(item: Item<'t>, label: &'static str, reading: &mut Reading<'_>) -> Option<Self> {
        let list = if item.value.is_table() {
            let mut table = item.table(label, reading)?;
            let nets = table.require("nets", "nets = [\"203.0.113.0/24\"]", reading);
            let choices = [("enforce", false), ("observe", true)];
            let mode = table.take("mode").and_then(|item| item.choice(reading, &choices));
            table.finish(&[], reading);
            Self { nets: nets?, observed: mode.unwrap_or(false) }
        } else {
            Self { nets: item, observed: false }
        };
        let is_empty = list.nets.value.as_array().is_some_and(|list| list.is_empty());
        if label == "`allow`" && is_empty && !list.observed {
            reading
                .warning(&list.nets.at, "an empty `allow` lets nobody in")
                .hint("leave it out to let everyone in, or name the nets that may come");
        }
        Some(list)
    }

    fn written(&self) -> WrittenList {
        let elements = self.nets.value.as_array().into_iter().flat_map(|list| list.iter());
        let text = |element: &toml::Spanned<DeValue<'_>>| {
            element.get_ref().as_str().unwrap_or_default().to_owned()
        };
        WrittenList { elements: elements.map(text).collect(), observed: self.observed }
    }
}

pub(super) fn only_nets(nets: Vec<(IpNet, Span)>) -> Vec<IpNet> {
    nets.into_iter().map(|(net, _)| net).collect()
}

fn header(text: &str) -> Result<Box<str>, Fault> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Fault::new(format!("{} is no field name", shown(text))))?;
    if name == http::header::FORWARDED {
        return Err(Fault::new("`Forwarded` has a syntax of its own, which isn't read")
            .hint("let the proxy write X-Forwarded-For, or another field of plain addresses"));
    }
    Ok(name.as_str().into())
}
