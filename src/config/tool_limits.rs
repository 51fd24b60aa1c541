//! `rates` and `budgets` of a route or a consumer: how fast and how often a day tools may be called.
//!
//! ```toml
//! rates   = { "generate*" = "5/h" }
//! budgets = { integrationSchedulePostTool = "50/day" }
//! ```

use std::{num::NonZeroU32, sync::Arc};

use jiff::tz::TimeZone;

use super::{
    globs::glob,
    mask::shown,
    reading::Reading,
    table::{Item, Table, nearest},
    value::{self, Fault},
};
use crate::policy::{Budget, Glob, ToolLimits, ToolRate};

pub(super) fn read(table: &mut Table<'_>, reading: &mut Reading<'_>) -> ToolLimits {
    let rates = table.take("rates").map(|item| {
        let all = by_tools(&item, ("rates", "{ \"generate*\" = \"5/h\" }"), value::quota, reading);
        all.into_iter().map(|(tools, quota)| ToolRate { tools, quota }).collect()
    });
    let budgets = table.take("budgets").map(|item| {
        let example = "{ integrationSchedulePostTool = \"50/day\" }";
        let all = by_tools(&item, ("budgets", example), a_day, reading);
        let budgets: Arc<[Budget]> =
            all.into_iter().map(|(tools, calls)| Budget { tools, calls }).collect();
        budgets
    });
    ToolLimits { rates, budgets }
}

/// What `parse` makes of the text of each glob.
fn by_tools<T>(
    item: &Item<'_>,
    (label, example): (&'static str, &str),
    parse: impl Fn(&str) -> Result<T, Fault>,
    reading: &mut Reading<'_>,
) -> Vec<(Glob, T)> {
    let Some(mut table) = item.table(label, reading) else { return Vec::new() };
    let tools = table.take_all();
    if tools.is_empty() {
        reading
            .error(&item.at, format!("`{label}` says nothing"))
            .hint(format!("write {label} = {example}, or leave it out"));
    }
    let mut all = Vec::new();
    for tool in tools {
        let name = match glob(tool.name) {
            Ok(name) => Some(name),
            Err(Fault { message, hint }) => {
                reading.error(&tool.name_at, format!("`{label}`: {message}")).hint = hint;
                None
            }
        };
        // Its name is the operator's: of a message it is no part.
        let value = Item { name: label, ..tool }.read(reading, &parse);
        all.extend(name.zip(value));
    }
    all
}

/// `"50/day"`: a budget has no other period.
fn a_day(text: &str) -> Result<NonZeroU32, Fault> {
    const EXAMPLE: &str = "write a count and /day: \"50/day\"";
    match value::rate(text) {
        Ok((count, _)) if text.ends_with("/day") => Ok(count),
        Ok(_) => Err(Fault::new(format!("{} is no count for a day", shown(text)))
            .hint("write it in `rates`; a budget is for a day: \"50/day\"")),
        Err(fault) => Err(Fault::new(fault.message).hint(EXAMPLE)),
    }
}

/// `time_zone`, by its name in the time zone database.
pub(super) fn time_zone(text: &str) -> Result<TimeZone, Fault> {
    // Looked up in the database that is a part of the gateway: the same on every machine.
    TimeZone::get(text).map_err(|_| {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let near = nearest(text, names.iter().map(String::as_str));
        let hint = near.map_or_else(
            || "write a name of the time zone database: \"UTC\", \"Europe/Berlin\"".to_owned(),
            |name| format!("did you mean \"{name}\"?"),
        );
        Fault::new(format!("{} is no time zone", shown(text))).hint(hint)
    })
}
