//! The settings of the store.

use std::path::PathBuf;
use std::time::Duration;

use super::{DatabaseError, Engine, RowSecurity};
use crate::config::{Reader, Secret};

const MIB: usize = 1024 * 1024;

/// How to reach the store, and its bounds.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `sqlite://path` or `postgres://…`.
    pub url: Secret,
    /// Whether opening brings the schema up to date.
    pub migrate_on_start: bool,
    /// PostgreSQL: connections of this process at most.
    pub connections: u32,
    /// Wait for a free connection at most this long.
    pub acquire_timeout: Duration,
    /// PostgreSQL: wait for a new connection at most this long.
    pub connect_timeout: Duration,
    /// PostgreSQL: the server ends a statement after this time.
    pub statement_timeout: Duration,
    /// A unit of work ends after this time, its connection with it.
    pub work_timeout: Duration,
    /// PostgreSQL: a connection is replaced at this age.
    pub max_lifetime: Duration,
    /// Keeps work on the rows of owners to theirs, if rows of the store have owners. [`DatabaseConfig::read`] sets none.
    pub row_security: Option<RowSecurity>,
    /// SQLite: connections that read at the same time.
    pub readers: u32,
    /// SQLite: work that may wait for the writer; more is refused at once.
    pub write_queue: usize,
    /// SQLite: work that shares one commit at most.
    pub write_group: usize,
    /// SQLite: page cache of each connection, in bytes.
    pub cache_bytes: usize,
    /// SQLite: how much of the file is mapped into memory, in bytes.
    pub mmap_bytes: usize,
}

impl DatabaseConfig {
    /// Reads the `database.*` settings; `default_url` is a SQLite file.
    pub fn read(reader: &mut Reader, default_url: &str) -> Self {
        let default = Self::with_url(default_url);
        let url = reader
            .secret(
                "database.url",
                Some(default_url),
                "Where the data is: sqlite://PATH (one process) or postgres://USER:PASSWORD@HOST/NAME (several replicas).",
            )
            .unwrap_or_else(|| default.url.clone());
        let milliseconds = |from, to| Duration::from_millis(from)..=Duration::from_millis(to);
        let config = Self {
            url,
            migrate_on_start: reader.flag(
                "database.migrate_on_start",
                default.migrate_on_start,
                "Bring the schema up to date at start; else run `migrate` first.",
            ),
            connections: number(
                reader,
                "database.connections",
                default.connections,
                1..=1_000,
                "PostgreSQL: connections of this process at most.",
            ),
            acquire_timeout: reader.duration(
                "database.acquire_timeout",
                default.acquire_timeout,
                milliseconds(10, 10_000),
                "Wait for a free connection at most this long, then answer UNAVAILABLE.",
            ),
            connect_timeout: reader.duration(
                "database.connect_timeout",
                default.connect_timeout,
                milliseconds(100, 60_000),
                "PostgreSQL: wait for a new connection at most this long.",
            ),
            statement_timeout: reader.duration(
                "database.statement_timeout",
                default.statement_timeout,
                milliseconds(100, 600_000),
                "PostgreSQL: end a statement after this time.",
            ),
            work_timeout: reader.duration(
                "database.work_timeout",
                default.work_timeout,
                milliseconds(100, 600_000),
                "End a unit of work after this time, all of its statements together.",
            ),
            max_lifetime: reader.duration(
                "database.max_lifetime",
                default.max_lifetime,
                milliseconds(1_000, 86_400_000),
                "PostgreSQL: replace a connection at this age.",
            ),
            row_security: None,
            readers: number(
                reader,
                "database.readers",
                default.readers,
                1..=64,
                "SQLite: connections that read at the same time.",
            ),
            write_queue: number(
                reader,
                "database.write_queue",
                default.write_queue,
                1..=1_000_000,
                "SQLite: work that may wait for the writer; more is answered UNAVAILABLE at once.",
            ),
            write_group: number(
                reader,
                "database.write_group",
                default.write_group,
                1..=1_024,
                "SQLite: units of work that share one commit at most.",
            ),
            cache_bytes: reader.bytes(
                "database.cache",
                default.cache_bytes,
                MIB..=4_096 * MIB,
                "SQLite: page cache of each connection.",
            ),
            mmap_bytes: reader.bytes(
                "database.mmap",
                default.mmap_bytes,
                0..=1_024 * 1_024 * MIB,
                "SQLite: how much of the file is mapped into memory.",
            ),
        };
        if config.engine().is_err() {
            reader.refuse("database.url", "begins with none of sqlite:// and postgres://, or names no file");
        }
        config
    }

    /// The defaults with this URL, for tests.
    #[must_use]
    pub fn with_url(url: &str) -> Self {
        Self {
            url: Secret::new(url.to_owned()),
            migrate_on_start: true,
            connections: 10,
            acquire_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            work_timeout: Duration::from_secs(10),
            max_lifetime: Duration::from_secs(30 * 60),
            row_security: None,
            readers: 4,
            write_queue: 1_024,
            write_group: 64,
            cache_bytes: 8 * MIB,
            mmap_bytes: 256 * MIB,
        }
    }

    /// The engine that the URL names.
    pub(super) fn engine(&self) -> Result<Engine, DatabaseError> {
        let url = self.url.expose();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Ok(Engine::Postgres)
        } else {
            self.sqlite_path().map(|_| Engine::Sqlite)
        }
    }

    /// The file that a SQLite URL names, taken as it is written: no escapes, no parameters.
    pub(super) fn sqlite_path(&self) -> Result<PathBuf, DatabaseError> {
        match self.url.expose().strip_prefix("sqlite://") {
            None => Err(DatabaseError::fault("the database URL begins with none of sqlite:// and postgres://")),
            Some(path) if path.is_empty() || path.contains(['?', '#', '\0']) || path.contains(":memory:") => {
                Err(DatabaseError::fault("a sqlite:// URL names a file, without parameters"))
            }
            Some(path) => Ok(PathBuf::from(path)),
        }
    }
}

fn number<N>(
    reader: &mut Reader,
    key: &'static str,
    default: N,
    bounds: std::ops::RangeInclusive<u64>,
    doc: &'static str,
) -> N
where
    N: Copy + TryFrom<u64> + TryInto<u64>,
{
    let in_force = reader.number(key, default.try_into().unwrap_or(u64::MAX), bounds, doc);
    N::try_from(in_force).unwrap_or(default)
}
