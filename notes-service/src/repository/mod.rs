//! Where notes are kept. The way in is [`NoteRepository::for_owner`]: every query about notes exists only on the handle
//! that it makes from a verified [`Subject`], and the connection never leaves this module, so that a query without an
//! owner cannot be written outside.
//!
//! ```
//! # use notes_service::domain::{Note, NoteId, View};
//! # use notes_service::repository::NoteRepository;
//! # use runtime::database::DatabaseError;
//! async fn read(repository: &NoteRepository, caller: authn::Subject, id: NoteId) -> Result<Option<Note>, DatabaseError> {
//!     repository.for_owner(caller).find(id, View::Full).await
//! }
//! ```
//!
//! Without an owner there is no query:
//! ```compile_fail
//! # use notes_service::domain::{Note, NoteId, View};
//! # use notes_service::repository::NoteRepository;
//! # use runtime::database::DatabaseError;
//! async fn read(repository: &NoteRepository, caller: authn::Subject, id: NoteId) -> Result<Option<Note>, DatabaseError> {
//!     repository.find(id, View::Full).await
//! }
//! ```
//!
//! An id that a client sent is no owner:
//! ```compile_fail
//! # use notes_service::domain::{Note, NoteId, View};
//! # use notes_service::repository::NoteRepository;
//! # use runtime::database::DatabaseError;
//! async fn read(repository: &NoteRepository, caller: uuid::Uuid, id: NoteId) -> Result<Option<Note>, DatabaseError> {
//!     repository.for_owner(caller).find(id, View::Full).await
//! }
//! ```
//!
//! The connection cannot be reached, and neither can the tables; an owner's handle and the types around it can:
//! ```compile_fail
//! # use notes_service::repository::NoteRepository;
//! fn connection(repository: &NoteRepository) -> &runtime::database::Database {
//!     &repository.database
//! }
//! ```
//! ```compile_fail
//! use notes_service::repository::entity::note;
//! ```
//! ```
//! # use notes_service::repository::NoteRepository;
//! use notes_service::repository::OwnedNotes;
//! fn notes(repository: &NoteRepository, caller: authn::Subject) -> OwnedNotes<'_> {
//!     repository.for_owner(caller)
//! }
//! ```
//!
//! The walk over all owners, of which the removal of what is due has need, leads to that removal alone:
//! ```
//! # use notes_service::repository::{DueOwner, NoteRepository, Purge};
//! async fn remove(repository: &NoteRepository, owner: DueOwner, purge: Purge) {
//!     repository.purge(owner, purge).await.ok();
//! }
//! ```
//! ```compile_fail
//! # use notes_service::repository::{DueOwner, NoteRepository};
//! fn read(repository: &NoteRepository, owner: DueOwner) {
//!     repository.for_owner(owner);
//! }
//! ```

mod change;
mod change_all;
mod changes;
mod contents;
mod create;
mod create_all;
mod delete_tag;
mod doorbell;
mod empty_trash;
mod entity;
mod find_all;
mod history;
mod migration;
mod note_tags;
mod notes;
mod owner_state;
mod owners;
mod page;
mod purge;
mod ranges;
mod replicas;
mod revision_text;
mod revisions;
mod rollback;
mod rows;
mod search;
mod tags;
#[cfg(test)]
mod tests;
mod tombstones;
mod validate;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use authn::Subject;
use futures_util::future::BoxFuture;
use runtime::batch::Batcher;
use runtime::database::{Connection, Database, DatabaseConfig, DatabaseError, Engine, Outcome, Role, RowSecurity};
use runtime::detached::detached;
use sea_orm::DbErr;
use uuid::Uuid;

