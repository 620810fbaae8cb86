//! Several notes at once: all or none, in the order asked for. A refusal names the first that was refused.

use std::time::{Duration, SystemTime};

use authn::Subject;

use super::update_note::Terms;
use super::{App, CreateNote, DeleteNote, Error, UpdateNote, Writer};
use crate::domain::{Note, NoteId, OwnerState, View};
use crate::repository::{ChangedAll, CreatedAll, Decision, FoundAll, Rules};

impl App {
    /// Finds notes as they were at one moment.
    ///
    /// # Errors
    /// `InBatch` with `NoteNotFound`, `ResponseTooLarge`, or a failure of the store.
    pub async fn batch_get_notes(&self, owner: Subject, ids: Vec<NoteId>, view: View) -> Result<Vec<Note>, Error> {
        match self.repository.for_owner(owner).find_all(ids, view).await? {
            FoundAll::Found(notes) => Ok(notes),
            FoundAll::Missing(index) => Err(Error::NoteNotFound.at(index)),
            FoundAll::TooLarge => Err(Error::ResponseTooLarge),
        }
    }

    /// Makes notes, as [`App::create_note`] makes each.
    ///
    /// # Errors
    /// `InBatch` with what a single creation is refused for, `ResponseTooLarge`, or a failure of the store; nothing is
    /// made then.
    pub async fn batch_create_notes(
        &self,
        owner: Subject,
        notes: Vec<CreateNote>,
        view: View,
    ) -> Result<Vec<Note>, Error> {
        let now = self.clock.now();
        let notes = notes.into_iter().map(|note| self.creation(note, now)).collect();
        match self.repository.for_owner(owner).create_all(notes, view).await? {
            CreatedAll::Done(notes) => Ok(notes),
            CreatedAll::Refused(index, refusal) => Err(Error::from(refusal).at(index)),
            CreatedAll::TooLarge => Err(Error::ResponseTooLarge),
        }
    }

    /// Changes notes, as [`App::update_note`] changes each, and makes none.
    ///
    /// # Errors
    /// `InBatch` with what a single update is refused for, `ResponseTooLarge`, or a failure of the store; nothing is
    /// changed then.
    pub async fn batch_update_notes(
        &self,
        writer: Writer,
        updates: Vec<UpdateNote>,
        view: View,
    ) -> Result<Vec<Note>, Error> {
        let ids = updates.iter().map(|update| update.id).collect();
        let rules = Updates { updates, terms: self.terms(writer) };
        let notes = self.change_all(writer.owner, ids, view, rules).await?;
        Ok(notes.into_iter().flatten().collect())
    }

    /// Moves notes to the trash, as [`App::delete_note`] moves each.
    ///
    /// # Errors
    /// `InBatch` with what a single deletion is refused for, `ResponseTooLarge`, or a failure of the store; nothing is
    /// changed then.
    pub async fn batch_delete_notes(
        &self,
        owner: Subject,
        deletions: Vec<DeleteNote>,
        view: View,
    ) -> Result<Vec<Option<Note>>, Error> {
        let ids = deletions.iter().map(|delete| delete.id).collect();
        let rules = Deletions { deletions, now: self.clock.now(), retention: self.limits.trash_retention };
        self.change_all(owner, ids, view, rules).await
    }

    async fn change_all(
        &self,
        owner: Subject,
        ids: Vec<NoteId>,
        view: View,
        rules: impl Rules<Refusal = Error>,
    ) -> Result<Vec<Option<Note>>, Error> {
        match self.repository.for_owner(owner).change_all(ids, view, rules).await? {
            ChangedAll::Done(notes) => Ok(notes),
            ChangedAll::Refused(index, error) => Err(error.at(index)),
            ChangedAll::TooLarge => Err(Error::ResponseTooLarge),
        }
    }
}

impl Error {
    fn at(self, index: usize) -> Self {
        Self::InBatch { index, error: Box::new(self) }
    }
}

struct Updates {
    updates: Vec<UpdateNote>,
    terms: Terms,
}

impl Rules for Updates {
    type Refusal = Error;

    fn decide(&self, index: usize, owner: &mut OwnerState, note: &Note) -> Decision<Error> {
        self.updates[index].decide(&self.terms, owner, note)
    }

    fn missing(&self, _index: usize) -> Option<Error> {
        Some(Error::NoteNotFound)
    }
}

struct Deletions {
    deletions: Vec<DeleteNote>,
    now: SystemTime,
    retention: Duration,
}

impl Rules for Deletions {
    type Refusal = Error;

    fn decide(&self, index: usize, owner: &mut OwnerState, note: &Note) -> Decision<Error> {
        self.deletions[index].decide(self.now, self.retention, owner, note)
    }

    fn missing(&self, index: usize) -> Option<Error> {
        (!self.deletions[index].allow_missing).then_some(Error::NoteNotFound)
    }
}
