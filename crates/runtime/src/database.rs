//! One store on two engines: SQLite with one writer lane and group commit, PostgreSQL with a bounded pool.

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr};
use sea_orm_migration::MigratorTrait;

use crate::config::{Reader, Secret};

/// How to reach the store.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `sqlite://path` or `postgres://…`.
    pub url: Secret,
    // the rest is the runtime's
}

impl DatabaseConfig {
    /// Reads the `database.*` settings; `default_url` is a SQLite file.
    pub fn read(_reader: &mut Reader, _default_url: &str) -> Self {
        todo!()
    }

    /// The defaults with this URL, for tests.
    #[must_use]
    pub fn with_url(_url: &str) -> Self {
        todo!()
    }
}

/// The engine behind a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Embedded, one process.
    Sqlite,
    /// Several replicas.
    Postgres,
}

/// What a unit of work decided.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Keep what was written.
    Commit(T),
    /// Undo what was written.
    Rollback(T),
}

/// Why the store failed. A missing row or a refused rule is none of these.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached, has no free connection in time, or is full; nothing was written. Try again.
    #[error("the store is unavailable")]
    Unavailable(#[source] DbErr),
    /// Other writers won every try. Try again.
    #[error("the store is contended")]
    Contention(#[source] DbErr),
    /// Anything else: a fault to look at.
    #[error("the store failed")]
    Fault(#[source] DbErr),
}

/// A store. Cheap to clone. Work on it runs to its end though the caller has gone.
#[derive(Clone, Debug)]
pub struct Database(());

impl Database {
    /// Opens the store and brings its schema up to date (`database.migrate_on_start`). SQLite: at once, or an error,
    /// also when another process has it. PostgreSQL: connects in the background and tries again until it works.
    ///
    /// # Errors
    /// If the URL is wrong, the file is locked or corrupt, or the schema is newer than this program.
    pub async fn open<M: MigratorTrait>(_config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        todo!()
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> Engine {
        todo!()
    }

    /// Reads. Runs on a reader connection; a transaction, if one is needed, is the work's own.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read<T, W>(&self, _work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseConnection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        todo!()
    }

    /// Writes: runs `work` in a transaction (on SQLite one that many callers may share, each in its own savepoint)
    /// and returns after it is durable. `work` may run more than once; only one run counts.
    ///
    /// # Errors
    /// If the store fails; nothing was written then, or (connection lost during commit) it is unknown.
    pub async fn write<T, W>(&self, _work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a DatabaseTransaction) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        todo!()
    }

    /// Whether the store answers now and its schema is in place; looks at most `within` long.
    pub async fn is_ready(&self, _within: Duration) -> bool {
        todo!()
    }

    /// Waits for running work, checkpoints and closes.
    pub async fn close(&self) {
        todo!()
    }
}

/// A time as it is stored: microseconds since 1970.
#[must_use]
pub fn to_micros(_time: SystemTime) -> i64 {
    todo!()
}

/// A stored time.
#[must_use]
pub fn from_micros(_micros: i64) -> SystemTime {
    todo!()
}
