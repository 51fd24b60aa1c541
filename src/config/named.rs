//! The tools that rules name, and where: for whoever asks a server if it has them.

use super::{Outline, Owner, Place, Problem, Severity, mask::shown, table::nearest};
use crate::policy::Glob;

/// A tool that rules name; patterns name none.
#[derive(Debug)]
pub struct NamedTool {
    /// Whose rules they are: a route's or a consumer's, ...
    pub owner: Owner,
    /// ... and what that is called.
    pub owner_name: String,
    /// The tool.
    pub tool: String,
    place: Place,
}

/// Every tool that a file without errors names, in the order of the file.
pub fn named_tools(source: &str) -> Vec<NamedTool> {
    let outline = Outline::of(source);
    let written = outline.written_tools().filter_map(|(owner, owner_name, text, place)| {
        let glob = Glob::parse(text).ok()?;
        let tool = glob.name()?.to_owned();
        Some(NamedTool { owner, owner_name: owner_name.to_owned(), tool, place: place.clone() })
    });
    let mut named: Vec<_> = written.collect();
    named.sort_by_key(|tool| tool.place.span.start);
    named
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
