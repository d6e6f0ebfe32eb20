//! The `portcullis` command. Everything is in the library.

use std::process::ExitCode;

/// A request allocates some thirty times, in sizes that the C library's allocator does not keep at hand.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::run(std::env::args_os())
}
