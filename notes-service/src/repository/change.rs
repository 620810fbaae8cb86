use std::sync::Arc;
use std::time::SystemTime;

use runtime::database::{DatabaseError, Outcome};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::tombstones::Tombstone;
use super::{OwnedNotes, UnknownTags, history, note_tags, notes, owner_state, search, tombstones};
use crate::domain::{History, Note, NoteId, OwnerState, Replacement};

/// What to do with a note that was found, decided by rules that see the note and the state of its owner.
#[derive(Debug)]
pub enum Decision<E> {
    /// Store this, whose text is the same, in its place; the owner's state has been brought up to date.
    Save(Note),
    /// Store this, whose text is another, in its place, which is kept as a revision; the owner's state has been brought
    /// up to date.
    Replace(Note, Replacement),
    /// Remove it for good and remember its id until then; the owner's state has been brought up to date.
    Remove {
        /// When the id is forgotten.
        remembered: SystemTime,
    },
    /// Leave it as it is.
    Keep,
    /// Leave it as it is and refuse.
    Refuse(E),
}

/// What became of a change.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a write, where a box would be one more allocation")]
pub enum Changed<E> {
    /// The note as it now is, changed or not, or as it was before it was removed.
    Done(Note),
    /// It was refused.
    Refused(E),
    /// The owner has no such note.
    Missing,
}

impl OwnedNotes<'_> {
    /// Changes one note by the rules of `decide`, which sees the note whole while its owner is locked, and must do the
    /// same if it is asked again. The row is replaced only if it still is the version that `decide` saw, and only with tags
    /// that the owner has.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub async fn change<E, D>(self, id: NoteId, decide: D) -> Result<Changed<E>, DatabaseError>
    where
        E: From<UnknownTags> + Send + 'static,
        D: Fn(&mut OwnerState, &Note) -> Decision<E> + Send + Sync + 'static,
    {
        let owner = self.owner_id();
        let decide = Arc::new(decide);
        let changed = self.repository.write([owner], move |transaction| {
            let decide = Arc::clone(&decide);
            Box::pin(async move { change(transaction, owner, id, decide.as_ref()).await })
        });
        changed.await?.ok_or(DatabaseError::Contention(DbErr::RecordNotUpdated))
    }
}

/// None if the row is no longer what was read, which only a writer that takes no lock can bring about.
pub(super) async fn change<E: From<UnknownTags>>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    id: NoteId,
    decide: &impl Fn(&mut OwnerState, &Note) -> Decision<E>,
) -> Result<Outcome<Option<Changed<E>>>, DbErr> {
    let Some(mut state) = owner_state::lock(transaction, [owner]).await?.remove(&owner) else {
        return Ok(Outcome::Rollback(Some(Changed::Missing)));
    };
    let step = step(transaction, owner, &mut state, id, decide).await?;
    finish(transaction, owner, &state, step).await
}

/// Stores the state of the owner if there was a change.
pub(super) async fn finish<E>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &OwnerState,
    step: Step<E>,
) -> Result<Outcome<Option<Changed<E>>>, DbErr> {
    match step {
        Step::Written(note) => {
            owner_state::save(transaction, [(owner, state)]).await?;
            Ok(Outcome::Commit(Some(Changed::Done(note))))
        }
        Step::Kept(note) => Ok(Outcome::Rollback(Some(Changed::Done(note)))),
        Step::Refused(refusal) => Ok(Outcome::Rollback(Some(Changed::Refused(refusal)))),
        Step::Missing => Ok(Outcome::Rollback(Some(Changed::Missing))),
        Step::Overtaken => Ok(Outcome::Rollback(None)),
    }
}

/// What one change came to; the state of its owner is not stored yet.
pub(super) enum Step<E> {
    Written(Note),
    Kept(Note),
    Refused(E),
    Missing,
    /// The row is no longer what was read.
    Overtaken,
}

/// Changes one note of a locked owner.
pub(super) async fn step<E: From<UnknownTags>>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    id: NoteId,
    decide: impl Fn(&mut OwnerState, &Note) -> Decision<E>,
) -> Result<Step<E>, DbErr> {
    let Some((note, history)) = notes::find_with_history(transaction, owner, id).await? else {
        return Ok(Step::Missing);
    };
    let decision = decide(state, &note);
    carry_out(transaction, owner, state, (note, history), decision).await
}

/// Does what was decided about one note of a locked owner.
pub(super) async fn carry_out<E: From<UnknownTags>>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    (note, history): (Note, History),
    decision: Decision<E>,
) -> Result<Step<E>, DbErr> {
    Ok(match decision {
        Decision::Save(changed) => store(transaction, owner, state, (&note, changed), None).await?,
        Decision::Replace(changed, replacement) => {
            let history = history::keep(transaction, owner, state, history, (&note, &changed), &replacement).await?;
            store(transaction, owner, state, (&note, changed), Some(history)).await?
        }
        Decision::Remove { remembered } => {
            if search::forget(transaction, owner, &[note.id]).await? {
                state.purge_at(state.last_update);
            }
            // Its body and its revisions go by its key.
            notes::remove(transaction, owner, [note.id]).await?;
            state.forget_revisions(history.bytes);
            let tombstone = Tombstone { id: note.id, change_seq: state.change_seq, expire_time: remembered };
            tombstones::save(transaction, owner, [tombstone]).await?;
            state.digest(Some(&note), None);
            Step::Written(note)
        }
        Decision::Keep => Step::Kept(note),
        Decision::Refuse(refusal) => Step::Refused(refusal),
    })
}

/// Puts a note in the place of the one before, with what is counted of its revisions if that has changed.
async fn store<E: From<UnknownTags>>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    (before, after): (&Note, Note),
    history: Option<History>,
) -> Result<Step<E>, DbErr> {
    search::replace(transaction, owner, before, &after, state).await?;
    if !notes::replace(transaction, owner, before, &after, state, history).await? {
        return Ok(Step::Overtaken);
    }
    state.digest(Some(before), Some(&after));
    Ok(match note_tags::follow(transaction, owner, before, &after, state).await? {
        Ok(()) => Step::Written(after),
        Err(unknown) => Step::Refused(unknown.into()),
    })
}
