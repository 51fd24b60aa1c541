/// A JSON-RPC method that some version of MCP names. Closed, so that it can be a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `tools/call`
    ToolsCall,
    /// `tools/list`
    ToolsList,
    /// `prompts/get`
    PromptsGet,
    /// `resources/read`, `resources/subscribe` and `resources/unsubscribe`: `params.uri` says which.
    Resource(&'static str),
    /// `completion/complete`: `params.ref` is a prompt or a template of resources.
    Complete,
    /// `subscriptions/listen`: its answer stays open.
    Listen,
    /// `tasks/get` and whatever else `params.taskId` says the task of.
    Task(&'static str),
    /// `tasks/list`: the tasks of every tool.
    TasksList,
    /// Another method of the specification, by its name.
    Known(&'static str),
    /// A method that servers call, and clients only answer.
    OfServers(&'static str),
    /// A method of no version.
    Other,
}

/// What clients send besides.
const KNOWN: &[&str] = &[
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
];

const RESOURCE: &[&str] = &["resources/read", "resources/subscribe", "resources/unsubscribe"];

const TASK: &[&str] = &["tasks/cancel", "tasks/get", "tasks/result", "tasks/update"];

const OF_SERVERS: &[&str] = &["elicitation/create", "roots/list", "sampling/createMessage"];

impl Method {
    /// Reads the `method` member.
    pub fn parse(text: &str) -> Self {
        let one_of = |names: &[&'static str]| names.iter().find(|name| **name == text).copied();
        match text {
            "initialize" => Self::Initialize,
            "server/discover" => Self::Discover,
            "tools/call" => Self::ToolsCall,
            "tools/list" => Self::ToolsList,
            "prompts/get" => Self::PromptsGet,
            "completion/complete" => Self::Complete,
            "subscriptions/listen" => Self::Listen,
            "tasks/list" => Self::TasksList,
            _ => None
                .or_else(|| one_of(KNOWN).map(Self::Known))
                .or_else(|| one_of(RESOURCE).map(Self::Resource))
                .or_else(|| one_of(TASK).map(Self::Task))
                .or_else(|| one_of(OF_SERVERS).map(Self::OfServers))
                .unwrap_or(Self::Other),
        }
    }

    /// The name, `other` for what no version has: metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::ToolsCall => "tools/call",
            Self::ToolsList => "tools/list",
            Self::PromptsGet => "prompts/get",
            Self::Complete => "completion/complete",
            Self::Listen => "subscriptions/listen",
            Self::TasksList => "tasks/list",
            Self::Known(name) | Self::Resource(name) | Self::Task(name) | Self::OfServers(name) => {
                name
            }
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_read_by_its_exact_name() {
        let lists = [KNOWN, RESOURCE, TASK, OF_SERVERS].concat();
        let named = ["initialize", "server/discover", "tools/call", "tools/list", "prompts/get"];
        let more = ["completion/complete", "subscriptions/listen", "tasks/list"];
        for name in lists.into_iter().chain(named).chain(more) {
            assert_eq!(Method::parse(name).as_str(), name);
            assert_eq!(Method::parse(&name.to_uppercase()), Method::Other);
        }
        assert_eq!(Method::parse("other").as_str(), "other");
    }
}
