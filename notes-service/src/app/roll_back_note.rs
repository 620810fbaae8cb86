use super::update_note::Terms;
use super::{App, Error, Writer};
use crate::domain::{Etag, Note, NoteId, OwnerState, Revision, RevisionId, RevisionReason};
use crate::repository::{Changed, Decision};

/// A note to bring back to one of its revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollBackNote {
    /// Which one.
    pub id: NoteId,
    /// To which revision.
    pub revision: RevisionId,
    /// The version that the caller has seen; none takes whatever is there.
    pub etag: Option<Etag>,
}

impl App {
    /// Makes a new version of a note that is what one of its revisions was. The version before is kept, so that this can
    /// be undone by the same means.
    ///
    /// # Errors
    /// `NoteNotFound`, `RevisionNotFound`, `NoteDeleted`, `EtagMismatch`, `ByteQuota`, `RevisionByteQuota`, or a failure of
    /// the store; nothing is changed then.
    pub async fn roll_back_note(&self, writer: Writer, roll_back: RollBackNote) -> Result<Note, Error> {
        let terms = self.terms(writer);
        let RollBackNote { id, revision, .. } = roll_back;
        let decide = move |owner: &mut OwnerState, note: &Note, revision: Option<&Revision>| {
            roll_back.decide(&terms, owner, note, revision)
        };
        match self.repository.for_owner(writer.owner).roll_back(id, revision, decide).await? {
            Changed::Done(note) => Ok(note),
            Changed::Refused(error) => Err(error),
            Changed::Missing => Err(Error::NoteNotFound),
        }
    }
}

impl RollBackNote {
    /// What becomes of the note that is there.
    fn decide(
        &self,
        terms: &Terms,
        owner: &mut OwnerState,
        note: &Note,
        revision: Option<&Revision>,
    ) -> Decision<Error> {
        let Some(revision) = revision else { return Decision::Refuse(Error::RevisionNotFound) };
        if note.trashed.is_some() {
            return Decision::Refuse(Error::NoteDeleted);
        }
        if self.etag.is_some_and(|etag| etag != note.etag) {
            return Decision::Refuse(Error::EtagMismatch);
        }
        match revision.restore(note) {
            same if same == *note => Decision::Keep,
            changed => terms.replace(owner, note, changed, RevisionReason::Rollback),
        }
    }
}
