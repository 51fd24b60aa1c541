//! The story that `node/client.mjs` and `python/client.py` tell, held against what has to be seen.

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};

use crate::{
    process::Process,
    programs,
    stage::{Credential, Place, Stage},
    table::Sheet,
};

/// More calls than the burst has room for, so that one is refused.
const CALLS: &str = "150";

/// Which program speaks.
#[derive(Clone, Copy)]
pub(crate) enum Client {
    TypeScriptV1,
    TypeScriptV2,
    McpRemote,
    PythonV1,
    PythonV2,
}

/// Runs the story, and plays the test's part in it.
pub(crate) fn tell(client: Client, mut stage: Stage, credential: Credential) {
    let mut teller = Process::start(&mut command(client, &stage));
    let deadline = stage.deadline;
    let endless = stage.dialect.tools().endless;

    hear(&teller, &stage, "calling");
    let call = stage.upstream.called(endless, deadline);
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
    judge(client, &stage, credential, &output);
    stage.strike();
}

/// Waits until the client asks the test for its part.
fn hear(teller: &Process, stage: &Stage, what: &str) {
    teller.wait_for(stage.deadline, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line.get("saw")? == what).then_some(())
    });
}

fn judge(client: Client, stage: &Stage, credential: Credential, output: &str) {
    let sights: Vec<Value> =
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sight = |what: &str| {
        let found = sights.iter().find(|sight| sight["saw"] == what);
        found.unwrap_or_else(|| panic!("the client saw no {what}:\n{output}"))["detail"].clone()
    };
    let text = |what: &str| sight(what).as_str().unwrap_or_default().to_owned();
    let mut sheet = Sheet::new(name(client, credential), stage.dialect.name());

    assert_eq!(sight("connected"), "Postiz");
    sheet.note("connect", "yes", "");
    let tools = stage.dialect.tools();
    assert_eq!(
        names(&sight("listed")),
        BTreeSet::from([tools.quick, tools.steps, tools.endless].map(str::to_owned))
    );
    sheet.note("list", "yes", "");
    let result = format!("{} of x", tools.quick);
    assert_eq!(text("called"), result);
    sheet.note("call", "yes", "");
    let steps = sight("progress").as_array().map_or(0, Vec::len);
    // A busy machine may bring a report together with the result, and some clients then drop it.
    assert_eq!(steps > 0, stage.dialect.has_progress());
    sheet.note("progress", &steps.to_string(), "");
    sheet.note("cancel", "told", &text("cancelled"));
    for step in ["refused", "expired"] {
        let shown = text(step);
        assert!(!shown.is_empty(), "it connected with a key that is refused");
        let word = sheet.note_refusal(step, "401", &shown);
        // It takes any 401 for an invitation to OAuth, and shows how that ended.
        assert!(word != "hidden" || matches!(client, Client::McpRemote), "{step}: {shown}");
    }
    let (word, shown) = restart(&sights);
    sheet.note("restart", word, &shown);
    assert_eq!(text("reconnected"), result);
    sheet.note("reconnect", "yes", "");
    let limited = text("limited");
    assert!(limited.contains("The rate limit is reached. Retry in "), "{limited}");
    assert!(limited.ends_with(" s."), "{limited}");
    sheet.note_refusal("rate", "429", &limited);
    assert_eq!(text("alive"), result);
    sheet.note("leave", "seen", "");
    sight("closed");
    sheet.keep();
}

/// What the client was shown of the restart: nothing, an error of its next call, or the session's end.
fn restart(sights: &[Value]) -> (&'static str, String) {
    let text = |what: &str| {
        let sight = sights.iter().find(|sight| sight["saw"] == what)?;
        sight["detail"].as_str().map(str::to_owned)
    };
    match (text("restarted"), text("broken")) {
        (Some(error), _) => ("error", error),
        (None, Some(end)) => ("session ends", end),
        (None, None) => ("unnoticed", String::new()),
    }
}

fn names(listed: &Value) -> BTreeSet<String> {
    let names = listed.as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn name(client: Client, credential: Credential) -> String {
    let client = match client {
        Client::TypeScriptV1 => "ts-v1",
        Client::TypeScriptV2 => "ts-v2",
        Client::McpRemote => "mcp-remote",
        Client::PythonV1 => "py-v1",
        Client::PythonV2 => "py-v2",
    };
    let credential = match credential {
        Credential::Path => "",
        Credential::PathOfConsumer => "-consumer",
        Credential::Bearer => "-bearer",
    };
    format!("{client}{credential}")
}

fn command(client: Client, stage: &Stage) -> Command {
    let transport = if stage.dialect.is_legacy() { "sse" } else { "streamable" };
    let node = |kind: String| {
        let mut command = programs::node("node", "client.mjs");
        command.arg(kind);
        command
    };
    let python = |folder| {
        let mut command = programs::python(folder, "client.py");
        command.arg(transport);
        command
    };
    let mut command = match client {
        Client::TypeScriptV1 => node(format!("v1-{transport}")),
        Client::TypeScriptV2 => node(format!("v2-{transport}")),
        Client::McpRemote => node("mcp-remote".to_owned()),
        Client::PythonV1 => python("python/v1"),
        Client::PythonV2 => python("python"),
    };
    let tools = stage.dialect.tools();
    let tools = json!({ "quick": tools.quick, "steps": tools.steps, "endless": tools.endless });
    let place = |place: Place| match place.bearer {
        Some(bearer) => json!({ "url": place.url, "bearer": bearer }),
        None => json!({ "url": place.url }),
    };
    let places = json!({
        "right": place(stage.right()),
        "unknown": place(stage.unknown()),
        "expired": place(stage.expired()),
    });
    command.env("TOOLS", tools.to_string()).env("PLACES", places.to_string()).env("CALLS", CALLS);
    let authority = &stage.authority;
    command.env("NODE_EXTRA_CA_CERTS", authority).env("SSL_CERT_FILE", authority);
    // It keeps what it learnt about a server; each scenario meets its server for the first time.
    command.env("MCP_REMOTE_CONFIG_DIR", authority.with_extension("mcp-remote"));
    command
}
