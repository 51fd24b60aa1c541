//! The dialects that versions of Postiz speak, and the stand-ins that speak them.

use std::process::Command;

use crate::programs;

/// How an upstream speaks MCP, and which stand-in speaks so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Up to v2.7.0: the legacy transport, one bus per key.
    Legacy,
    /// v2.7.0, on the very Nest of its lock file.
    NestLegacy,
    /// v2.8.0 to v2.22.1: streamable HTTP with sessions, on the plain SDK.
    Sessions,
    /// v2.23.0 and later: streamable HTTP without, replies as JSON, on the plain SDK.
    Stateless,
    /// v2.8.0, on the very Mastra of its lock file.
    MastraSessions,
    /// v2.23.0 and later, on the very Mastra of its lock file.
    MastraStateless,
}

/// What the tools are called that do what a scenario needs.
pub(crate) struct Tools {
    /// Answers at once.
    pub(crate) quick: &'static str,
    /// Reports progress three times.
    pub(crate) steps: &'static str,
    /// Never ends by itself.
    pub(crate) endless: &'static str,
}

const FIRST_TOOLS: Tools = Tools {
    quick: "POSTIZ_GET_CONFIG_ID",
    steps: "POSTIZ_SCHEDULE_POST",
    endless: "POSTIZ_PROVIDERS_LIST",
};

const AGENT_TOOLS: Tools =
    Tools { quick: "integrationSchema", steps: "generateVideoTool", endless: "ask_postiz" };

impl Dialect {
    /// Its name in the table of what was seen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "v2.7",
            Self::NestLegacy => "v2.7-nest",
            Self::Sessions => "v2.8",
            Self::Stateless => "v2.23",
            Self::MastraSessions => "v2.8-mastra",
            Self::MastraStateless => "v2.23-mastra",
        }
    }

    pub(crate) const fn tools(self) -> &'static Tools {
        match self {
            Self::Legacy | Self::NestLegacy => &FIRST_TOOLS,
            _ => &AGENT_TOOLS,
        }
    }

    /// Whether it is the transport of 2024-11-05, with a stream apart from the messages.
    pub(crate) const fn is_legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::NestLegacy)
    }

    /// What the gateway finds out that it is. Mastra has no metadata to be told by.
    pub(crate) const fn found(self) -> Option<&'static str> {
        match self {
            Self::Legacy | Self::NestLegacy => Some("legacy-sse"),
            Self::Sessions => Some("session"),
            Self::Stateless => Some("stateless"),
            Self::MastraSessions | Self::MastraStateless => None,
        }
    }

    /// What follows the key in the URL that its users have.
    pub(crate) const fn leaf(self) -> &'static str {
        if self.is_legacy() { "/sse" } else { "" }
    }

    /// Whether a tool can report progress: a reply as JSON has no room for it.
    pub(crate) const fn has_progress(self) -> bool {
        !matches!(self, Self::Stateless | Self::MastraStateless)
    }

    /// Whether it gives its clients sessions.
    pub(crate) const fn has_sessions(self) -> bool {
        matches!(self, Self::Sessions | Self::MastraSessions)
    }

    /// What it says to a key that it doesn't know, with status 400.
    pub(crate) const fn wrong_key(self) -> &'static str {
        match self {
            Self::Legacy | Self::NestLegacy => r#"{"statusCode":400,"message":"Invalid url"}"#,
            _ => "Invalid API Key",
        }
    }

    /// The stand-in.
    pub(crate) fn command(self) -> Command {
        match self {
            Self::Legacy => programs::node("node", "postiz-v2.7.mjs"),
            Self::NestLegacy => programs::node("nest", "server.mjs"),
            Self::Sessions => programs::node("node", "postiz-v2.8.mjs"),
            Self::Stateless => programs::node("node", "postiz-main.mjs"),
            Self::MastraSessions => programs::node("mastra", "server.mjs"),
            Self::MastraStateless => programs::node22("node22", "server.mjs"),
        }
    }
}
