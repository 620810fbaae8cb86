//! The program `auth-service`: serves, migrates, or tells about itself.

use std::process::ExitCode;

/// Calls are answered by other threads than those that read from the store, so most of what is allocated is freed by
/// another thread: this allocator is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runtime::command::main::<auth_service::AuthService>()
}
