//! curl as a client: its user writes the messages, and reads what comes.

use std::{path::PathBuf, process::Command, time::Instant};

use serde_json::{Value, json};

use crate::{
    process::Process,
    rules::{self, Refused},
    stage::{Place, Stage},
    table::Sheet,
};

/// More calls than the burst has room for, so that one is refused.
const CALLS: u32 = 150;

/// The story of `story.rs`, written by hand.
pub(crate) fn tell(mut stage: Stage) {
    let mut sheet = Sheet::new("life", "curl".to_owned(), stage.dialect.name());
    let tools = stage.dialect.tools();
    let mut session = Session::open(&stage, stage.right());
    sheet.note("connect", "yes", "");
    assert_eq!(session.ask("tools/list", &json!({})).matches("inputSchema").count(), 3);
    sheet.note("list", "yes", "");
    assert!(session.call(tools.quick).contains(&format!("{} of x", tools.quick)));
    sheet.note("call", "yes", "");
    let steps = session.call(tools.steps).matches("notifications/progress").count();
    assert_eq!(steps, if stage.dialect.has_progress() { 3 } else { 0 });
    sheet.note("progress", &steps.to_string(), "");
    session.leave_in(tools.endless, &stage);
    sheet.note("cancel", "leaves", "");
    sheet.note("leave", "seen", "");

    note_refused_keys(&stage, &mut sheet);

    stage.upstream.restart(stage.deadline);
    sheet.note("restart", "n/a", "");
    let mut session = Session::open(&stage, stage.right());
    assert!(session.call(tools.quick).contains(&format!("{} of x", tools.quick)));
    sheet.note("reconnect", "yes", "");
    let limited = (0..CALLS).map(|_| session.call(tools.quick)).find(|seen| seen.contains("error"));
    sheet.note_refusal("rate", "429", &limited.expect("one is refused"));
    drop(session);
    stage.strike();
    sheet.keep();
}

/// The story of `rules.rs`, written by hand, in the version of the protocol that has batches.
pub(crate) fn under_rules(stage: Stage) {
    let mut sheet = Sheet::new("rules", "curl".to_owned(), stage.dialect.name());
    let tools = stage.dialect.tools();
    let mut session = Session::open_in("2025-03-26", &stage, stage.ruled());
    let listed = session.ask("tools/list", &json!({}));
    let at = |tool: &str| listed.find(&format!("\"name\":\"{tool}\""));
    assert!(at(tools.quick) < at(tools.endless) && at(tools.quick).is_some(), "{listed}");
    assert_eq!((at(tools.steps), listed.matches("inputSchema").count()), (None, 2), "{listed}");
    sheet.note("listed", "2 of 3", "");
    let unknown = session.call(tools.steps);
    assert!(unknown.contains(&format!("Unknown tool: {}\"", tools.steps)), "{unknown}");
    sheet.note_refusal("unknown", "200", &unknown);
    assert!(session.call(tools.quick).contains(&format!("{} of x", tools.quick)));
    sheet.note("goes-on", "yes", "");
    let usurped = stage.dialect.has_sessions();
    if usurped {
        let mut another = Session { id: session.id.clone(), ..Session::new(&stage, stage.other()) };
        let shown = another.call(tools.steps);
        assert!(shown.lines().next().is_some_and(|line| line.contains(" 404")), "{shown}");
        sheet.note_refusal("session", "404", &shown);
    }
    note_batch(&mut session, &stage, &mut sheet);
    drop(session);
    let calls = if stage.dialect.is_legacy() { 2 } else { 3 };
    rules::judge(stage, calls, &Refused { tools: 2, sessions: usurped.into() });
    sheet.keep();
}

/// A batch with a call that is refused is refused whole; another passes, where the server has any.
fn note_batch(session: &mut Session, stage: &Stage, sheet: &mut Sheet) {
    let tools = stage.dialect.tools();
    let params = |tool: &str| json!({ "name": tool, "arguments": { "platform": "x" } });
    let mut batch = |tool| {
        let calls = [tools.quick, tool].map(|tool| session.message("tools/call", &params(tool)));
        session.exchange(&json!(calls))
    };
    let refused = batch(tools.steps);
    assert!(refused.contains(&format!("Unknown tool: {}\"", tools.steps)), "{refused}");
    assert!(refused.contains("Refused with its batch"), "{refused}");
    assert_eq!(refused.matches("request_id").count(), 2, "{refused}");
    sheet.note("batch", "whole", &refused);
    if stage.dialect.is_legacy() {
        assert!(session.call(tools.quick).contains(&format!("{} of x", tools.quick)));
    } else {
        let passed = batch(tools.quick);
        assert_eq!(passed.matches(&format!("{} of x", tools.quick)).count(), 2, "{passed}");
    }
}

fn note_refused_keys(stage: &Stage, sheet: &mut Sheet) {
    for (step, place) in [("refused", stage.unknown()), ("expired", stage.expired())] {
        let shown = Session::new(stage, place).first_answer();
        assert!(shown.ends_with("\n401"), "{shown}");
        sheet.note_refusal(step, "401", &shown);
    }
    // Where strangers' keys are forwarded, the upstream's own words come back.
    let shown = Session::new(stage, stage.wrong()).first_answer();
    assert_eq!(shown, format!("{}\n400", stage.dialect.wrong_key()));
}

