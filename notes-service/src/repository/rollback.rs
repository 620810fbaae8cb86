use std::sync::Arc;

use runtime::database::{DatabaseError, Outcome};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::change::{Changed, Decision, carry_out, finish};
use super::revisions::{self, FoundRevision};
use super::{OwnedNotes, UnknownTags, notes, owner_state};
use crate::domain::{Note, NoteId, OwnerState, Revision, RevisionId};

impl OwnedNotes<'_> {
    /// Changes one note by the rules of `decide`, which sees the note and one of its revisions whole, if it has that one,
    /// while its owner is locked, and must do the same if it is asked again.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub async fn roll_back<E, D>(self, id: NoteId, revision: RevisionId, decide: D) -> Result<Changed<E>, DatabaseError>
    where
        E: From<UnknownTags> + Send + 'static,
        D: Fn(&mut OwnerState, &Note, Option<&Revision>) -> Decision<E> + Send + Sync + 'static,
    {
        let owner = self.owner_id();
        let decide = Arc::new(decide);
        let changed = self.repository.write([owner], move |transaction| {
            let decide = Arc::clone(&decide);
            Box::pin(async move { roll_back(transaction, owner, id, revision, decide.as_ref()).await })
        });
        changed.await?.ok_or(DatabaseError::Contention(DbErr::RecordNotUpdated))
    }
}

/// None if the row is no longer what was read, which only a writer that takes no lock can bring about.
async fn roll_back<E: From<UnknownTags>>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    id: NoteId,
    revision: RevisionId,
    decide: &impl Fn(&mut OwnerState, &Note, Option<&Revision>) -> Decision<E>,
) -> Result<Outcome<Option<Changed<E>>>, DbErr> {
    let Some(mut state) = owner_state::lock(transaction, [owner]).await?.remove(&owner) else {
        return Ok(Outcome::Rollback(Some(Changed::Missing)));
    };
    let Some((note, history)) = notes::find_with_history(transaction, owner, id).await? else {
        return Ok(Outcome::Rollback(Some(Changed::Missing)));
    };
    let revision = match revisions::find(transaction, owner, id, revision).await? {
        FoundRevision::Found(revision) => Some(revision),
        FoundRevision::NoRevision | FoundRevision::NoNote => None,
    };
    let decision = decide(&mut state, &note, revision.as_ref());
    let step = carry_out(transaction, owner, &mut state, (note, history), decision).await?;
    finish(transaction, owner, &state, step).await
}
