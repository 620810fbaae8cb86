//! Settings: defaults < TOML file < environment.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A secret value; `Debug` prints nothing, memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(());

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(_value: String) -> Self {
        todo!()
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        todo!()
    }
}

/// Reads the settings of one service. Each call names a key (`"database.url"` is `url` in the TOML table `[database]`
/// and `PREFIX_DATABASE_URL` in the environment), its default, bounds and documentation, and returns the value in
/// force. Mistakes are collected, a default stands in, and [`Reader::finish`] reports them all at once.
#[derive(Debug)]
pub struct Reader(());

/// Why the settings cannot be used: every mistake at once, each with the name of its key and never a secret value.
#[derive(Debug, thiserror::Error)]
#[error("TODO")]
pub struct ConfigError;

impl Reader {
    /// A reader of the settings in `file` (TOML text) and in `environment`, whose names begin with `prefix` and `_`.
    ///
    /// # Errors
    /// If the file is not TOML.
    pub fn new(
        _prefix: &'static str,
        _file: Option<&str>,
        _environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        todo!()
    }

    /// Reports every mistake at once, unknown keys among them.
    ///
    /// # Errors
    /// If there was any mistake.
    pub fn finish(self) -> Result<(), ConfigError> {
        todo!()
    }

    /// A text, not empty.
    pub fn text(&mut self, _key: &'static str, _default: &str, _doc: &'static str) -> String {
        todo!()
    }

    /// A text that may be left out.
    pub fn optional_text(&mut self, _key: &'static str, _doc: &'static str) -> Option<String> {
        todo!()
    }

    /// A list of texts: an array in TOML, separated by commas in the environment.
    pub fn list(&mut self, _key: &'static str, _default: &[&str], _doc: &'static str) -> Vec<String> {
        todo!()
    }

    /// A whole number.
    pub fn number(
        &mut self,
        _key: &'static str,
        _default: u64,
        _bounds: RangeInclusive<u64>,
        _doc: &'static str,
    ) -> u64 {
        todo!()
    }

    /// A size in bytes: `65536`, `64 KiB`, `4 MiB`.
    pub fn bytes(
        &mut self,
        _key: &'static str,
        _default: usize,
        _bounds: RangeInclusive<usize>,
        _doc: &'static str,
    ) -> usize {
        todo!()
    }

    /// A time span: `250ms`, `10s`, `5m`, `12h`, `30d`.
    pub fn duration(
        &mut self,
        _key: &'static str,
        _default: Duration,
        _bounds: RangeInclusive<Duration>,
        _doc: &'static str,
    ) -> Duration {
        todo!()
    }

    /// Yes or no: `true` or `false`.
    pub fn flag(&mut self, _key: &'static str, _default: bool, _doc: &'static str) -> bool {
        todo!()
    }

    /// An address and port to listen on; port 0 takes a free one.
    pub fn address(&mut self, _key: &'static str, _default: &str, _doc: &'static str) -> SocketAddr {
        todo!()
    }

    /// A path.
    pub fn path(&mut self, _key: &'static str, _default: &str, _doc: &'static str) -> PathBuf {
        todo!()
    }

    /// A path that may be left out.
    pub fn optional_path(&mut self, _key: &'static str, _doc: &'static str) -> Option<PathBuf> {
        todo!()
    }

    /// A secret text; `PREFIX_KEY_FILE` (or `key_file` in TOML) names a file that holds it. Masked when printed.
    pub fn secret(&mut self, _key: &'static str, _default: Option<&str>, _doc: &'static str) -> Option<Secret> {
        todo!()
    }

    /// Reports a value that is wrong for a reason that only the service knows.
    pub fn refuse(&mut self, _key: &'static str, _why: &str) {
        todo!()
    }
}
