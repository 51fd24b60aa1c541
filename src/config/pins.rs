//! `pin` and `pins` of an upstream.

use std::sync::Arc;

use super::{
    files,
    reading::Reading,
    table::{Item, Table},
};
use crate::{
    policy::{PinLine, PinMode},
    snapshot::PinSetting,
    types::{Name, ToolDigest},
};

/// Lines of one file that are told one by one.
const TOLD: usize = 5;

pub(super) fn read(
    upstream: &Name,
    table: &mut Table<'_>,
    reading: &mut Reading<'_>,
) -> Option<PinSetting> {
    let (mode, file) = (table.take("pin"), table.take("pins"));
    let choices = [("observe", PinMode::Observe), ("enforce", PinMode::Enforce)];
    let Some(mode) = mode else {
        if let Some(file) = file {
            reading
                .error(&file.name_at, "`pins` without `pin` pins nothing")
                .hint("add: pin = \"enforce\"");
        }
        return None;
    };
    let mode = mode.choice(reading, &choices)?;
    let trusted = file.map(|file| trusted(upstream, &file, reading));
    Some(PinSetting { mode, trusted })
}

/// The tools of a file that `portcullis pins list` wrote. Those of other upstreams are left out.
fn trusted(
    upstream: &Name,
    item: &Item<'_>,
    reading: &mut Reading<'_>,
) -> Vec<(Arc<str>, ToolDigest)> {
    let contents = item.text(reading).and_then(|path| files::read(item, path, reading));
    let Some(contents) = contents else { return Vec::new() };
    let (mut tools, mut faults) = (Vec::new(), 0);
    let lines = contents.bytes.split(|byte| *byte == b'\n').enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        match serde_json::from_slice::<PinLine>(line) {
            Ok(line) if line.upstream != upstream.as_str() => {}
            Ok(line) => match line.pin() {
                Some(pin) => {
                    tools.extend(pin.accepted.map(|digest| (line.tool.into(), digest)));
                }
                None => fault(item, number + 1, &mut faults, reading),
            },
            Err(_) => fault(item, number + 1, &mut faults, reading),
        }
    }
    if tools.is_empty() && faults == 0 {
        reading
            .warning(&item.at, format!("`pins` has no tool of {upstream}: each counts as changed"))
            .hint("write it with `portcullis pins list`, or leave `pins` out to trust what comes first");
    }
    tools
}

fn fault(item: &Item<'_>, number: usize, faults: &mut usize, reading: &mut Reading<'_>) {
    *faults += 1;
    if *faults <= TOLD {
        reading
            .error(&item.at, format!("`pins`: line {number} of the file is no pinned tool"))
            .hint("write the file with `portcullis pins list --config FILE > tools.pins`");
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::SystemTime};

    use crate::{
        config::{Surroundings, compile_text},
        policy::{Pin, PinLine},
        types::{Name, ToolDigest},
    };

    /// What is said of a file of pins.
    fn said_of(file: &str) -> Vec<String> {
        let dir = tempfile::TempDir::new().unwrap();
        std::fs::write(dir.path().join("tools.pins"), file).unwrap();
        let text = "listeners = [{ name = \"http\", address = \"127.0.0.1:0\" }]\n\
                    routes = [{ name = \"mcp\", paths = [\"/mcp\"], upstream = \"postiz\" }]\n\
                    [upstreams.postiz]\nendpoints = [\"http://127.0.0.1:1\"]\n\
                    pin = \"enforce\"\npins = \"tools.pins\"\n";
        let now = SystemTime::UNIX_EPOCH;
        let around = Surroundings { base_dir: dir.path(), environment: &|_| None, now };
        assert_ne!(dir.path(), Path::new("."));
        let problems = compile_text(text, around).problems;
        let problems = problems.iter().map(|problem| problem.message.clone());
        problems.filter(|message| message.contains("`pins`")).collect()
    }

    #[test]
    fn a_file_of_pins_is_read_line_by_line() {
        let line = |upstream: &str| {
            let accepted = Some(ToolDigest::of("x"));
            let upstream = Name::parse(upstream).unwrap();
            let line = PinLine::of(&upstream, &"read".into(), Pin { accepted, seen: None });
            serde_json::to_string(&line).unwrap()
        };
        let (ours, theirs) = (line("postiz"), line("other"));
        assert_eq!(said_of(&format!("{theirs}\n\n{ours}\r\n")), [""; 0]);
        let bad = format!("{ours}\nread\n{}\n\u{0}", ours.replace("\":\"2d7", "\":\"zz7"));
        let told: Vec<_> =
            [2, 3, 4].map(|n| format!("`pins`: line {n} of the file is no pinned tool")).into();
        assert_eq!(said_of(&bad), told);
        assert_eq!(said_of(&"x\n".repeat(99)).len(), super::TOLD);
        let none = "`pins` has no tool of postiz: each counts as changed";
        assert_eq!((said_of(&theirs), said_of("")), (vec![none.to_owned()], vec![none.to_owned()]));
    }
}
