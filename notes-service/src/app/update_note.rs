use std::time::SystemTime;

use authn::Subject;

use super::{App, CreateNote, Error};
use crate::domain::{Etag, Note, NoteFields, NoteId, NotePatch, OwnerState, Quota, Update};
use crate::repository::{Changed, Decision};

/// A note to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateNote {
    /// Which one.
    pub id: NoteId,
    /// What to change.
    pub patch: NotePatch,
    /// The version that the change is meant for; none takes whatever is there.
    pub etag: Option<Etag>,
    /// What to make when there is no such note; none makes nothing.
    pub otherwise: Option<NoteFields>,
}

/// How often a note may turn up or vanish between looking and making it.
const ATTEMPTS: u32 = 3;

impl App {
    /// Changes a note, or makes it if that was asked for. A change that changes nothing leaves its etag and times.
    ///
    /// # Errors
    /// `NoteNotFound`, `NoteDeleted`, `NoteExpunged`, `EtagMismatch`, `NoteQuota`, `ByteQuota`, or a failure of the store; nothing is
    /// changed then.
    pub async fn update_note(&self, owner: Subject, update: UpdateNote) -> Result<Note, Error> {
        for _ in 1..ATTEMPTS {
            match (self.change(owner, &update).await, &update.otherwise) {
                (Err(Error::NoteNotFound), Some(fields)) => {
                    let note = CreateNote { id: Some(update.id), fields: fields.clone(), request: None };
                    match self.create_note(owner, note).await {
                        Err(Error::NoteExists) => {}
                        made => return made,
                    }
                }
                (changed, _) => return changed,
            }
        }
        self.change(owner, &update).await
    }

    async fn change(&self, owner: Subject, update: &UpdateNote) -> Result<Note, Error> {
        let (now, quota, rules) = (self.clock.now(), self.limits.quota, update.clone());
        let decide = move |owner: &mut OwnerState, note: &Note| rules.decide(now, &quota, owner, note);
        match self.repository.for_owner(owner).change(update.id, decide).await? {
            Changed::Done(note) => Ok(note),
            Changed::Refused(error) => Err(error),
            Changed::Missing => Err(Error::NoteNotFound),
        }
    }
}

impl UpdateNote {
    /// What becomes of the note that is there.
    pub(super) fn decide(
        &self,
        now: SystemTime,
        quota: &Quota,
        owner: &mut OwnerState,
        note: &Note,
    ) -> Decision<Error> {
        match self.patch.apply(note, self.etag) {
            Update::Unchanged => Decision::Keep,
            Update::InTrash => Decision::Refuse(Error::NoteDeleted),
            Update::EtagMismatch => Decision::Refuse(Error::EtagMismatch),
            Update::Changed(changed) => match owner.resize(note.bytes(), changed.bytes(), quota) {
                Ok(()) => Decision::Save(changed.changed_at(owner.stamp(now).time)),
                Err(exceeded) => Decision::Refuse(exceeded.into()),
            },
        }
    }
}
