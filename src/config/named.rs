//! The tools that rules name, and where: for whoever asks a server if it has them.

use std::{path::Path, time::SystemTime};

use super::{
    Place, Problem, Severity, Surroundings,
    mask::shown,
    reading::Reading,
    table::{Item, Table, nearest},
};
use crate::policy::Glob;

/// Whose rules name a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A route's.
    Route,
    /// A consumer's.
    Consumer,
}

/// A tool that rules name; patterns name none.
#[derive(Debug)]
pub struct NamedTool {
    /// Whose rules they are, ...
    pub owner: Owner,
    /// ... and what that is called.
    pub owner_name: String,
    /// The tool.
    pub tool: String,
    place: Place,
}

/// Every tool that a file without errors names, in the order of the file.
pub fn named_tools(source: &str) -> Vec<NamedTool> {
    let (tree, _) = toml::de::DeTable::parse_recoverable(source);
    let around = Surroundings {
        base_dir: Path::new(""),
        environment: &|_| None,
        now: SystemTime::UNIX_EPOCH,
    };
    let mut reading = Reading::new(source, around);
    let mut root = Table::new("the file", 0..0, tree.get_ref());
    let mut named = Vec::new();
    for (list, owner) in [("routes", Owner::Route), ("consumers", Owner::Consumer)] {
        let tables = root.take(list).map(|item| item.tables("[[owners]]", &mut reading));
        for table in tables.into_iter().flatten() {
            of_owner(owner, table, &mut reading, &mut named);
        }
    }
    named.sort_by_key(|tool| tool.place.span.start);
    named
}

fn of_owner(
    owner: Owner,
    mut table: Table<'_>,
    reading: &mut Reading<'_>,
    named: &mut Vec<NamedTool>,
) {
    let name = table.take("name").and_then(|item| item.text(reading));
    let lists = table.take("tools").and_then(|item| item.table("tools", reading));
    let (Some(name), Some(mut lists)) = (name, lists) else { return };
    let items: Vec<Item<'_>> = [lists.take("allow"), lists.take("deny")]
        .into_iter()
        .flatten()
        .filter_map(|item| item.list(reading))
        .flatten()
        .collect();
    for item in items {
        let glob = item.text(reading).and_then(|text| Glob::parse(text).ok());
        if let Some(tool) = glob.as_ref().and_then(Glob::name) {
            named.push(NamedTool {
                owner,
                owner_name: name.to_owned(),
                tool: tool.to_owned(),
                place: reading.place(&item.at),
            });
        }
    }
}

impl NamedTool {
    /// That the server lists no such tool.
    pub fn unlisted<'n>(&self, listed: impl Iterator<Item = &'n str>) -> Problem {
        let near = nearest(&self.tool, listed);
        Problem {
            severity: Severity::Error,
            place: Some(self.place.clone()),
            message: format!("the server lists no tool {}", shown(&self.tool)),
            hint: Some(near.map_or_else(
                || "remove it, or see above what there is".to_owned(),
                |near| format!("did you mean {}?", shown(near)),
            )),
            related: None,
            concealed: None,
        }
    }
}
