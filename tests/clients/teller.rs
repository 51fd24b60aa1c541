//! The official clients as programs that tell a story, and what they tell.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    programs,
    stage::{Place, Stage},
};

/// Which program speaks.
#[derive(Clone, Copy)]
pub(crate) enum Client {
    TypeScriptV1,
    TypeScriptV2,
    McpRemote,
    PythonV1,
    PythonV2,
}

impl Client {
    /// Its name in the table of what was seen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TypeScriptV1 => "ts-v1",
            Self::TypeScriptV2 => "ts-v2",
            Self::McpRemote => "mcp-remote",
            Self::PythonV1 => "py-v1",
            Self::PythonV2 => "py-v2",
        }
    }

    /// The program with one of the scripts of its folder, which may go to these places.
    pub(crate) fn command(self, story: &str, stage: &Stage, places: &[(&str, Place)]) -> Command {
        let transport = if stage.dialect.is_legacy() { "sse" } else { "streamable" };
        let node = |kind: String| {
            let mut command = programs::node("node", &format!("{story}.mjs"));
            command.arg(kind);
            command
        };
        let python = |folder| {
            let mut command = programs::python(folder, &format!("{story}.py"));
            command.arg(transport);
            command
        };
        let mut command = match self {
            Self::TypeScriptV1 => node(format!("v1-{transport}")),
            Self::TypeScriptV2 => node(format!("v2-{transport}")),
            Self::McpRemote => node("mcp-remote".to_owned()),
            Self::PythonV1 => python("python/v1"),
            Self::PythonV2 => python("python"),
        };
        let tools = stage.dialect.tools();
        let tools = json!({ "quick": tools.quick, "steps": tools.steps, "endless": tools.endless });
        let places: Value =
            places.iter().map(|(name, place)| ((*name).to_owned(), place.as_json())).collect();
        command.env("TOOLS", tools.to_string()).env("PLACES", places.to_string());
        let authority = &stage.authority;
        command.env("NODE_EXTRA_CA_CERTS", authority).env("SSL_CERT_FILE", authority);
        // It keeps what it learnt about a server; each scenario meets its server for the first time.
        command.env("MCP_REMOTE_CONFIG_DIR", authority.with_extension("mcp-remote"));
        command
    }
}

/// What a client saw, in its order.
pub(crate) struct Sights {
    sights: Vec<Value>,
    output: String,
}

impl Sights {
    /// From all that it wrote.
    pub(crate) fn read(output: String) -> Self {
        let sights = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { sights, output }
    }

    /// What it saw of this, if it came so far.
    pub(crate) fn find(&self, what: &str) -> Option<&Value> {
        self.sights.iter().find(|sight| sight["saw"] == what).map(|sight| &sight["detail"])
    }

    /// What it saw of this.
    ///
    /// # Panics
    /// When it didn't come so far, with all that it wrote.
    pub(crate) fn of(&self, what: &str) -> &Value {
        self.find(what).unwrap_or_else(|| panic!("the client saw no {what}:\n{}", self.output))
    }

    /// The same as text; empty if it is none.
    pub(crate) fn text(&self, what: &str) -> &str {
        self.of(what).as_str().unwrap_or_default()
    }
}
