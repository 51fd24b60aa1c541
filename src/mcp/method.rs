/// A JSON-RPC method that some version of MCP names. Closed, so that it can be a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `tools/call`
    ToolsCall,
    /// `subscriptions/listen`: its answer stays open.
    Listen,
    /// Another method of the specification, by its name.
    Known(&'static str),
    /// A method of no version.
    Other,
}

/// The methods without rules of their own here.
const KNOWN: &[&str] = &[
    "completion/complete",
    "elicitation/create",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "roots/list",
    "sampling/createMessage",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/list",
];

impl Method {
    /// Reads the `method` member.
    pub fn parse(text: &str) -> Self {
        match text {
            "initialize" => Self::Initialize,
            "server/discover" => Self::Discover,
            "tools/call" => Self::ToolsCall,
            "subscriptions/listen" => Self::Listen,
            _ => KNOWN.iter().find(|known| **known == text).map_or(Self::Other, |k| Self::Known(k)),
        }
    }

    /// The name, `other` for what no version has: metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::ToolsCall => "tools/call",
            Self::Listen => "subscriptions/listen",
            Self::Known(name) => name,
            Self::Other => "other",
        }
    }
}
