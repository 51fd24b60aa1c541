//! The command: arguments in, an exit code out.

use std::process::ExitCode;

/// What a flood took goes back to the system within seconds: the system's own allocator keeps it for
/// good, since somewhere on top of its heap a small piece is always in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    portcullis::cli::main()
}
