//! The command: arguments in, an exit code out.

fn main() {}
