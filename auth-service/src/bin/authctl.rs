//! The program `authctl`: what an operator does to accounts, sessions and keys, while the service runs or not.

use std::process::ExitCode;

fn main() -> ExitCode {
    auth_service::authctl::main()
}
