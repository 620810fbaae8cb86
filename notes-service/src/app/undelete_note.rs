use authn::Subject;

use super::{App, Error};
use crate::domain::{Note, NoteId};
use crate::repository::{Changed, Decision};

impl App {
    /// Brings a note back from the trash.
    ///
    /// # Errors
    /// `NoteNotFound`, `NoteAlreadyLive`, or a failure of the store; nothing is changed then.
    pub async fn undelete_note(&self, owner: Subject, id: NoteId) -> Result<Note, Error> {
        let now = self.clock.now();
        let changed = self.repository.for_owner(owner).change(id, move |owner, note| {
            if note.trashed.is_none() {
                return Decision::Refuse(Error::NoteAlreadyLive);
            }
            Decision::Save(note.clone().out_of_trash(owner.restore(note.bytes(), now).time))
        });
        match changed.await? {
            Changed::Done(note) => Ok(note),
            Changed::Refused(error) => Err(error),
            Changed::Missing => Err(Error::NoteNotFound),
        }
    }
}
