use authn::Subject;

use super::{App, Error};
use crate::domain::NoteId;
use crate::repository::{Changed, Decision};

impl App {
    /// Removes a note from the trash for good. Its id stays taken for a while, so that a client that has not heard of it
    /// does not make the note again.
    ///
    /// # Errors
    /// `NoteNotFound`, `NoteNotDeleted`, or a failure of the store; nothing is removed then.
    pub async fn expunge_note(&self, owner: Subject, id: NoteId) -> Result<(), Error> {
        let now = self.clock.now();
        let remembered = now + self.limits.tombstone_retention;
        let changed = self.repository.for_owner(owner).change(id, move |owner, note| {
            if note.trashed.is_none() {
                return Decision::Refuse(Error::NoteNotDeleted);
            }
            owner.expunge(note.bytes(), now, remembered);
            Decision::Remove { remembered }
        });
        match changed.await? {
            Changed::Done(_) => Ok(()),
            Changed::Refused(error) => Err(error),
            Changed::Missing => Err(Error::NoteNotFound),
        }
    }
}
