//! `[bans]`.

use ipnet::IpNet;

use super::{
    access, defaults,
    reading::Reading,
    table::{Item, Table},
    value,
};
use crate::policy::{BanMode, BanRules, NetList};

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> BanRules {
    let mut bans = defaults::bans();
    let Some(mut table) = root.section("bans", "[bans]", reading) else { return bans };
    if let Some(item) = table.take("mode") {
        let choices =
            [("enforce", BanMode::Enforce), ("observe", BanMode::Observe), ("off", BanMode::Off)];
        bans.mode = item.choice(reading, &choices).unwrap_or(bans.mode);
    }
    if let Some(item) = table.take("wrong_keys")
        && let Some(quota) = item.read(reading, value::quota)
    {
        bans.wrong_keys = quota;
    }
    let mut at = None;
    for (name, slot) in [("first", &mut bans.first), ("longest", &mut bans.longest)] {
        if let Some(item) = table.take(name)
            && let Some(duration) = item.read(reading, value::duration)
        {
            *slot = duration;
            at = Some(item.at);
        }
    }
    if let Some(at) = at.filter(|_| bans.first > bans.longest) {
        reading
            .error(&at, "the `first` ban would last longer than the `longest`")
            .hint("each further ban lasts twice as long, up to `longest`: first = \"1m\"");
    }
    if let Some(item) = table.take("exempt") {
        bans.exempt = NetList::new(Some(&nets(&item, reading)), &[]);
    }
    table.finish(&[], reading);
    bans
}

fn nets(item: &Item<'_>, reading: &mut Reading<'_>) -> Vec<IpNet> {
    let nets = access::net_list(item, reading);
    for (_, at) in nets.iter().filter(|(net, _)| net.prefix_len() == 0) {
        reading
            .warning(at, "everyone is exempt, so nobody is ever banned")
            .hint("name the nets of hosted clients; `mode = \"off\"` turns bans off");
    }
    nets.into_iter().map(|(net, _)| net).collect()
}
