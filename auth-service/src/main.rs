//! The program `auth-service`: serves, migrates, or tells about itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::command::main::<auth_service::AuthService>()
}
