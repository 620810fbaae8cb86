//! Work on rows that belong to owners. On PostgreSQL with row-level security the engine itself keeps it to theirs;
//! on SQLite a debug build refuses a statement that is not bound to them.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Connection, Database, DatabaseError, Outcome};

/// A store, for work on the rows of these owners and of nobody else.
#[derive(Debug)]
pub struct Owned<'a> {
    database: &'a Database,
    reach: Reach,
}

/// Whose rows a unit of work is about.
#[derive(Clone)]
pub(super) enum Reach {
    /// Nobody's: rows of tables without owners.
    Nobody,
    /// Those of one owner.
    Owner(Uuid),
    /// Those of several, who are asked for when there is a connection.
    Owners(Arc<dyn Fn() -> Vec<Uuid> + Send + Sync>),
    /// Those of everybody, to read some columns of one table.
    Walk,
}

impl Database {
    /// For work on the rows of one owner.
    #[must_use]
    pub const fn for_owner(&self, owner: Uuid) -> Owned<'_> {
        Owned { database: self, reach: Reach::Owner(owner) }
    }

    /// For work on the rows of several owners. `owners` is asked when there is a connection for the work and its
    /// transaction has not begun, once for each time that the work is done.
    #[must_use]
    pub fn for_owners(&self, owners: impl Fn() -> Vec<Uuid> + Send + Sync + 'static) -> Owned<'_> {
        Owned { database: self, reach: Reach::Owners(Arc::new(owners)) }
    }

    /// For a walk over the owners, which reads the columns that [`RowSecurity`](super::RowSecurity) opens to it.
    #[must_use]
    pub const fn for_walk(&self) -> Owned<'_> {
        Owned { database: self, reach: Reach::Walk }
    }
}

impl Owned<'_> {
    /// As [`Database::read`]. On PostgreSQL with row-level security it waits for one more answer of the server.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read<T, W>(self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        self.database.read_within(self.reach, work).await
    }

    /// As [`Database::snapshot`].
    ///
    /// # Errors
    /// If the store fails.
    pub async fn snapshot<T, W>(self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        self.database.snapshot_within(self.reach, work).await
    }

    /// As [`Database::write`].
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn write<T, W>(self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        self.database.write_within(self.reach, work).await
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Owner(_) => "Owner",
            Self::Owners(_) => "Owners",
            Self::Walk => "Walk",
        })
    }
}
