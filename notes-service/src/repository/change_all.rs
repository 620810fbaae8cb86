use std::sync::Arc;

use runtime::database::{DatabaseError, Outcome};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::change::{Decision, Step, step};
use super::{OwnedNotes, UnknownTags, owner_state};
use crate::domain::{Note, NoteId, OwnerState, View, fits_an_answer};

/// What became of several changes: all were made, or none.
#[derive(Debug)]
pub enum ChangedAll<E> {
    /// The notes as they now are, in the order asked for; none where a missing note is no refusal.
    Done(Vec<Option<Note>>),
    /// The change at this place was refused.
    Refused(usize, E),
    /// The notes would not fit one answer.
    TooLarge,
}

/// The rules of several changes.
pub trait Rules: Send + Sync + 'static {
    /// Why a change is refused.
    type Refusal: From<UnknownTags> + Send + 'static;

    /// What to do with the note at `index`, seen whole while its owner is locked; the same if it is asked again.
    fn decide(&self, index: usize, owner: &mut OwnerState, note: &Note) -> Decision<Self::Refusal>;

    /// Why the note at `index` must not be missing; none if it may.
    fn missing(&self, index: usize) -> Option<Self::Refusal>;
}

impl OwnedNotes<'_> {
    /// Changes notes by `rules`, one after the other in one transaction, so that only one is in memory at a time unless
    /// `view` asks for their contents.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub async fn change_all<R: Rules>(
        self,
        ids: Vec<NoteId>,
        view: View,
        rules: R,
    ) -> Result<ChangedAll<R::Refusal>, DatabaseError> {
        let owner = self.owner_id();
        let work = Arc::new((ids, rules));
        let changed = self.repository.write([owner], move |transaction| {
            let work = Arc::clone(&work);
            Box::pin(async move { change_all(transaction, owner, &work.0, view, &work.1).await })
        });
        changed.await?.ok_or(DatabaseError::Contention(DbErr::RecordNotUpdated))
    }
}

/// None if a row is no longer what was read.
async fn change_all<R: Rules>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    ids: &[NoteId],
    view: View,
    rules: &R,
) -> Result<Outcome<Option<ChangedAll<R::Refusal>>>, DbErr> {
    let refused = |index, refusal| Ok(Outcome::Rollback(Some(ChangedAll::Refused(index, refusal))));
    // Who never wrote has no notes and nothing to lock; each is looked up all the same, and missing.
    let state = owner_state::lock(transaction, [owner]).await?.remove(&owner);
    let mut state = state.unwrap_or_else(|| OwnerState::empty(0));
    let (mut notes, mut written) = (Vec::with_capacity(ids.len()), false);
    for (index, id) in ids.iter().enumerate() {
        let decide = |owner: &mut OwnerState, note: &Note| rules.decide(index, owner, note);
        let note = match step(transaction, owner, &mut state, *id, decide).await? {
            Step::Written(note) => {
                written = true;
                Some(note)
            }
            Step::Kept(note) => Some(note),
            Step::Refused(refusal) => return refused(index, refusal),
            Step::Missing => match rules.missing(index) {
                Some(refusal) => return refused(index, refusal),
                None => None,
            },
            Step::Overtaken => return Ok(Outcome::Rollback(None)),
        };
        notes.push(match view {
            View::Full => note,
            View::Basic => note.map(|note| Note { content: None, ..note }),
        });
        if view == View::Full && !fits_an_answer(notes.iter().flatten().map(|note: &Note| note.content_bytes)) {
            return Ok(Outcome::Rollback(Some(ChangedAll::TooLarge)));
        }
    }
    if !written {
        return Ok(Outcome::Rollback(Some(ChangedAll::Done(notes))));
    }
    owner_state::save(transaction, [(owner, &state)]).await?;
    Ok(Outcome::Commit(Some(ChangedAll::Done(notes))))
}
