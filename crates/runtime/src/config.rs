//! Settings: defaults < TOML file < environment.
//!
//! A service reads each of its settings through a [`Reader`], by a key, with a default, bounds and a sentence that says
//! what it is for. Mistakes are collected and reported together; what was read can be printed, secrets masked, and
//! documented as a table.

mod print;
mod secret;
mod source;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub use secret::Secret;
pub(crate) use source::check_private;
use source::{Given, Source};
use value::Parsed;

/// Why the settings cannot be used: every mistake at once, each with the name of its key and never a secret value.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used:{}", Lines(.0))]
pub struct ConfigError(Vec<String>);

struct Lines<'a>(&'a [String]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(formatter, "\n  {line}"))
    }
}

/// Reads the settings of one service. Each call names a key (`"database.url"` is `url` in the TOML table `[database]`
/// and `PREFIX_DATABASE_URL` in the environment), its default, bounds and documentation, and returns the value in
/// force. Mistakes are collected, a default stands in, and [`Reader::finish`] reports them all at once.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    settings: Vec<Setting>,
    mistakes: Vec<String>,
}

/// What stands in place of bounds for a secret.
const SECRET: &str = "secret, also by file";

/// One setting that was read.
#[derive(Clone, Debug)]
struct Setting {
    key: String,
    default: String,
    bounds: String,
    doc: &'static str,
    /// The value in force, as TOML; `None` when it is unset or must not be shown.
    value: Option<String>,
    origin: String,
}

impl Reader {
    /// A reader of the settings in `file` (TOML text) and in `environment`, whose names begin with `prefix` and `_`.
    ///
    /// # Errors
    /// If the file is not TOML.
    pub fn new(
        prefix: &'static str,
        file: Option<&str>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let source = Source::new(prefix, file, environment).map_err(|mistake| ConfigError(vec![mistake]))?;
        Ok(Self { source, settings: Vec::new(), mistakes: Vec::new() })
    }

    /// Reads the settings of a service that runs inside this program: the TOML table `table` of the file and the
    /// variables that begin with `prefix`, above `defaults` (TOML) in place of the service's own. Its mistakes become
    /// this reader's.
    pub fn part<C>(
        &mut self,
        table: &'static str,
        prefix: &'static str,
        defaults: &str,
        read: impl FnOnce(&mut Self) -> C,
    ) -> C {
        let source = self.source.part(table, prefix, defaults);
        let mut part = Self { source, settings: Vec::new(), mistakes: Vec::new() };
        let config = read(&mut part);
        part.refuse_unknown();
        self.mistakes.append(&mut part.mistakes);
        self.settings.extend(part.settings.into_iter().map(|setting| {
            let key = format!("{table}.{}", setting.key);
            Setting { key, ..setting }
        }));
        config
    }

    /// Reports every mistake at once, unknown keys among them.
    ///
    /// # Errors
    /// If there was any mistake.
    pub fn finish(mut self) -> Result<(), ConfigError> {
        self.refuse_unknown();
        if self.mistakes.is_empty() { Ok(()) } else { Err(ConfigError(self.mistakes)) }
    }

    /// A text, not empty.
    pub fn text(&mut self, key: &'static str, default: &str, doc: &'static str) -> String {
        self.read(key, default.to_owned(), "not empty".to_owned(), doc, value::text)
    }

    /// A text that may be left out.
    pub fn optional_text(&mut self, key: &'static str, doc: &'static str) -> Option<String> {
        self.read_optional(key, "not empty", doc, value::text)
    }

    /// A list of texts: an array in TOML, separated by commas in the environment.
    pub fn list(&mut self, key: &'static str, default: &[&str], doc: &'static str) -> Vec<String> {
        let default = default.iter().map(|item| (*item).to_owned()).collect();
        self.read(key, default, String::new(), doc, value::list)
    }

    /// A whole number.
    pub fn number(&mut self, key: &'static str, default: u64, bounds: RangeInclusive<u64>, doc: &'static str) -> u64 {
        let shown = format!("{} to {}", bounds.start(), bounds.end());
        self.read(key, default, shown, doc, |given| value::bounded(value::number(given)?, &bounds))
    }

    /// A size in bytes: `65536`, `64 KiB`, `4 MiB`.
    pub fn bytes(
        &mut self,
        key: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
        doc: &'static str,
    ) -> usize {
        let bounds = value::Bytes(*bounds.start())..=value::Bytes(*bounds.end());
        let shown = format!("{} to {}", bounds.start(), bounds.end());
        self.read(key, value::Bytes(default), shown, doc, |given| value::bounded(value::bytes(given)?, &bounds)).0
    }

