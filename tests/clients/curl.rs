//! curl as a client: its user writes the messages, and reads what comes.

use std::{path::PathBuf, process::Command, time::Instant};

use serde_json::{Value, json};

use crate::{
    process::Process,
    stage::{Place, Stage},
    table::Sheet,
};

/// More calls than the burst has room for, so that one is refused.
const CALLS: u32 = 150;

/// The story of `story.rs`, written by hand.
pub(crate) fn tell(mut stage: Stage) {
    let mut sheet = Sheet::new("curl".to_owned(), stage.dialect.name());
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

    /// Opens the stream where the dialect wants one, and says who it is.
    fn open(stage: &Stage, place: Place) -> Self {
        let mut session = Self::new(stage, place);
        if session.is_legacy {
            session.open_stream();
        }
        let welcome = session.ask("initialize", &introduction());
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

    /// Posts a request: all that is seen until its answer has come, heads included.
    fn ask(&mut self, method: &str, params: &Value) -> String {
        let posted = Process::start(&mut self.post(method, params)).finish(self.deadline);
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
        let mut pending = Process::start(&mut self.post("tools/call", &params));
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
            false => self.post("initialize", &introduction()),
        };
        command.args(["--no-include", "--write-out", "\n%{http_code}"]);
        Process::start(&mut command).finish(self.deadline).1.trim_end().to_owned()
    }

    fn post(&mut self, method: &str, params: &Value) -> Command {
        self.calls += 1;
        let message =
            json!({ "jsonrpc": "2.0", "id": self.calls, "method": method, "params": params });
        let url = self.stream.as_ref().map_or(&self.place.url, |(_, endpoint)| endpoint);
        let mut command = self.curl(url);
        command.args(["--include", "--no-buffer", "--data", &message.to_string()]);
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

fn introduction() -> Value {
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": { "name": "curl", "version": "1" },
    })
}
