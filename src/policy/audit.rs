use std::{fmt, sync::Arc};

use super::Glob;
use crate::types::{BadPointer, Pointers};

/// Whether calls are audited, from the least strict on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditLevel {
    /// They are not.
    Off,
    /// They are, and wait for nothing.
    On,
    /// No call goes upstream before its record is written.
    Required,
}

impl AuditLevel {
    /// The level of a call: the stricter of what its route and its consumer say, and `On` where
    /// neither says anything.
    pub fn of(route: Option<Self>, consumer: Option<Self>) -> Self {
        route.max(consumer).unwrap_or(Self::On)
    }
}

/// Which arguments of some tools are written down.
pub struct AuditFields {
    tools: Glob,
    pointers: Pointers,
    names: Vec<Arc<str>>,
}

impl AuditFields {
    /// Of the tools that the glob matches, none yet.
    pub fn of(tools: Glob) -> Self {
        Self { tools, pointers: Pointers::default(), names: Vec::new() }
    }

    /// Adds a JSON pointer.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn add(&mut self, pointer: &str) -> Result<(), BadPointer> {
        self.pointers.add(pointer)?;
        self.names.push(pointer.into());
        Ok(())
    }

    /// Whether they are of the tool.
    pub fn are_of(&self, tool: &str) -> bool {
        self.tools.matches(tool)
    }

    /// Where to look.
    pub const fn pointers(&self) -> &Pointers {
        &self.pointers
    }

    /// Whether a pointer is one of them.
    pub fn have(&self, pointer: &str) -> bool {
        self.names.iter().any(|name| **name == *pointer)
    }

    /// The pointer of that number, as it was written.
    pub fn name(&self, pointer: usize) -> Option<&Arc<str>> {
        self.names.get(pointer)
    }
}

impl fmt::Debug for AuditFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditFields").field(&self.tools).field(&self.names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_of_route_and_consumer_counts() {
        use AuditLevel::{Off, On, Required};
        for (route, consumer, level) in [
            (None, None, On),
            (Some(Off), None, Off),
            (None, Some(Off), Off),
            (Some(Off), Some(On), On),
            (Some(Required), Some(Off), Required),
            (Some(On), Some(Required), Required),
        ] {
            assert_eq!(AuditLevel::of(route, consumer), level, "{route:?} {consumer:?}");
        }
    }
}