pub use change::{Changed, Decision};
pub use change_all::{ChangedAll, Rules};
pub use changes::{Changes, ChangesPage};
use create::CreateCommand;
pub use create::{CreateError, CreateNote, Creation, CreationRefused, NewId, Repetition};
pub use create_all::CreatedAll;
pub use delete_tag::{TagDeleted, TagDeletion, UNTAGGED_AT_ONCE};
pub use find_all::FoundAll;
pub use note_tags::UnknownTags;
pub use owners::{DueOwner, DueOwners, Place};
pub use page::Page;
pub use purge::{Purge, Purged};
pub use revisions::{FoundRevision, RevisionPage};
pub use search::{Found, SearchPage};
pub use tags::{TagChanged, TagCreation, TagDecision, TagsPage};

pub use watch::Watch;

use crate::domain::{Note, NoteId, OwnerState, View};
use doorbell::Doorbell;

/// Every note of every owner, reachable one owner at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NoteRepository {
    database: Database,
    creates: Batcher<CreateCommand, Result<Creation, Arc<DatabaseError>>>,
    doorbell: Doorbell,
}

/// How concurrent creations share a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// How many creations may wait; more are refused.
    pub queue: usize,
    /// How many are made in one transaction at most.
    pub size: usize,
}

/// The notes and tags of one owner.
#[derive(Clone, Copy, Debug)]
pub struct OwnedNotes<'a> {
    repository: &'a NoteRepository,
    owner: Subject,
}

/// Row-level security of the tables, for work under this role.
#[must_use]
pub const fn row_security(role: Role) -> RowSecurity {
    RowSecurity { role, walked: owners::TABLE, walked_columns: &owners::WALKED }
}

impl NoteRepository {
    /// Opens the store and brings its schema up to date.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open(config: &DatabaseConfig, batching: Batching) -> Result<Self, DatabaseError> {
        let database = Database::open::<migration::Migrator>(config).await?;
        let doorbell = match database.engine() {
            Engine::Sqlite => Doorbell::default(),
            Engine::Postgres => Doorbell::with_replicas(),
        };
        let creates = create::batcher(&database, &doorbell, batching);
        Ok(Self { database, creates, doorbell })
    }

    /// Brings the schema of a store up to date and returns.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn migrate(config: &DatabaseConfig) -> Result<(), DatabaseError> {
        Database::migrate::<migration::Migrator>(config).await
    }

    /// The notes of the subject of a verified token.
    #[must_use]
    pub const fn for_owner(&self, owner: Subject) -> OwnedNotes<'_> {
        OwnedNotes { repository: self, owner }
    }

    /// Returns when the store can be used, or is closed.
    pub async fn ready(&self) {
        self.database.ready().await;
    }

    /// Whether the store answers now; looks at most `within` long.
    pub async fn is_ready(&self, within: Duration) -> bool {
        self.database.is_ready(within).await
    }

    /// Writes what belongs to these owners, and rings for them afterwards, though the caller may have gone by then. Also
    /// when the write failed: it may have been committed all the same.
    async fn write<T, W, const N: usize>(&self, owners: [Uuid; N], work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        let (database, doorbell) = (self.database.clone(), self.doorbell.clone());
        let written = detached(async move {
            let result = database.for_owners(move || owners.to_vec()).write(work).await;
            doorbell.ring(owners);
            result
        });
        written.await.map_err(|panicked| DatabaseError::Fault(DbErr::Custom(panicked.to_string())))?
    }

    /// How many statements the store was given since it was opened.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.database.statements()
    }

    /// Waits for running work and closes the store.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

impl OwnedNotes<'_> {
    /// Finds a note, live or in the trash, by one statement.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(self, id: NoteId, view: View) -> Result<Option<Note>, DatabaseError> {
        let owner = self.owner_id();
        self.repository
            .database
            .for_owner(owner)
            .read(move |connection| Box::pin(notes::find(connection, owner, id, view)))
            .await
    }

    /// What is counted of the owner, by one statement; none of an owner who never wrote.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn state(self) -> Result<Option<OwnerState>, DatabaseError> {
        let owner = self.owner_id();
        self.repository
            .database
            .for_owner(owner)
            .read(move |connection| Box::pin(owner_state::find(connection, owner)))
            .await
    }

    const fn owner_id(self) -> Uuid {
        self.owner.as_uuid()
    }
}
