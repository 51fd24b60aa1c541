//! The sets that were read so far, for whoever reads on.

use std::collections::HashMap;

use ipnet::IpNet;

use super::Span;
use crate::{policy::AddressPolicy, types::Name};

/// The sets of the file.
#[derive(Default)]
pub(super) struct Sets {
    pub(super) by_name: HashMap<Name, Set>,
    /// What lists that name sets were compiled to: a thousand consumers may name one large set.
    pub(super) compiled: HashMap<WrittenLists, AddressPolicy>,
}

/// A set.
pub(super) struct Set {
    pub(super) nets: Vec<IpNet>,
    pub(super) name_at: Span,
    /// Whether some list names it.
    pub(super) used: bool,
}

/// The two lists as they are written.
pub(super) type WrittenLists = [Option<WrittenList>; 2];

/// A list as it is written.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct WrittenList {
    /// The texts of its elements.
    pub(super) elements: Vec<String>,
    /// Whether it refuses nobody.
    pub(super) observed: bool,
}
