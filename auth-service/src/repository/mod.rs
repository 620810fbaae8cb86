//! Stores accounts and sessions. The only owner of the database; rows stay in here, domain values go in and out.

mod accounts;
mod audit;
mod endings;
mod entity;
mod migration;
mod revocations;
mod sessions;
mod signing_keys;
mod switches;
#[cfg(test)]
mod tests;
mod trust_log;

use runtime::database::{Database, DatabaseConfig, DatabaseError};
use tokio::sync::watch;

pub(crate) use self::accounts::Registration;
pub(crate) use self::endings::NewPassword;
use self::migration::Migrator;
pub(crate) use self::sessions::{AcceptedLogin, Beginning};
pub(crate) use self::signing_keys::KeyChange;

/// The store of this service. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    database: Database,
    /// Counts the commits of this process after which verifiers have something new to refuse.
    doorbell: watch::Sender<u64>,
    audits_tokens: bool,
}

/// Why the store could not do its work. A missing row is none of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepositoryError {
    /// The store failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A row holds what no row can hold.
    #[error("a row of {table} has an impossible {column}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// In which column.
        column: &'static str,
    },
}

impl Repository {
    /// Opens the store and brings its schema up to date.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub(crate) async fn open(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        Ok(Self::over(Database::open::<Migrator>(config).await?))
    }

    /// The same store, with an audit record of every rotation and of the tokens of every login, if so set.
    #[must_use]
    pub(crate) fn with_tokens_in_audit(self, audits_tokens: bool) -> Self {
        Self { audits_tokens, ..self }
    }

    /// Opens the store of a running service, for an operator.
    ///
    /// # Errors
    /// As [`Database::join`].
    pub(crate) async fn join(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        Ok(Self::over(Database::join::<Migrator>(config).await?))
    }

    fn over(database: Database) -> Self {
        Self { database, doorbell: watch::Sender::new(0), audits_tokens: false }
    }

    /// Brings the store's schema up to date, whatever the settings say of doing so at start.
    ///
    /// # Errors
    /// As [`Database::migrate`].
    pub(crate) async fn migrate(config: &DatabaseConfig) -> Result<(), DatabaseError> {
        Database::migrate::<Migrator>(config).await
    }

    /// The database itself, for readiness and for closing it.
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }
}

#[cfg(test)]
impl Repository {
    /// What the outbox says: kind, account and token version.
    pub(crate) async fn outbox(&self) -> Vec<(String, crate::domain::AccountId, i64)> {
        use sea_orm::EntityTrait as _;
        let rows = self.database.read(|connection| Box::pin(entity::outbox::Entity::find().all(connection))).await;
        let word = |row: entity::outbox::Model| {
            (row.kind, crate::domain::AccountId::from_uuid(row.account_id), row.token_version)
        };
        rows.expect("read").into_iter().map(word).collect()
    }

    /// Every session there is.
    pub(crate) async fn sessions(&self) -> Vec<crate::domain::Session> {
        use sea_orm::EntityTrait as _;
        let find = entity::session::Entity::find();
        let rows = self.database.read(move |connection| Box::pin(find.all(connection))).await.expect("read");
        rows.into_iter().map(|row| sessions::session_of(row).expect("whole")).collect()
    }

    /// Does to the store what an operator or an accident might do.
    pub(crate) async fn execute(&self, sql: &'static str) {
        use runtime::database::Outcome;
        use sea_orm::ConnectionTrait as _;
        let work = self.database.write(move |transaction| {
            Box::pin(async move { transaction.execute_unprepared(sql).await.map(Outcome::Commit) })
        });
        work.await.expect("executed");
    }
}

#[cfg(test)]
impl RepositoryError {
    /// A store that is lost, one that is contended and a fault, each with a library's own words inside.
    pub(crate) fn failures(words: &str) -> [Self; 3] {
        let library = || sea_orm::DbErr::Custom(words.to_owned());
        [DatabaseError::Unavailable(library()), DatabaseError::Contention(library()), DatabaseError::Fault(library())]
            .map(Self::Database)
    }
}