    /// A time span: `250ms`, `10s`, `5m`, `12h`, `30d`.
    pub fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
        doc: &'static str,
    ) -> Duration {
        let bounds = value::Span(*bounds.start())..=value::Span(*bounds.end());
        let shown = format!("{} to {}", bounds.start(), bounds.end());
        self.read(key, value::Span(default), shown, doc, |given| value::bounded(value::duration(given)?, &bounds)).0
    }

    /// Yes or no: `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool, doc: &'static str) -> bool {
        self.read(key, default, "true or false".to_owned(), doc, value::flag)
    }

    /// One of a few words.
    pub fn choice(
        &mut self,
        key: &'static str,
        default: &'static str,
        words: &'static [&'static str],
        doc: &'static str,
    ) -> &'static str {
        self.read(key, default, words.join(", "), doc, |given| value::choice(given, words))
    }

    /// An address and port to listen on; port 0 takes a free one.
    pub fn address(&mut self, key: &'static str, default: &str, doc: &'static str) -> SocketAddr {
        let default = default.parse().expect("a default is an address");
        self.read(key, default, "ADDRESS:PORT".to_owned(), doc, value::address)
    }

    /// A path.
    pub fn path(&mut self, key: &'static str, default: &str, doc: &'static str) -> PathBuf {
        self.text(key, default, doc).into()
    }

    /// A path that may be left out.
    pub fn optional_path(&mut self, key: &'static str, doc: &'static str) -> Option<PathBuf> {
        self.optional_text(key, doc).map(PathBuf::from)
    }

    /// A secret text; `PREFIX_KEY_FILE` (or `key_file` in TOML) names a file that holds it, without the white space at
    /// its end. Masked when printed.
    pub fn secret(&mut self, key: &'static str, default: Option<&str>, doc: &'static str) -> Option<Secret> {
        let default = default.map(|text| Secret::new(text.to_owned()));
        let (value, origin) = match self.source.secret(key) {
            Ok(Some((secret, origin))) => (Some(secret), origin),
            Ok(None) => (default, "default".to_owned()),
            Err(mistake) => {
                self.mistakes.push(mistake);
                (default, "default".to_owned())
            }
        };
        self.settings.push(Setting {
            key: key.to_owned(),
            default: String::new(),
            bounds: SECRET.to_owned(),
            doc,
            value: None,
            origin: if value.is_some() { origin } else { "unset".to_owned() },
        });
        value
    }

    /// Reports a value that is wrong for a reason that only the service knows.
    pub fn refuse(&mut self, key: &'static str, why: &str) {
        let name = self.source.environment_name(key);
        self.mistakes.push(format!("{key} ({name}) {why}"));
    }

    /// The settings in force as TOML that can be read back, each with where it came from; secrets are left out.
    #[must_use]
    pub fn print(&self) -> String {
        print::toml(&self.settings)
    }

    /// Every setting as a Markdown table: name, default, bounds, meaning.
    #[must_use]
    pub fn reference(&self) -> String {
        print::markdown(&self.settings)
    }

    fn read<T: Parsed>(
        &mut self,
        key: &'static str,
        default: T,
        bounds: String,
        doc: &'static str,
        parse: impl FnOnce(&Given) -> Result<T, String>,
    ) -> T {
        let shown = default.to_toml();
        let (value, origin) = self.parse(key, parse).unwrap_or((default, "default".to_owned()));
        self.note(key, shown, bounds, doc, Some(value.to_toml()), origin);
        value
    }

    fn read_optional<T: Parsed>(
        &mut self,
        key: &'static str,
        bounds: &str,
        doc: &'static str,
        parse: impl FnOnce(&Given) -> Result<T, String>,
    ) -> Option<T> {
        let (value, origin) = self.parse(key, parse).unzip();
        let shown = value.as_ref().map(T::to_toml);
        self.note(key, String::new(), bounds.to_owned(), doc, shown, origin.unwrap_or_else(|| "unset".to_owned()));
        value
    }

    fn parse<T>(&mut self, key: &'static str, parse: impl FnOnce(&Given) -> Result<T, String>) -> Option<(T, String)> {
        let given = self.source.take(key)?;
        match parse(&given) {
            Ok(value) => Some((value, given.origin)),
            Err(why) => {
                self.refuse(key, &why);
                None
            }
        }
    }

    fn note(
        &mut self,
        key: &'static str,
        default: String,
        bounds: String,
        doc: &'static str,
        value: Option<String>,
        origin: String,
    ) {
        self.settings.push(Setting { key: key.to_owned(), default, bounds, doc, value, origin });
    }

    fn refuse_unknown(&mut self) {
        self.mistakes.extend(self.source.unknown());
    }
}

#[cfg(test)]
mod tests;
