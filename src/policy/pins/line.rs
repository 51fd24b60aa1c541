use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Pin;
use crate::types::{Name, ToolDigest};

/// A pinned tool as a line of JSON: of the file that keeps it, of the operator's list, and as the admin
/// socket tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinLine {
    /// Whose tool it is.
    pub upstream: String,
    /// Its name.
    pub tool: String,
    /// The digest of the description that is trusted.
    pub accepted: Option<String>,
    /// The digest of the one that was seen last.
    pub seen: Option<String>,
}

impl PinLine {
    /// The line of a tool.
    pub fn of(upstream: &Name, tool: &Arc<str>, pin: Pin) -> Self {
        let hex = |digest: Option<ToolDigest>| digest.map(|digest| digest.to_string());
        Self {
            upstream: upstream.as_str().to_owned(),
            tool: tool.as_ref().to_owned(),
            accepted: hex(pin.accepted),
            seen: hex(pin.seen),
        }
    }

    /// The pin; `None` where what stands there is no digest.
    pub fn pin(&self) -> Option<Pin> {
        let digest = |hex: &Option<String>| match hex {
            Some(hex) => ToolDigest::parse_hex(hex).map(Some),
            None => Some(None),
        };
        Some(Pin { accepted: digest(&self.accepted)?, seen: digest(&self.seen)? })
    }
}
