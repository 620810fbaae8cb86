//! What would become of a write: all of it is done and undone, so that the rules and the schema speak and nobody sees it.
//! Source: AIP-163.

use std::slice;
use std::sync::Arc;

use runtime::database::{DatabaseError, Outcome};
use sea_orm::DbErr;

use super::change::change;
use super::create::{Batch, CreateCommand};
use super::{Changed, CreateNote, Creation, Decision, OwnedNotes, UnknownTags};
use crate::domain::{Note, NoteId, OwnerState};

impl OwnedNotes<'_> {
    /// What [`OwnedNotes::create`] would say now. Nothing is made, and the request is not remembered.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn validate_create(self, note: CreateNote) -> Result<Creation, DatabaseError> {
        let owner = self.owner_id();
        let command = Arc::new(CreateCommand::new(owner, note));
        let validated = self.repository.write([owner], move |transaction| {
            let command = Arc::clone(&command);
            Box::pin(async move {
                let mut batch = Batch::read(transaction, slice::from_ref(command.as_ref())).await?;
                let creation = batch.decide(&command);
                if !batch.is_empty() {
                    batch.store(transaction).await?;
                }
                Ok(Outcome::Rollback(creation))
            })
        });
        validated.await
    }

    /// What [`OwnedNotes::change`] would say now. Nothing is changed.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn validate_change<E, D>(self, id: NoteId, decide: D) -> Result<Changed<E>, DatabaseError>
    where
        E: From<UnknownTags> + Send + 'static,
        D: Fn(&mut OwnerState, &Note) -> Decision<E> + Send + Sync + 'static,
    {
        let owner = self.owner_id();
        let decide = Arc::new(decide);
        let validated = self.repository.write([owner], move |transaction| {
            let decide = Arc::clone(&decide);
            Box::pin(async move {
                let (Outcome::Commit(changed) | Outcome::Rollback(changed)) =
                    change(transaction, owner, id, decide.as_ref()).await?;
                Ok(Outcome::Rollback(changed))
            })
        });
        validated.await?.ok_or(DatabaseError::Contention(DbErr::RecordNotUpdated))
    }
}
