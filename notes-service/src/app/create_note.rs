use std::time::SystemTime;

use authn::Subject;

use super::{App, Error, draw};
use crate::domain::{Fingerprint, Note, NoteFields, NoteId, RequestId, View};
use crate::repository::{self, Creation, CreationRefused, NewId, OwnedNotes, Repetition};

/// A note to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateNote {
    /// The id that the client chose, if it did.
    pub id: Option<NoteId>,
    /// What the owner wrote.
    pub fields: NoteFields,
    /// Makes the call safe to repeat.
    pub request: Option<RequestId>,
}

impl App {
    /// Makes a note. If the same request made one before, it is that note, as it is now.
    ///
    /// # Errors
    /// `NoteExists`, `NoteExpunged`, `RequestIdReused`, `NoteQuota`, `ByteQuota`, `Overloaded`, or a failure of the store;
    /// nothing is made then.
    pub async fn create_note(&self, owner: Subject, note: CreateNote) -> Result<Note, Error> {
        let notes = self.repository.for_owner(owner);
        let creation = notes.create(self.creation(note, self.clock.now())).await?;
        created(notes, creation).await
    }

    /// What [`App::create_note`] would answer now; nothing is made. An id that is drawn is another one each time.
    ///
    /// # Errors
    /// As `create_note`.
    pub async fn validate_create_note(&self, owner: Subject, note: CreateNote) -> Result<Note, Error> {
        let notes = self.repository.for_owner(owner);
        let creation = notes.validate_create(self.creation(note, self.clock.now())).await?;
        created(notes, creation).await
    }

    /// What the repository is to make.
    pub(super) fn creation(&self, note: CreateNote, now: SystemTime) -> repository::CreateNote {
        let repetition = note.request.map(|request| Repetition {
            request,
            fingerprint: Fingerprint::of(note.id, &note.fields),
            expire_time: now + self.limits.request_memory,
        });
        let id = note.id.map_or_else(|| NewId::Drawn(NoteId::from_uuid(draw(now))), NewId::Chosen);
        repository::CreateNote { id, fields: note.fields, repetition, now, quota: self.limits.quota }
    }
}

async fn created(notes: OwnedNotes<'_>, creation: Creation) -> Result<Note, Error> {
    match creation {
        Creation::Created(note) => Ok(note),
        Creation::Repeated(id) => notes.find(id, View::Full).await?.ok_or(Error::NoteExpunged),
        Creation::Refused(refusal) => Err(refusal.into()),
    }
}

impl From<CreationRefused> for Error {
    fn from(refused: CreationRefused) -> Self {
        match refused {
            CreationRefused::RequestReused => Self::RequestIdReused,
            CreationRefused::Exists => Self::NoteExists,
            CreationRefused::Expunged => Self::NoteExpunged,
            CreationRefused::UnknownTags(unknown) => unknown.into(),
            CreationRefused::QuotaExceeded(exceeded) => exceeded.into(),
        }
    }
}
