use authn::Subject;
use runtime::database::DatabaseError;

use super::doorbell::Listening;
use super::{Changes, NoteRepository, OwnedNotes};
use crate::domain::{ChangesQuery, SyncPoint};

/// Somebody who watches the notes of one owner.
#[derive(Debug)]
pub struct Watch {
    repository: NoteRepository,
    owner: Subject,
    listening: Listening,
}

impl OwnedNotes<'_> {
    /// Begins to watch, unless as many as `most` do already in this process.
    #[must_use]
    pub fn watch(self, most: usize) -> Option<Watch> {
        let listening = self.repository.doorbell.listen(self.owner_id(), most)?;
        Some(Watch { repository: self.repository.clone(), owner: self.owner, listening })
    }
}

impl Watch {
    /// Whose notes are watched.
    #[must_use]
    pub const fn owner(&self) -> Subject {
        self.owner
    }

    /// Waits until something may have changed since this was asked last.
    pub async fn rung(&mut self) {
        self.listening.rung().await;
    }

    /// As [`OwnedNotes::changes`].
    ///
    /// # Errors
    /// If the store fails.
    pub async fn changes(&self, query: ChangesQuery) -> Result<Changes, DatabaseError> {
        self.repository.for_owner(self.owner).changes(query).await
    }

    /// The point of a copy that has all that there is now.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn now(&self) -> Result<SyncPoint, DatabaseError> {
        Ok(SyncPoint::now(self.repository.for_owner(self.owner).state().await?.as_ref()))
    }
}
