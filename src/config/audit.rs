//! `[audit]`, and `audit` of a route or a consumer.
//!
//! ```toml
//! [audit.fields]
//! integrationSchedulePostTool = ["/socialPost/*/type"]
//! ```

use super::{
    Span, defaults,
    globs::glob,
    mask::shown,
    reading::Reading,
    table::{Item, Table},
    value::{self, Fault},
};
use crate::{
    policy::{AuditFields, AuditLevel},
    snapshot::{Audit, AuditTo},
};

/// The bounds of `size`: smaller, and it is put aside all the time.
const SIZES: (usize, usize) = (4 << 10, 1 << 40);

/// The most older files: each is renamed whenever one is put aside.
const MOST_KEPT: u32 = 100;

/// The section as far as it could be read.
pub(super) struct Draft {
    pub(super) audit: Option<Audit>,
    /// Where `digest = true` is written, if it is.
    pub(super) digest_at: Option<Span>,
}

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<Draft> {
    let mut table = root.section("audit", "[audit]", reading)?;
    let file = table.require("file", "file = \"/var/log/portcullis/audit.jsonl\"", reading);
    let to = destination(&mut table, file, reading);
    let digest = table.take("digest");
    let digest = digest.filter(|item| item.flag(reading) == Some(true)).map(|item| item.name_at);
    let fields = table.take("fields").map(|item| fields(&item, reading)).unwrap_or_default();
    table.finish(&[], reading);
    let audit = to.map(|to| Audit { to, digest: digest.is_some(), fields });
    Some(Draft { audit, digest_at: digest })
}

fn destination(
    table: &mut Table<'_>,
    file: Option<Item<'_>>,
    reading: &mut Reading<'_>,
) -> Option<AuditTo> {
    let (size, keep) = (table.take("size"), table.take("keep"));
    let text = file.as_ref()?.text(reading)?;
    if text == "stdout" {
        for item in [size, keep].into_iter().flatten() {
            reading
                .error(&item.name_at, format!("`{}` is about a file, and this is none", item.name))
                .hint("remove it, or write the path of a file: file = \"./stdout\"");
        }
        return Some(AuditTo::Stdout);
    }
    if let Some(item) = file.filter(|_| text.is_empty()) {
        reading.error(&item.at, "`file` is empty").hint("write a path, or \"stdout\"");
    }
    let size = size.map(|item| item.read(reading, |text| value::size(text, SIZES)));
    let keep = keep.map(|item| item.count(reading, (1, MOST_KEPT)));
    Some(AuditTo::File {
        path: reading.path(text),
        size: u64::try_from(size.unwrap_or(Some(defaults::AUDIT_SIZE))?).unwrap_or(u64::MAX),
        keep: keep.unwrap_or(Some(defaults::AUDIT_KEEP))?,
    })
}

/// The arguments of each tool.
fn fields(item: &Item<'_>, reading: &mut Reading<'_>) -> Vec<AuditFields> {
    let Some(mut tools) = item.table("[audit.fields]", reading) else { return Vec::new() };
    tools.take_all().iter().filter_map(|tool| of_tool(tool, reading)).collect()
}

fn of_tool(tool: &Item<'_>, reading: &mut Reading<'_>) -> Option<AuditFields> {
    let name = match glob(tool.name) {
        Ok(name) => Some(name),
        Err(Fault { message, hint }) => {
            reading.error(&tool.name_at, format!("`fields`: {message}")).hint = hint;
            None
        }
    };
    let pointers = tool.list(reading)?;
    let mut fields = AuditFields::of(name?);
    for item in pointers {
        let Some(pointer) = item.text(reading) else { continue };
        if fields.add(pointer).is_err() {
            reading.error(&item.at, format!("{} is no JSON pointer", shown(pointer))).hint(
                "write \"/socialPost/*/type\"; `*` is every element, ~1 a slash, ~0 a tilde; and \
                 each name in one case",
            );
        }
    }
    Some(fields)
}

/// `audit` of a route or a consumer.
pub(super) fn level(
    table: &mut Table<'_>,
    reading: &mut Reading<'_>,
) -> Option<(AuditLevel, Span)> {
    let choices =
        [("on", AuditLevel::On), ("off", AuditLevel::Off), ("required", AuditLevel::Required)];
    let item = table.take("audit")?;
    Some((item.choice(reading, &choices)?, item.at))
}
