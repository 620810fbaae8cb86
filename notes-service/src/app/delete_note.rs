use std::time::{Duration, SystemTime};

use authn::Subject;

use super::{App, Error};
use crate::domain::{Etag, Note, NoteId, OwnerState};
use crate::repository::{Changed, Decision};

/// A note to move to the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteNote {
    /// Which one.
    pub id: NoteId,
    /// The version that is meant; none takes whatever is there.
    pub etag: Option<Etag>,
    /// Whether it is fine when there is nothing left to do.
    pub allow_missing: bool,
}

impl App {
    /// Moves a note to the trash. With `allow_missing` a note that is there already is returned as it is, and one that
    /// does not exist is none.
    ///
    /// # Errors
    /// `NoteNotFound`, `EtagMismatch`, or a failure of the store; nothing is changed then.
    pub async fn delete_note(&self, owner: Subject, delete: DeleteNote) -> Result<Option<Note>, Error> {
        delete.answer(self.repository.for_owner(owner).change(delete.id, self.deletion(delete)).await?)
    }

    /// What [`App::delete_note`] would answer now; nothing is moved.
    ///
    /// # Errors
    /// As `delete_note`.
    pub async fn validate_delete_note(&self, owner: Subject, delete: DeleteNote) -> Result<Option<Note>, Error> {
        delete.answer(self.repository.for_owner(owner).validate_change(delete.id, self.deletion(delete)).await?)
    }

    fn deletion(&self, delete: DeleteNote) -> impl Fn(&mut OwnerState, &Note) -> Decision<Error> + use<> {
        let (now, retention) = (self.clock.now(), self.limits.trash_retention);
        move |owner, note| delete.decide(now, retention, owner, note)
    }
}

impl DeleteNote {
    fn answer(&self, changed: Changed<Error>) -> Result<Option<Note>, Error> {
        match changed {
            Changed::Done(note) => Ok(Some(note)),
            Changed::Refused(error) => Err(error),
            Changed::Missing if self.allow_missing => Ok(None),
            Changed::Missing => Err(Error::NoteNotFound),
        }
    }

    /// What becomes of the note that is there.
    pub(super) fn decide(
        &self,
        now: SystemTime,
        retention: Duration,
        owner: &mut OwnerState,
        note: &Note,
    ) -> Decision<Error> {
        if note.trashed.is_some() {
            return if self.allow_missing { Decision::Keep } else { Decision::Refuse(Error::NoteNotFound) };
        }
        if self.etag.is_some_and(|etag| etag != note.etag) {
            return Decision::Refuse(Error::EtagMismatch);
        }
        Decision::Save(note.clone().into_trash(owner.trash(note.bytes(), now, retention).time, retention))
    }
}
