//! `tools`, `prompts` and `resources` of a route or a consumer.

use std::sync::Arc;

use super::{
    arguments,
    globs::{glob, resource},
    presets,
    reading::Reading,
    table::{Item, Table},
};
use crate::policy::{ArgumentRules, Glob, Names, Rules};

/// Tools of Postiz that reach everything: the one runs its whole agent, the other calls whatever a
/// provider has.
const REACH_ALL: [&str; 2] = ["ask_postiz", "triggerTool"];

/// Reads the three lists; `None` where none is written.
///
/// An `allow` list denies the rest, and the rest is also what stands in no list: beside one, a kind
/// that is left out is closed.
pub(super) fn read(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<Rules> {
    let (mut arguments, mut presets) = (Vec::new(), Vec::new());
    let mut list = |name: &'static str| {
        let item = table.take(name)?;
        let names = names(&item, name, (&mut arguments, &mut presets), reading);
        warn_of_reach(&names, &item, reading);
        Some(names)
    };
    let (tools, prompts, resources) = (list("tools"), list("prompts"), list("resources"));
    let written = [&tools, &prompts, &resources];
    if written.iter().all(|names| names.is_none()) {
        return None;
    }
    let closes = written.iter().any(|names| names.as_ref().is_some_and(|n| n.allow.is_some()));
    let left_out = || if closes { Names::none() } else { Names::default() };
    Some(Rules {
        tools: tools.unwrap_or_else(left_out),
        arguments,
        presets,
        prompts: prompts.unwrap_or_else(left_out),
        resources: resources.unwrap_or_else(left_out),
    })
}

fn names(
    item: &Item<'_>,
    label: &'static str,
    (arguments, presets): (&mut Vec<(Glob, ArgumentRules)>, &mut Vec<Arc<Rules>>),
    reading: &mut Reading<'_>,
) -> Names {
    // What can't be read lets nothing in; it isn't run anyway.
    let Some(mut lists) = item.table(label, reading) else { return Names::none() };
    let (allow, deny) = (lists.take("allow"), lists.take("deny"));
    let of_tools = (label == "tools").then(|| lists.take("arguments")).flatten();
    let named = if label == "tools" { presets::take(&mut lists) } else { (None, None) };
    let says_nothing = allow.is_none() && deny.is_none() && of_tools.is_none();
    if says_nothing && named.0.is_none() && named.1.is_none() {
        reading
            .error(&item.at, format!("`{}` says nothing", item.name))
            .hint("write { allow = [\"integrationList\"] } or { deny = [\"triggerTool\"] }");
    }
    let one = if item.name == "resources" { resource } else { glob };
    let globs = |item: Item<'_>, reading: &mut Reading<'_>| {
        item.list_of(reading, one).into_iter().map(|(glob, _)| glob).collect()
    };
    let allow = allow.map(|item| globs(item, reading));
    let deny = deny.map(|item| globs(item, reading)).unwrap_or_default();
    if let Some(item) = of_tools {
        *arguments = arguments::read(&item, reading);
    }
    presets.extend(presets::read(named, read, reading));
    lists.finish(&[], reading);
    Names { allow, deny }
}

/// A star that lets in more than it seems to.
fn warn_of_reach(tools: &Names, item: &Item<'_>, reading: &mut Reading<'_>) {
    if item.name != "tools" {
        return;
    }
    let by_star = |name: &&&str| {
        let stars = tools.allow.iter().flatten().filter(|glob| glob.name().is_none());
        stars.into_iter().any(|glob| glob.matches(name)) && tools.let_in(name)
    };
    if let Some(name) = REACH_ALL.iter().find(by_star) {
        let message = format!("a star lets in `{name}`, which in Postiz reaches every other tool");
        reading.warning(&item.at, message).hint(format!(
            "add: deny = [{}]",
            REACH_ALL.map(|name| format!("\"{name}\"")).join(", ")
        ));
    }
}
