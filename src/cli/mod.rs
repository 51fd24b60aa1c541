//! Arguments become one subcommand, and what it returns an exit code.

pub mod check;
pub mod key;
