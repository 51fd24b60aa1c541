//! The story that `node/client.mjs` and `python/client.py` tell, held against what has to be seen.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    process::Process,
    stage::{Credential, Stage},
    table::Sheet,
    teller::{Client, Sights},
};

/// More calls than the burst has room for, so that one is refused.
const CALLS: &str = "150";

/// Runs the story, and plays the test's part in it.
pub(crate) fn tell(client: Client, stage: Stage, credential: Credential) {
    tell_with((client, credential), stage, |_| {});
}

/// The same, with something that happens while a call waits for its answer.
pub(crate) fn tell_with(
    (client, credential): (Client, Credential),
    mut stage: Stage,
    happens: impl FnOnce(&Stage),
) {
    let places =
        [("right", stage.right()), ("unknown", stage.unknown()), ("expired", stage.expired())];
    let mut command = client.command("client", &stage, &places);
    let mut teller = Process::start(command.env("CALLS", CALLS));
    let deadline = stage.deadline;
    let endless = stage.dialect.tools().endless;

    hear(&teller, &stage, "calling");
    let call = stage.upstream.called(endless, deadline);
    happens(&stage);
    teller.say("it has the call");
    stage.upstream.cancelled(&call, deadline);

    hear(&teller, &stage, "restart");
    stage.upstream.restart(deadline);
    teller.say("it is back");

    hear(&teller, &stage, "pending");
    stage.upstream.called(endless, deadline);
    teller.say("it has the call");
    let what = if stage.dialect.is_legacy() { "stream" } else { endless };
    stage.upstream.left(what, deadline);

    let (_, output) = teller.finish(deadline);
    judge(client, &stage, credential, &Sights::read(output));
    stage.strike();
}

/// Waits until the client asks the test for its part.
fn hear(teller: &Process, stage: &Stage, what: &str) {
    teller.wait_for(stage.deadline, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line.get("saw")? == what).then_some(())
    });
}

fn judge(client: Client, stage: &Stage, credential: Credential, sights: &Sights) {
    let mut sheet = Sheet::new("life", name(client, credential), stage.dialect.name());

    assert_eq!(sights.of("connected"), "Postiz");
    sheet.note("connect", "yes", "");
    let tools = stage.dialect.tools();
    assert_eq!(
        names(sights.of("listed")),
        BTreeSet::from([tools.quick, tools.steps, tools.endless].map(str::to_owned))
    );
    sheet.note("list", "yes", "");
    let result = format!("{} of x", tools.quick);
    assert_eq!(sights.text("called"), result);
    sheet.note("call", "yes", "");
    let steps = sights.of("progress").as_array().map_or(0, Vec::len);
    // A busy machine may bring a report together with the result, and some clients then drop it.
    assert_eq!(steps > 0, stage.dialect.has_progress());
    sheet.note("progress", &steps.to_string(), "");
    sheet.note("cancel", "told", sights.text("cancelled"));
    for step in ["refused", "expired"] {
        let shown = sights.text(step);
        assert!(!shown.is_empty(), "it connected with a key that is refused");
        let word = sheet.note_refusal(step, "401", shown);
        // It takes any 401 for an invitation to OAuth, and shows how that ended.
        assert!(word != "hidden" || matches!(client, Client::McpRemote), "{step}: {shown}");
    }
    let (word, shown) = restart(sights);
    sheet.note("restart", word, shown);
    assert_eq!(sights.text("reconnected"), result);
    sheet.note("reconnect", "yes", "");
    let limited = sights.text("limited");
    assert!(limited.contains("The rate limit is reached. Retry in "), "{limited}");
    assert!(limited.ends_with(" s."), "{limited}");
    sheet.note_refusal("rate", "429", limited);
    assert_eq!(sights.text("alive"), result);
    sheet.note("leave", "seen", "");
    sights.of("closed");
    sheet.keep();
}

/// What the client was shown of the restart: nothing, an error of its next call, or the session's end.
fn restart(sights: &Sights) -> (&'static str, &str) {
    let text = |what| sights.find(what).and_then(Value::as_str);
    match (text("restarted"), text("broken")) {
        (Some(error), _) => ("error", error),
        (None, Some(end)) => ("session ends", end),
        (None, None) => ("unnoticed", ""),
    }
}

fn names(listed: &Value) -> BTreeSet<String> {
    let names = listed.as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn name(client: Client, credential: Credential) -> String {
    let credential = match credential {
        Credential::Path => "",
        Credential::PathOfConsumer => "-consumer",
        Credential::Bearer => "-bearer",
    };
    format!("{}{credential}", client.name())
}
