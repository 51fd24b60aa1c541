use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::kept_file::{self, KeptFile, Line};
use crate::{
    observe::Metrics,
    policy::{PinLine, Pins},
    types::Name,
    upstream::World,
};

/// How soon a change is written, and the count of changed tools set right.
const TURN: Duration = Duration::from_secs(1);

/// The name of the file.
const FILE: &str = "pins";

/// Keeps the pinned tools over a restart, where there is a state directory, and counts those that have
/// changed. What the operator lists is the operator's to keep.
pub(super) struct PinKeeper {
    world: Arc<ArcSwap<World>>,
    metrics: Metrics,
    file: Option<KeptFile>,
}

impl PinKeeper {
    /// The keeper of the pins of these servers, with those of the file and of the process before put
    /// back.
    pub(super) fn new((world, taken): (&Arc<ArcSwap<World>>, &str), metrics: &Metrics) -> Self {
        let now = world.load();
        let pins = now.pins();
        let file = now.snapshot.state_dir.as_deref().map(|dir| {
            let is_whole = kept_file::read_lines(dir, FILE, |line| restore(&pins, line));
            KeptFile::new(
                dir,
                (FILE, (is_whole && taken.is_empty()).then(|| changes(&pins))),
                metrics,
            )
        });
        kept_file::take_over(taken, |line| restore(&pins, line), FILE);
        Self { world: Arc::clone(world), metrics: metrics.clone(), file }
    }

    /// Writes what has changed, again and again. Ends only when dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        kept_file::keep(self, TURN, Self::turn).await;
    }

    /// One turn; the last one is at the end of the drain.
    pub(super) fn turn(&self) {
        let pins = self.world.load().pins();
        for (upstream, pins) in &pins {
            self.metrics.changed_tools(upstream, pins.changed());
        }
        if let Some(file) = &self.file {
            file.write(|| changes(&pins), || text(&pins));
        }
    }

    /// Writes no more, because another process does; or again, because it doesn't.
    pub(super) fn close(&self, is_closed: bool) {
        if let Some(file) = &self.file {
            file.close(is_closed);
        }
    }

    /// All that is kept.
    pub(super) fn text(&self) -> String {
        text(&self.world.load().pins())
    }
}

fn changes(pins: &BTreeMap<Name, Arc<Pins>>) -> u64 {
    pins.values().map(|pins| pins.changes()).sum()
}

fn text(pins: &BTreeMap<Name, Arc<Pins>>) -> String {
    let mut text = String::new();
    for (upstream, pins) in pins.iter().filter(|(_, pins)| pins.begin_on_first_use()) {
        for (tool, pin) in pins.list() {
            // Of three texts: nothing that can't be written.
            text += &serde_json::to_string(&PinLine::of(upstream, &tool, pin)).unwrap_or_default();
            text.push('\n');
        }
    }
    text
}

fn restore(pins: &BTreeMap<Name, Arc<Pins>>, line: &str) -> Line {
    let Ok(line) = serde_json::from_str::<PinLine>(line) else { return Line::Damaged };
    let Some(pin) = line.pin() else { return Line::Damaged };
    let mut all = pins.iter();
    let of_upstream = all.find(|(name, _)| name.as_str() == line.upstream).map(|(_, pins)| pins);
    match of_upstream.filter(|pins| pins.begin_on_first_use()) {
        Some(pins) if pins.restore(&line.tool, pin) => Line::Used,
        Some(_) => Line::Damaged,
        // Of one that isn't pinned any more, or by the operator's own list now.
        None => Line::Used,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::{
        config::{Surroundings, compile_text},
        gateway::fleet,
        observe::LogSink,
        policy::{Pin, Pressure},
        types::ToolDigest,
    };

    /// The keeper of a server whose tools are pinned, perhaps by a list of the operator's own.
    fn keeper(dir: &Path, listed: Option<&str>) -> (Arc<Pins>, PinKeeper) {
        let own = listed.map_or(String::new(), |list| {
            let file = dir.join("listed");
            std::fs::write(&file, list).unwrap();
            format!(", pins = {file:?}")
        });
        let text = format!(
            "listeners = [{{ name = \"http\", address = \"127.0.0.1:0\" }}]\n\
             upstreams.postiz = {{ endpoints = [\"http://127.0.0.1:1\"], pin = \"enforce\"{own} }}\n\
             routes = [{{ name = \"mcp\", paths = [\"/mcp\"], upstream = \"postiz\" }}]\n\
             state.dir = {dir:?}\n"
        );
        let around = Surroundings {
            base_dir: Path::new("."),
            environment: &|_| None,
            now: std::time::SystemTime::UNIX_EPOCH,
        };
        let snapshot = compile_text(&text, around).snapshot.unwrap();
        let metrics = Metrics::new(&LogSink::memory());
        let servers = fleet::servers(&snapshot, (&metrics, &Pressure::none()), None);
        let world = World { snapshot: Arc::new(snapshot), servers };
        let pins = world.pins().into_values().next().unwrap();
        let world = Arc::new(ArcSwap::from_pointee(world));
        (pins, PinKeeper::new((&world, ""), &metrics))
    }

    #[test]
    fn what_was_seen_and_accepted_is_read_back() {
        let dir = tempfile::TempDir::new().unwrap();
        let (pins, first) = keeper(dir.path(), None);
        first.turn();
        assert!(!dir.path().join(FILE).exists(), "nothing has changed");
        pins.see("read", ToolDigest::of("1"));
        pins.see("post \"all\" \u{1f680}", ToolDigest::of("1"));
        pins.see("read", ToolDigest::of("2"));
        first.turn();
        let (again, _) = keeper(dir.path(), None);
        assert_eq!(again.list(), pins.list());
        assert!(!again.let_in("read"));
    }

    #[test]
    fn the_operators_own_list_is_not_mixed_with_what_was_kept() {
        let dir = tempfile::TempDir::new().unwrap();
        let (pins, first) = keeper(dir.path(), None);
        pins.see("post", ToolDigest::of("1"));
        first.turn();
        let listed = PinLine::of(
            &Name::parse("postiz").unwrap(),
            &"read".into(),
            Pin { accepted: Some(ToolDigest::of("1")), seen: None },
        );
        let listed = serde_json::to_string(&listed).unwrap();
        let (pins, keeper) = keeper(dir.path(), Some(&listed));
        assert!(pins.let_in("read") && !pins.let_in("post"));
        pins.see("post", ToolDigest::of("1"));
        keeper.turn();
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "");
    }

    #[test]
    fn a_damaged_line_keeps_nobody_from_starting_and_its_file_is_put_aside() {
        let dir = tempfile::TempDir::new().unwrap();
        let line = r#"{"upstream":"postiz","tool":"read","accepted":null,"seen":null}"#;
        let other = line.replace("postiz", "gone");
        let bad = line.replace("\"accepted\":null", "\"accepted\":\"12\"");
        let text = format!("{line}\n{bad}\n{other}\nx\n");
        std::fs::write(dir.path().join(FILE), &text).unwrap();
        let (pins, keeper) = keeper(dir.path(), None);
        assert_eq!(pins.list().len(), 1);
        assert_eq!(std::fs::read_to_string(dir.path().join("pins.bad")).unwrap(), text);
        keeper.turn();
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), format!("{line}\n"));
    }
}
