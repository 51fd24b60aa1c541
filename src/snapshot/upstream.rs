use std::{sync::Arc, time::Duration};

use super::{Endpoints, HealthCheck, UpstreamTls};
use crate::{
    policy::{PinMode, Pins},
    types::{CredentialForm, Name, ToolDigest},
};

/// A named server.
#[derive(Clone)]
pub struct Upstream {
    /// Its name: label and log field.
    pub name: Name,
    /// Where it is.
    pub endpoints: Endpoints,
    /// How its endpoints are asked whether they are well; `None`: nobody asks.
    pub health: Option<HealthCheck>,
    /// Fixed segments taken off the front of the public path: `["api"]`.
    pub strip_prefix: Vec<Box<str>>,
    /// How it speaks MCP; `None` means that nobody asks.
    pub dialect: Option<DialectSetting>,
    /// For `https` endpoints: how to connect, ready made.
    pub tls: Option<UpstreamTls>,
    /// How long a session may be unused before it is ended there; `None`: for ever.
    pub session_idle: Option<Duration>,
    /// How its tools are pinned; `None`: they aren't.
    pub pin: Option<PinSetting>,
    /// How many requests may be under way there at once; `None`: as many as come.
    pub max_requests: Option<u32>,
    /// Whether clients of one key share one stream, where its dialect is `legacy-sse` and its streams
    /// name no session.
    pub shared_streams: bool,
}

impl Upstream {
    /// Whether another configuration is the same in all that a running server rests on: its pools,
    /// names and sessions may stay then. What TLS trusts counts, and not which file or object says so.
    pub fn same_as(&self, other: &Self) -> bool {
        // Taken apart, so that a new setting can't be forgotten here.
        let Self {
            name,
            endpoints,
            health,
            strip_prefix,
            dialect,
            tls,
            session_idle,
            pin,
            max_requests,
            shared_streams,
        } = self;
        *name == other.name
            && *endpoints == other.endpoints
            && *health == other.health
            && *strip_prefix == other.strip_prefix
            && *dialect == other.dialect
            && *tls == other.tls
            && *session_idle == other.session_idle
            && *pin == other.pin
            && *max_requests == other.max_requests
            && *shared_streams == other.shared_streams
    }
}

/// `pin` and `pins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinSetting {
    /// What becomes of a tool that has changed.
    pub mode: PinMode,
    /// The tools that the operator trusts; `None`: each as it is seen first.
    pub trusted: Option<Vec<(Arc<str>, ToolDigest)>>,
}

impl PinSetting {
    /// The pins at the start.
    pub fn pins(&self) -> Pins {
        match &self.trusted {
            Some(trusted) => Pins::of(self.mode, trusted.iter().cloned()),
            None => Pins::on_first_use(self.mode),
        }
    }
}

/// What `Host` says upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The endpoint's authority: the default on `mcp` routes, whose servers check it.
    Endpoint,
    /// What the client sent: the default on `web` routes, whose pages link to it.
    Client,
    /// A fixed text.
    Fixed(Box<str>),
}

/// `upstream_auth`: where the key stands upstream, wherever the client had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAuth {
    /// Where it came, in the form in which it came.
    AsReceived,
    /// In `Authorization`, and out of the path: a server logs the paths that it is asked for.
    Bearer,
    /// In the path, and nowhere else: for servers that look nowhere else.
    Path,
}

impl UpstreamAuth {
    /// How a key goes upstream that came so.
    pub const fn form(self, came: CredentialForm) -> CredentialForm {
        match self {
            Self::AsReceived => match came {
                CredentialForm::Certificate => CredentialForm::Bearer,
                came => came,
            },
            Self::Bearer => CredentialForm::Bearer,
            Self::Path => CredentialForm::Path,
        }
    }
}

/// How a server speaks MCP, as far as it matters to who stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The transport of 2024-11-05: a stream, and messages beside it.
    LegacySse,
    /// Streamable HTTP with sessions.
    Session,
    /// Streamable HTTP without: a stream that a client opens never says anything.
    Stateless,
}

impl Dialect {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LegacySse => "legacy-sse",
            Self::Session => "session",
            Self::Stateless => "stateless",
        }
    }
}

/// `dialect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialectSetting {
    /// It is a Postiz, and the gateway finds out which.
    Auto,
    /// The operator knows.
    Is(Dialect),
}
