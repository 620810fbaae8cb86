//! Where values come from: the environment above the file above a program's own defaults.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};
use zeroize::Zeroize as _;

use super::Secret;

/// No secret in a file is longer, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A value as it was given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) value: Text,
    pub(super) origin: String,
}

/// A value of the environment is a text whatever it means; one of a file has a type.
#[derive(Debug)]
pub(super) enum Text {
    Environment(String),
    File(Value),
}

#[derive(Debug)]
pub(super) struct Source {
    prefix: &'static str,
    /// Dotted keys, with their values.
    file: BTreeMap<String, Value>,
    defaults: BTreeMap<String, Value>,
    /// What the environment holds and nobody has taken yet, every prefix together.
    environment: BTreeMap<String, String>,
}

impl Source {
    pub(super) fn new(
        prefix: &'static str,
        file: Option<&str>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        // The parser's own message would quote the line, and with it perhaps a secret.
        let table: Table = file.unwrap_or_default().parse().map_err(|error: toml::de::Error| {
            format!("the file is not TOML: {} at byte {}", error.message(), error.span().map_or(0, |span| span.start))
        })?;
        Ok(Self {
            prefix,
            file: flat(table),
            defaults: BTreeMap::new(),
            environment: environment.into_iter().collect(),
        })
    }

    /// The values of one service inside a program of several.
    pub(super) fn part(&mut self, table: &str, prefix: &'static str, defaults: &str) -> Self {
        let of_part = format!("{table}.");
        let mut file = BTreeMap::new();
        self.file.retain(|key, value| match key.strip_prefix(&of_part) {
            Some(key) => {
                file.insert(key.to_owned(), value.clone());
                false
            }
            None => true,
        });
        let variables = format!("{prefix}_");
        let environment = self.environment.extract_if(.., |name, _| name.starts_with(&variables)).collect();
        let defaults = flat(defaults.parse().expect("a program's own defaults are TOML"));
        Self { prefix, file, defaults, environment }
    }

    /// The variable that sets `key`.
    pub(super) fn environment_name(&self, key: &str) -> String {
        format!("{}_{}", self.prefix, key.replace('.', "_").to_uppercase())
    }

    /// The value of `key`, if anybody gave one.
    pub(super) fn take(&mut self, key: &str) -> Option<Given> {
        let name = self.environment_name(key);
        let (of_environment, of_file) = (self.environment.remove(&name), self.file.remove(key));
        let of_program = self.defaults.remove(key);
        if let Some(text) = of_environment {
            return Some(Given { value: Text::Environment(text), origin: name });
        }
        let value = of_file.map(|value| (value, "file")).or(of_program.map(|value| (value, "default")));
        value.map(|(value, origin)| Given { value: Text::File(value), origin: origin.to_owned() })
    }

    /// The secret of `key`, given itself or as the name of a file.
    pub(super) fn secret(&mut self, key: &str) -> Result<Option<(Secret, String)>, String> {
        let name = self.environment_name(key);
        let (itself, named) = (self.take(key), self.take(&format!("{key}_file")));
        match (itself, named) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(format!("{key} ({name}) is given both itself and as a file")),
            (Some(given), None) => {
                let text = super::value::text(&given).map_err(|why| format!("{key} ({name}) {why}"))?;
                Ok(Some((Secret::new(text), given.origin)))
            }
            (None, Some(given)) => {
                let path = super::value::text(&given).map_err(|why| format!("{key}_file ({name}_FILE) {why}"))?;
                let secret = read_secret(Path::new(&path)).map_err(|why| format!("{key}_file ({name}_FILE): {why}"))?;
                Ok(Some((secret, given.origin)))
            }
        }
    }

    /// What nobody took, each a mistake in somebody's settings.
    pub(super) fn unknown(&mut self) -> Vec<String> {
        let variables = format!("{}_", self.prefix);
        let of_file = std::mem::take(&mut self.file).into_keys().map(|key| format!("{key} is not a setting"));
        let of_environment = std::mem::take(&mut self.environment)
            .into_keys()
            .filter(|name| name.strip_prefix(&variables).is_some_and(|rest| !is_of_an_orchestrator(rest)))
            .map(|name| format!("{name} is not a setting"));
        of_file.chain(of_environment).collect()
    }
}

/// Kubernetes and Docker links describe a service called `auth-service` to its neighbours in variables that begin like
/// ours: `AUTH_SERVICE_SERVICE_HOST`, `AUTH_SERVICE_PORT_50051_TCP_ADDR`.
fn is_of_an_orchestrator(rest: &str) -> bool {
    rest == "PORT" || rest.starts_with("PORT_") || rest == "SERVICE_HOST" || rest.starts_with("SERVICE_PORT")
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    use std::io::Read as _;
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    check_private(&file, path)?;
    let mut text = String::new();
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    let trimmed = text.trim_end().to_owned();
    text.zeroize();
    let secret = Secret::new(trimmed);
    match secret.expose().len() as u64 {
        0 => Err(format!("{} is empty", path.display())),
        1..=SECRET_FILE_BYTES_MAX => Ok(secret),
        _ => Err(format!("{} is larger than {SECRET_FILE_BYTES_MAX} bytes", path.display())),
    }
}

/// A secret that others can read is none. A group may read it, for that is how Kubernetes mounts secrets for a user that
/// is not root. Compose mounts its own for everybody inside a container, where nobody else is: `/run/secrets` and
/// `/var/run/secrets` are taken as they are.
#[cfg(unix)]
pub(crate) fn check_private(file: &std::fs::File, path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    if ["/run/secrets", "/var/run/secrets"].iter().any(|folder| path.starts_with(folder)) {
        return Ok(());
    }
    let mode = file.metadata().map_err(|error| format!("{}: {error}", path.display()))?.permissions().mode();
    if mode & 0o027 == 0 {
        return Ok(());
    }
    Err(format!("{} is open to others (mode {:03o}): make it 600", path.display(), mode & 0o777))
}

#[cfg(not(unix))]
pub(crate) fn check_private(_file: &std::fs::File, _path: &Path) -> Result<(), String> {
    Ok(())
}

fn flat(table: Table) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                keys.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)))
            }
            value => {
                keys.insert(key, value);
            }
        }
    }
    keys
}