/// What curl keeps of a session: where it is, and what it is called.
struct Session {
    place: Place,
    authority: PathBuf,
    deadline: Instant,
    is_legacy: bool,
    calls: u32,
    /// `Mcp-Session-Id`, where the server gave one.
    id: Option<String>,
    /// The open stream of the legacy transport, and where its messages are posted to.
    stream: Option<(Process, String)>,
}

impl Session {
    fn new(stage: &Stage, place: Place) -> Self {
        Self {
            place,
            authority: stage.authority.clone(),
            deadline: stage.deadline,
            is_legacy: stage.dialect.is_legacy(),
            calls: 0,
            id: None,
            stream: None,
        }
    }

    fn open(stage: &Stage, place: Place) -> Self {
        Self::open_in("2025-06-18", stage, place)
    }

    /// Opens the stream where the dialect wants one, and says who it is.
    fn open_in(version: &str, stage: &Stage, place: Place) -> Self {
        let mut session = Self::new(stage, place);
        if session.is_legacy {
            session.open_stream();
        }
        let welcome = session.ask("initialize", &introduction(version));
        assert!(welcome.contains("Postiz"), "{welcome}");
        session.id = welcome.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("mcp-session-id").then(|| value.to_owned())
        });
        session
    }

    fn open_stream(&mut self) {
        let stream = Process::start(self.curl(&self.place.url).arg("--no-buffer"));
        let endpoint =
            stream.wait_for(self.deadline, |line| line.strip_prefix("data: ").map(str::to_owned));
        assert!(endpoint.starts_with('/'), "a reference without an origin: {endpoint}");
        let rest = self.place.url.split("/api/").next().expect("the first part");
        self.stream = Some((stream, format!("{rest}{endpoint}")));
    }

    fn call(&mut self, tool: &str) -> String {
        let progress = json!({ "progressToken": "p" });
        let arguments = json!({ "platform": "x" });
        self.ask("tools/call", &json!({ "name": tool, "arguments": arguments, "_meta": progress }))
    }

    fn ask(&mut self, method: &str, params: &Value) -> String {
        let message = self.message(method, params);
        self.exchange(&message)
    }

    /// Posts messages: all that is seen until the answer to the last has come, heads included.
    fn exchange(&self, messages: &Value) -> String {
        let posted = Process::start(&mut self.post(messages)).finish(self.deadline);
        let Some((stream, _)) = &self.stream else { return posted.1.replace('\r', "") };
        let mut seen = String::new();
        loop {
            let message = stream.wait_for(self.deadline, |line| {
                serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok()
            });
            // What comes before the answer belongs to it, as progress does.
            seen.push_str(&message.to_string());
            if message.get("id").is_some_and(|id| *id == self.calls) {
                return seen;
            }
        }
    }

    /// Leaves in the middle of a call, once the upstream has it: it learns of that.
    fn leave_in(mut self, tool: &str, stage: &Stage) {
        let params = json!({ "name": tool, "arguments": {} });
        let message = self.message("tools/call", &params);
        let mut pending = Process::start(&mut self.post(&message));
        stage.upstream.called(tool, self.deadline);
        match self.stream.take() {
            Some((mut stream, _)) => {
                stream.kill();
                stage.upstream.left("stream", self.deadline);
            }
            None => {
                pending.kill();
                stage.upstream.left(tool, self.deadline);
            }
        }
    }

    /// The first thing that such a client sends, answered: the body, and the status under it.
    fn first_answer(&mut self) -> String {
        let mut command = match self.is_legacy {
            true => self.curl(&self.place.url),
            false => {
                let message = self.message("initialize", &introduction("2025-06-18"));
                self.post(&message)
            }
        };
        command.args(["--no-include", "--write-out", "\n%{http_code}"]);
        Process::start(&mut command).finish(self.deadline).1.trim_end().to_owned()
    }

    /// The next request.
    fn message(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        json!({ "jsonrpc": "2.0", "id": self.calls, "method": method, "params": params })
    }

    fn post(&self, messages: &Value) -> Command {
        let url = self.stream.as_ref().map_or(&self.place.url, |(_, endpoint)| endpoint);
        let mut command = self.curl(url);
        command.args(["--include", "--no-buffer", "--data", &messages.to_string()]);
        command.args(["--header", "Content-Type: application/json"]);
        command.args(["--header", "Accept: application/json, text/event-stream"]);
        if let Some(id) = &self.id {
            command.args(["--header", &format!("Mcp-Session-Id: {id}")]);
        }
        command
    }

    fn curl(&self, url: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--cacert"]).arg(&self.authority).arg(url);
        if let Some(bearer) = self.place.bearer {
            command.args(["--header", &format!("Authorization: Bearer {bearer}")]);
        }
        command
    }
}

fn introduction(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "curl", "version": "1" },
    })
}
