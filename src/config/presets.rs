//! `presets` of `tools`: rules for Postiz that are used by name. Each is a file that is written as
//! anybody writes rules, and is read by the same reader.

use std::sync::Arc;

use toml::de::DeTable;

use super::{
    Surroundings,
    mask::shown,
    reading::Reading,
    table::{Item, Table, nearest},
    value::Fault,
};
use crate::policy::{Names, Rules};

/// A preset as it is shipped.
#[derive(Clone, Copy)]
struct Preset {
    name: &'static str,
    text: &'static str,
}

/// A preset by its name, which is the name of its file.
macro_rules! preset {
    ($name:literal) => {
        Preset { name: $name, text: include_str!(concat!("../../config/presets/", $name, ".toml")) }
    };
}

const ALL: [Preset; 5] = [
    preset!("read-only"),
    preset!("drafts-only"),
    preset!("no-publish-now"),
    preset!("channels"),
    preset!("no-generation"),
];

/// The one that wants to know for which channels it is, and where in it they stand.
const CHANNELS: &str = "channels";
const PLACE: &str = "\"{channels}\"";

/// The longest id of a channel, in bytes.
const LONGEST: usize = 128;

/// Reads rules: whoever reads those of the file gives itself, or it would be asked by whom it asks.
pub(super) type ReadRules = fn(&mut Table<'_>, &mut Reading<'_>) -> Option<Rules>;

/// Takes `presets` and `channels`. Whether anything is written at all, is for the caller to say.
pub(super) fn take<'t>(tools: &mut Table<'t>) -> (Option<Item<'t>>, Option<Item<'t>>) {
    (tools.take("presets"), tools.take(CHANNELS))
}

/// Reads what was taken.
pub(super) fn read(
    (presets, channels): (Option<Item<'_>>, Option<Item<'_>>),
    rules: ReadRules,
    reading: &mut Reading<'_>,
) -> Vec<Arc<Rules>> {
    let named = presets.as_ref().map(|item| item.list_of(reading, find)).unwrap_or_default();
    let wants = named.iter().find(|(preset, _)| preset.name == CHANNELS);
    let ids = channels.as_ref().map(|item| ids(item, reading));
    match (wants, &channels) {
        (Some((_, at)), None) => {
            reading
                .error(at, "the preset \"channels\" has to know which")
                .hint("add: channels = [\"ID\"]; integrationList shows the ids");
        }
        (None, Some(channels)) => {
            reading
                .error(
                    &channels.name_at,
                    "`channels` is for the preset \"channels\", which isn't named",
                )
                .hint("add it: presets = [\"channels\"]");
        }
        _ => {}
    }
    if let Some(presets) =
        presets.filter(|item| item.value.as_array().is_some_and(|l| l.is_empty()))
    {
        reading.error(&presets.at, "`presets` is empty").hint("name one, or leave it out");
    }
    let ids = ids.unwrap_or_default();
    named.into_iter().map(|(preset, _)| compiled((preset, &ids), rules, reading)).collect()
}

fn find(text: &str) -> Result<Preset, Fault> {
    ALL.into_iter().find(|preset| preset.name == text).ok_or_else(|| {
        let names = || ALL.iter().map(|preset| preset.name);
        let hint = match nearest(text, names()) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        Fault::new(format!("{} is no preset", shown(text))).hint(hint)
    })
}

/// The ids of channels. They go into the text of a preset, so they are plain.
fn ids(item: &Item<'_>, reading: &mut Reading<'_>) -> Vec<String> {
    if item.value.as_array().is_some_and(|list| list.is_empty()) {
        reading
            .error(&item.at, "`channels` is empty")
            .hint("name the ids that integrationList shows");
    }
    let id = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_id = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        let fault = || {
            Fault::new(format!("{} is no id of a channel", shown(text)))
                .hint("write it as integrationList shows it: cm4ean69r0003w8w1cdomox9n")
        };
        is_id.then(|| text.to_owned()).ok_or_else(fault)
    };
    item.list_of(reading, id).into_iter().map(|(id, _)| id).collect()
}

fn compiled(
    (preset, ids): (Preset, &[String]),
    rules: ReadRules,
    reading: &mut Reading<'_>,
) -> Arc<Rules> {
    let ids = if preset.name == CHANNELS { ids } else { &[] };
    if let Some(known) = reading.presets.find(preset.name, ids) {
        return known;
    }
    let compiled = Arc::new(compile((preset, ids), rules, &reading.around).0);
    reading.presets.add(preset.name, ids, &compiled);
    compiled
}

/// Whether a preset lets a tool be called, as far as its name tells.
pub(super) fn lets_in(
    preset: &str,
    tool: &str,
    (rules, around): (ReadRules, &Surroundings<'_>),
) -> bool {
    let preset = ALL.into_iter().find(|known| known.name == preset);
    preset.is_some_and(|preset| {
        compile((preset, &["ID".to_owned()]), rules, around).0.tools.let_in(tool)
    })
}

/// The rules of a preset, and whether it could be read.
fn compile(
    (preset, ids): (Preset, &[String]),
    rules: ReadRules,
    around: &Surroundings<'_>,
) -> (Rules, bool) {
    let quoted: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    let text = preset.text.replace(PLACE, &quoted.join(", "));
    let (tree, faults) = DeTable::parse_recoverable(&text);
    let mut reading = Reading::new(&text, *around);
    let mut table = Table::new("a preset", 0..0, tree.get_ref());
    let rules = rules(&mut table, &mut reading);
    table.finish(&[], &mut reading);
    match rules.filter(|_| faults.is_empty() && reading.problems_so_far() == 0) {
        Some(rules) => (rules, true),
        // It lets nothing in; a test holds every one to being read. Without its channels it can't be.
        None => (Rules { tools: Names::none(), ..Rules::default() }, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::rules, policy::Rulebook};

    fn shipped(preset: Preset) -> (Rules, bool) {
        let now = std::time::SystemTime::UNIX_EPOCH;
        let base_dir = std::path::Path::new("/nowhere");
        let around = Surroundings { base_dir, environment: &|_| None, now };
        compile((preset, &["cm0".to_owned(), "cm1".to_owned()]), rules::read, &around)
    }

    #[test]
    fn every_preset_is_read_and_lets_neither_the_agent_nor_the_trigger_in() {
        for preset in ALL {
            let (rules, is_whole) = shipped(preset);
            assert!(is_whole, "{}", preset.name);
            let book = Rulebook::of(Some(&Arc::new(rules)), None).unwrap();
            for tool in ["ask_postiz", "triggerTool", "a_tool_of_tomorrow", ""] {
                assert!(!book.tool(tool), "{} lets {tool} in", preset.name);
            }
            assert!(book.tool("integrationList") && book.tool("POSTIZ_PROVIDERS_LIST"));
            assert!(!book.prompt("x") && !book.resource("docs://x"), "it is about nothing else");
        }
    }

    #[test]
    fn what_is_in_the_folder_is_what_is_shipped() {
        let folder = std::fs::read_dir("config/presets").unwrap();
        let mut files: Vec<String> =
            folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let mut names: Vec<String> =
            ALL.iter().map(|preset| format!("{}.toml", preset.name)).collect();
        files.sort();
        names.sort();
        assert_eq!(files, names);
    }
}
