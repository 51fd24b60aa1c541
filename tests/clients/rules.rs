//! The story that `node/rules.mjs` and `python/rules.py` tell, held against what has to be seen: the
//! rules of a key leave a tool out, and a session is of the key that it was given to.

use serde_json::json;

use crate::{
    process::Process,
    stage::Stage,
    table::Sheet,
    teller::{Client, Sights},
};

/// Runs the story beside another client of the same server, whose calls are its own.
pub(crate) fn tell_beside_another(client: Client, stage: &Stage) {
    let places = [("ruled", stage.ruled()), ("other", stage.other())];
    let mut command = client.command("rules", stage, &places);
    let (_, output) = Process::start(&mut command).finish(stage.deadline);
    let (sights, tools) = (Sights::read(output), stage.dialect.tools());
    assert_eq!(*sights.of("listed"), json!([tools.quick, tools.endless]));
    assert_eq!(sights.text("alive"), format!("{} of x", tools.quick));
    sights.of("closed");
}

/// Runs the story.
pub(crate) fn tell(client: Client, stage: Stage) {
    let places = [("ruled", stage.ruled()), ("other", stage.other())];
    let mut command = client.command("rules", &stage, &places);
    let (_, output) = Process::start(&mut command).finish(stage.deadline);
    let sights = Sights::read(output);
    let tools = stage.dialect.tools();
    let result = format!("{} of x", tools.quick);
    let mut sheet = Sheet::new("rules", client.name().to_owned(), stage.dialect.name());

    // In the order of the server, which is not that of the rules.
    assert_eq!(*sights.of("listed"), json!([tools.quick, tools.endless]));
    sheet.note("listed", "2 of 3", "");
    let unknown = sights.text("unknown");
    assert!(unknown.ends_with(&format!("Unknown tool: {}", tools.steps)), "{unknown}");
    sheet.note_refusal("unknown", "-32602", unknown);
    assert_eq!(sights.text("alive"), result);
    sheet.note("goes-on", "yes", "");
    // The bridge keeps its sessions to itself.
    let usurped = stage.dialect.has_sessions() && !matches!(client, Client::McpRemote);
    if usurped {
        note_session(client, &stage, &sights, &mut sheet);
    }
    sights.of("closed");
    let calls = if usurped { 3 } else { 1 };
    judge(stage, calls, &Refused { tools: 1, sessions: usurped.into() });
    sheet.keep();
}

/// What a client was shown that came with another's session.
fn note_session(client: Client, stage: &Stage, sights: &Sights, sheet: &mut Sheet) {
    let result = format!("{} of x", stage.dialect.tools().quick);
    let shown = sights.text("session");
    sheet.note_refusal("session", "404", shown);
    match client {
        // It has a sentence of its own for any 404.
        Client::PythonV1 => assert_eq!(shown, "Session terminated"),
        _ => assert!(shown.contains("This session isn't known here."), "{shown}"),
    }
    assert_eq!(sights.text("anew"), result);
    sheet.note("anew", "yes", "");
    assert_eq!(sights.text("kept"), result);
}

/// What was refused, and how often.
pub(crate) struct Refused {
    pub(crate) tools: usize,
    pub(crate) sessions: usize,
}

/// Nothing that was refused has reached the server, which got as many calls as this; and the log says
/// why.
pub(crate) fn judge(stage: Stage, calls: usize, refused: &Refused) {
    let tools = stage.dialect.tools();
    for _ in 0..calls {
        stage.upstream.called(tools.quick, stage.deadline);
    }
    assert!(!stage.upstream.was_called(tools.steps), "a refused call has reached the server");
    let log = stage.strike();
    let count = |reason| log.matches(&format!("\"reason\":\"{reason}\"")).count();
    assert_eq!((count("tool"), count("session")), (refused.tools, refused.sessions), "{log}");
}
