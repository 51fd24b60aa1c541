use std::path::PathBuf;

use crate::policy::AuditFields;

/// `[audit]`.
#[derive(Debug)]
pub struct Audit {
    /// Where records go.
    pub to: AuditTo,
    /// Whether they have a digest of all arguments.
    pub digest: bool,
    /// Which arguments they have.
    pub fields: Vec<AuditFields>,
}

/// `audit.file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTo {
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// How large it becomes before it is put aside, in bytes.
        size: u64,
        /// How many older ones are kept.
        keep: u32,
    },
    /// Standard output.
    Stdout,
    /// Memory, and no longer than the gateway: of one that is asked about a call that nobody makes.
    Memory,
}
