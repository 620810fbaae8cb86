use std::time::SystemTime;

use authn::{SessionId, Subject};

use super::{App, CreateNote, Error, Limits};
use crate::domain::{Etag, Note, NoteFields, NoteId, NotePatch, OwnerState, Replacement, RevisionReason, Update};
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

/// Who writes: edits of one session shortly after each other keep one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The owner of what is written.
    pub owner: Subject,
    /// The session of the access token, if its issuer names one.
    pub session: Option<SessionId>,
}

/// What an update needs to know beside the note.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) session: Option<SessionId>,
    pub(super) now: SystemTime,
    pub(super) limits: Limits,
}

/// What becomes of an update that the rules allow.
#[derive(Clone, Copy)]
enum Effect {
    Kept,
    Undone,
}

/// How often a note may turn up or vanish between looking and making it.
const ATTEMPTS: u32 = 3;

impl App {
    /// Changes a note, or makes it if that was asked for. A change that changes nothing leaves its etag and times; one that
    /// changes its text keeps the version before.
    ///
    /// # Errors
    /// `NoteNotFound`, `NoteDeleted`, `NoteExpunged`, `EtagMismatch`, `NoteQuota`, `ByteQuota`, `RevisionByteQuota`, or a
    /// failure of the store; nothing is changed then.
    pub async fn update_note(&self, writer: Writer, update: UpdateNote) -> Result<Note, Error> {
        self.change_or_make(writer, &update, Effect::Kept).await
    }

    /// What [`App::update_note`] would answer now; nothing is changed and nothing made.
    ///
    /// # Errors
    /// As `update_note`.
    pub async fn validate_update_note(&self, writer: Writer, update: UpdateNote) -> Result<Note, Error> {
        self.change_or_make(writer, &update, Effect::Undone).await
    }

    async fn change_or_make(&self, writer: Writer, update: &UpdateNote, effect: Effect) -> Result<Note, Error> {
        for _ in 1..ATTEMPTS {
            match (self.change(writer, update, effect).await, &update.otherwise) {
                (Err(Error::NoteNotFound), Some(fields)) => {
                    let note = CreateNote { id: Some(update.id), fields: fields.clone(), request: None };
                    let made = match effect {
                        Effect::Kept => self.create_note(writer.owner, note).await,
                        Effect::Undone => self.validate_create_note(writer.owner, note).await,
                    };
                    match made {
                        Err(Error::NoteExists) => {}
                        made => return made,
                    }
                }
                (changed, _) => return changed,
            }
        }
        self.change(writer, update, effect).await
    }

    async fn change(&self, writer: Writer, update: &UpdateNote, effect: Effect) -> Result<Note, Error> {
        let (terms, rules) = (self.terms(writer), update.clone());
        let decide = move |owner: &mut OwnerState, note: &Note| rules.decide(&terms, owner, note);
        let notes = self.repository.for_owner(writer.owner);
        let changed = match effect {
            Effect::Kept => notes.change(update.id, decide).await?,
            Effect::Undone => notes.validate_change(update.id, decide).await?,
        };
        match changed {
            Changed::Done(note) => Ok(note),
            Changed::Refused(error) => Err(error),
            Changed::Missing => Err(Error::NoteNotFound),
        }
    }

    /// What holds for what this writer changes now.
    pub(super) fn terms(&self, Writer { session, .. }: Writer) -> Terms {
        Terms { session, now: self.clock.now(), limits: self.limits }
    }
}

impl UpdateNote {
    /// What becomes of the note that is there.
    pub(super) fn decide(&self, terms: &Terms, owner: &mut OwnerState, note: &Note) -> Decision<Error> {
        match self.patch.apply(note, self.etag) {
            Update::Unchanged => Decision::Keep,
            Update::InTrash => Decision::Refuse(Error::NoteDeleted),
            Update::EtagMismatch => Decision::Refuse(Error::EtagMismatch),
            Update::Changed(changed) => {
                let blind = self.etag.is_none();
                terms.replace(
                    owner,
                    note,
                    changed,
                    if blind { RevisionReason::BlindOverwrite } else { RevisionReason::Edit },
                )
            }
        }
    }
}

impl Terms {
    /// Puts `changed` in the place of `note`, which is kept if its text is another.
    pub(super) fn replace(
        &self,
        owner: &mut OwnerState,
        note: &Note,
        changed: Note,
        reason: RevisionReason,
    ) -> Decision<Error> {
        let policy = self.limits.revisions;
        let (from, to, same_text) = (note.bytes(), changed.bytes(), changed.has_text_of(note));
        let within = owner
            .resize(from, to, &self.limits.quota)
            .and_then(|()| if same_text { Ok(()) } else { owner.may_keep_revision(from, to, policy.bytes) });
        if let Err(exceeded) = within {
            return Decision::Refuse(exceeded.into());
        }
        let changed = changed.changed_at(owner.stamp(self.now).time);
        if same_text {
            return Decision::Save(changed);
        }
        Decision::Replace(changed, Replacement { reason, session: self.session, policy })
    }
}
