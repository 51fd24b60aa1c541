//! The Inspector's command line: each command is a connection of its own.

use std::process::Command;

use serde_json::Value;

use crate::{
    process::Process,
    programs,
    rules::{self, Refused},
    stage::{Place, Stage},
    table::Sheet,
};

/// As much of the story as one command at a time can tell.
pub(crate) fn tell(mut stage: Stage) {
    let mut sheet = Sheet::new("life", "inspector".to_owned(), stage.dialect.name());
    let tools = stage.dialect.tools();
    let listed = run(&stage, &stage.right(), &["--method", "tools/list"]);
    assert!(listed.contains(tools.quick) && listed.contains(tools.endless), "{listed}");
    sheet.note("connect", "yes", "");
    sheet.note("list", "yes", "");
    assert!(call(&stage, tools.quick).contains(&format!("{} of x", tools.quick)));
    sheet.note("call", "yes", "");
    assert!(call(&stage, tools.steps).contains(&format!("{} of x", tools.steps)));
    sheet.note("progress", "not shown", "");
    leave_in(tools.endless, &stage);
    sheet.note("cancel", "leaves", "");
    sheet.note("leave", "seen", "");
    for (step, place) in [("refused", stage.unknown()), ("expired", stage.expired())] {
        let shown = run(&stage, &place, &["--method", "tools/list"]);
        sheet.note_refusal(step, "401", &shown);
    }
    stage.upstream.restart(stage.deadline);
    sheet.note("restart", "n/a", "");
    assert!(call(&stage, tools.quick).contains(&format!("{} of x", tools.quick)));
    sheet.note("reconnect", "yes", "");
    // Each command is so slow that only a bucket that doesn't fill can be emptied.
    let place = stage.sparing();
    let list = || run(&stage, &place, &["--method", "tools/list"]);
    let limited = (0..3).map(|_| list()).find(|seen| !seen.contains(tools.quick));
    sheet.note_refusal("rate", "429", &limited.expect("one is refused"));
    stage.strike();
    sheet.keep();
}

/// The same of the story of `rules.rs`.
pub(crate) fn under_rules(stage: Stage) {
    let mut sheet = Sheet::new("rules", "inspector".to_owned(), stage.dialect.name());
    let (tools, place) = (stage.dialect.tools(), stage.ruled());
    let listed = run(&stage, &place, &["--method", "tools/list"]);
    let listed: Value = serde_json::from_str(&listed).expect("it shows the list alone");
    let listed = listed.get("tools").and_then(Value::as_array).into_iter().flatten();
    let names = listed.map(|tool| &tool["name"]).collect::<Vec<_>>();
    assert_eq!(names, [tools.quick, tools.endless]);
    sheet.note("listed", "2 of 3", "");
    // It reads the list before it calls, and so never asks for what isn't there.
    let unknown = run(&stage, &place, &arguments(tools.steps));
    assert!(unknown.contains(&format!("'{}' not found on server", tools.steps)), "{unknown}");
    sheet.note("unknown", "not asked", &unknown);
    let called = run(&stage, &place, &arguments(tools.quick));
    assert!(called.contains(&format!("{} of x", tools.quick)), "{called}");
    sheet.note("goes-on", "yes", "");
    rules::judge(stage, 1, &Refused { tools: 0, sessions: 0 });
    sheet.keep();
}

fn call(stage: &Stage, tool: &str) -> String {
    run(stage, &stage.right(), &arguments(tool))
}

fn arguments(tool: &str) -> [&str; 6] {
    ["--method", "tools/call", "--tool-name", tool, "--tool-arg", "platform=x"]
}

/// Ends the program in the middle of a call, once the upstream has it: it learns of that.
fn leave_in(tool: &str, stage: &Stage) {
    let mut pending = Process::start(inspector(stage, &stage.right()).args(arguments(tool)));
    stage.upstream.called(tool, stage.deadline);
    pending.kill();
    stage.upstream.left(if stage.dialect.is_legacy() { "stream" } else { tool }, stage.deadline);
}

fn run(stage: &Stage, place: &Place, arguments: &[&str]) -> String {
    Process::start(inspector(stage, place).args(arguments)).finish(stage.deadline).1
}

fn inspector(stage: &Stage, place: &Place) -> Command {
    let transport = if stage.dialect.is_legacy() { "sse" } else { "http" };
    let mut command = programs::node22("node22", "node_modules/.bin/mcp-inspector");
    command.args(["--cli", &place.url, "--transport", transport]);
    command.env("NODE_EXTRA_CA_CERTS", &stage.authority);
    command
}
