//! One store on two engines: SQLite with one writer lane and group commit, PostgreSQL with a bounded pool.
//!
//! Begin with [`Database`]. [`DatabaseConfig`] has the settings, [`DatabaseError`] says how the store can fail.
//! Below it: `sqlite` opens the file and `lane` writes to it; `postgres` watches over the server; `pool` lends
//! `connection`s; `schema` brings migrations in; `row_security` keeps `owned` rows apart, and
//! `guard` looks that statements do so themselves.

mod announcements;
mod config;
mod connection;
mod error;
mod guard;
mod lane;
mod owned;
mod pool;
mod postgres;
mod row_security;
mod schema;
mod sqlite;
mod transactions;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use sea_orm::DbErr;
use sea_orm_migration::MigratorTrait;

pub use self::announcements::{Announcements, Heard};
pub use self::config::DatabaseConfig;
pub use self::connection::{Connection, Unanswered};
pub use self::error::DatabaseError;
pub use self::owned::Owned;
use self::owned::Reach;
use self::postgres::Postgres;
pub use self::row_security::{Role, RowSecurity};
use self::sqlite::Sqlite;

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

/// A store. Cheap to clone. Work on it runs to its end though the caller has gone.
#[derive(Clone, Debug)]
pub struct Database(Store);

#[derive(Clone, Debug)]
enum Store {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

impl Database {
    /// Opens the store and brings its schema up to date (`database.migrate_on_start`). SQLite: at once, or an error,
    /// also when another process has it. PostgreSQL: returns at once though the server is down, connects in the
    /// background and tries again until it works; until then work fails with [`DatabaseError::Unavailable`].
    ///
    /// # Errors
    /// If the URL is wrong, the file is locked or corrupt, or the schema is newer than this program. With
    /// `database.migrate_on_start` off also if the schema of a SQLite file is older; on PostgreSQL the store waits,
    /// not ready, for somebody to migrate it.
    pub async fn open<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        match config.engine()? {
            Engine::Sqlite => {
                Ok(Self(Store::Sqlite(Arc::new(Sqlite::open::<M>(config, config.migrate_on_start).await?))))
            }
            Engine::Postgres => Ok(Self(Store::Postgres(Postgres::open::<M>(config).await?))),
        }
    }

    /// Opens the store of a running service for an operator's program: nothing is made and nothing migrated. On SQLite
    /// it does so beside the process that has the file, whose lock is left alone: each waits while the other writes.
    ///
    /// # Errors
    /// If there is no such store, if it cannot be reached at once, or if its schema is not the one of this program.
    pub async fn join<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        match config.engine()? {
            Engine::Sqlite => Ok(Self(Store::Sqlite(Arc::new(Sqlite::join::<M>(config).await?)))),
            Engine::Postgres => Ok(Self(Store::Postgres(Postgres::join::<M>(config).await?))),
        }
    }

    /// Brings the schema up to date, whatever `database.migrate_on_start` says, and returns.
    ///
    /// # Errors
    /// As [`Database::open`], and if a PostgreSQL server cannot be reached.
    pub async fn migrate<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<(), DatabaseError> {
        match config.engine()? {
            Engine::Sqlite => Sqlite::open::<M>(config, true).await?.close().await,
            Engine::Postgres => postgres::migrate::<M>(config).await?,
        }
        Ok(())
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match &self.0 {
            Store::Sqlite(_) => Engine::Sqlite,
            Store::Postgres(_) => Engine::Postgres,
        }
    }

    /// Reads, on a connection that cannot write. Each statement sees what was committed before it; where several must
    /// see the same, use [`Database::snapshot`].
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        self.read_within(Reach::Nobody, work).await
    }

    /// Reads as [`Database::read`], and all of its statements see the same state of the store. Costs two statements
    /// more.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn snapshot<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        self.snapshot_within(Reach::Nobody, work).await
    }

    /// Writes: runs `work` in a transaction (on SQLite one that many callers may share, each in its own savepoint)
    /// and returns after it is durable.
    ///
    /// `work` may run more than once, after a serialization failure or when the transaction that it shared failed for
    /// another's sake; only one run counts, the others are rolled back. So it changes nothing but the store, and what
    /// it draws (ids, secrets) is drawn outside.
    ///
    /// # Errors
    /// If the store fails; nothing was written then, or (connection lost during commit) it is unknown.
    pub async fn write<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        self.write_within(Reach::Nobody, work).await
    }

    async fn read_within<T, W>(&self, reach: Reach, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        match &self.0 {
            Store::Sqlite(store) => store.read(reach, None, work).await,
            Store::Postgres(store) => store.read(&reach, work).await,
        }
    }

    async fn snapshot_within<T, W>(&self, reach: Reach, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        match &self.0 {
            Store::Sqlite(store) => store.read(reach, Some(sqlite::SNAPSHOT), work).await,
            Store::Postgres(store) => store.snapshot(&reach, work).await,
        }
    }

    async fn write_within<T, W>(&self, reach: Reach, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        match &self.0 {
            Store::Sqlite(store) => store.write(reach, work).await,
            Store::Postgres(store) => store.write(reach, work).await,
        }
    }

    /// Whether the store answers now and its schema is in place; looks at most `within` long.
    pub async fn is_ready(&self, within: Duration) -> bool {
        match &self.0 {
            Store::Sqlite(store) => store.is_ready(within).await,
            Store::Postgres(store) => store.is_ready(within).await,
        }
    }

    /// Returns when the store can be used: at once on SQLite, when the server is there and the schema in place on
    /// PostgreSQL. Returns also when it is closed.
    pub async fn ready(&self) {
        match &self.0 {
            Store::Sqlite(_) => {}
            Store::Postgres(store) => store.ready().await,
        }
    }

    /// How many transactions were committed since it was opened: fewer than [`Database::write`] calls where these
    /// shared commits.
    #[must_use]
    pub fn commits(&self) -> u64 {
        match &self.0 {
            Store::Sqlite(store) => store.commits(),
            Store::Postgres(store) => store.commits(),
        }
    }

    /// How many statements of work it was given since it was opened; those that begin and end transactions are not
    /// counted.
    #[must_use]
    pub fn statements(&self) -> u64 {
        match &self.0 {
            Store::Sqlite(store) => store.statements(),
            Store::Postgres(store) => store.statements(),
        }
    }

    /// Waits for running work, checkpoints and closes. Work that comes later is refused as unavailable.
    pub async fn close(&self) {
        match &self.0 {
            Store::Sqlite(store) => store.close().await,
            Store::Postgres(store) => store.close().await,
        }
    }
}

/// A time as it is stored: microseconds since 1970, rounded down.
#[must_use]
pub fn to_micros(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000)).map_or(i64::MIN, |micros| -micros),
    }
}

/// A stored time.
#[must_use]
pub fn from_micros(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_as_it_was_stored() {
        for micros in [0, 1, -1, 1_764_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(to_micros(from_micros(micros)), micros);
        }
    }

    #[test]
    fn a_time_is_rounded_down_to_microseconds_on_both_sides_of_1970() {
        let half = Duration::from_nanos(1_500);
        assert_eq!(to_micros(SystemTime::UNIX_EPOCH + half), 1);
        assert_eq!(to_micros(SystemTime::UNIX_EPOCH - half), -2);
    }
}
