//! The notes service.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::command::main::<notes_service::NotesService>()
}
