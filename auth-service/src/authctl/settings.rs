use std::path::Path;

use runtime::command::{Service as _, environment};
use runtime::config::Reader;
use runtime::telemetry::LogConfig;

use super::Failure;
use crate::{AuthService, Config};

/// The table of the auth service in a file of `standalone`.
const PART: &str = "auth";

/// Reads the settings as the service does. `standalone` reads them from a table of its own file, and so does this.
pub(super) fn read(file: Option<&Path>) -> Result<Config, Failure> {
    let text = file.map(text_of).transpose()?;
    let mut reader = Reader::new(AuthService::PREFIX, text.as_deref(), environment()).map_err(Failure::of)?;
    LogConfig::read(&mut reader);
    let config = AuthService::read_config(&mut reader);
    reader.finish().map_err(Failure::of)?;
    Ok(config)
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("{} cannot be read: {error}", path.display()).into());
    let text = std::fs::read_to_string(path).map_err(failed)?;
    match text.parse::<toml::Table>() {
        Ok(table) => Ok(table.get(PART).and_then(toml::Value::as_table).map_or(text, ToString::to_string)),
        // The reader says where the mistake is.
        Err(_) => Ok(text),
    }
}
