use authn::Subject;

use super::{App, Error};
use crate::crypto::Opened;
use crate::domain::{Change, ChangesPageSize, ChangesQuery, NotesDigest, PAGE_BYTES, SyncPoint, View};
use crate::repository::Changes;

/// Which changes to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListNoteChanges {
    /// The token of the copy; empty for an empty copy.
    pub sync_token: String,
    /// Whether contents are read.
    pub view: View,
    /// How many changes at most.
    pub size: ChangesPageSize,
}

/// A page of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteChangesPage {
    /// The changes in their order.
    pub changes: Vec<Change>,
    /// The token of a copy that has them.
    pub next_sync_token: String,
    /// What such a copy comes to, if there is no more now.
    pub digest: Option<NotesDigest>,
}

impl App {
    /// Reads one page of what changed of the caller's notes.
    ///
    /// # Errors
    /// `SyncTokenInvalid`, `SyncTokenExpired`, or a failure of the store.
    pub async fn list_note_changes(&self, owner: Subject, list: ListNoteChanges) -> Result<NoteChangesPage, Error> {
        let after = match list.sync_token.as_str() {
            "" => SyncPoint::BEGINNING,
            token => self.open_sync_token(token, owner)?,
        };
        let query = ChangesQuery { after, view: list.view, size: list.size.get(), bytes: PAGE_BYTES };
        match self.repository.for_owner(owner).changes(query).await? {
            Changes::Page(page) => Ok(NoteChangesPage {
                changes: page.changes,
                next_sync_token: self.sync_tokens.seal(owner, page.next),
                digest: page.digest,
            }),
            Changes::Expired => Err(Error::SyncTokenExpired),
        }
    }

    fn open_sync_token(&self, token: &str, owner: Subject) -> Result<SyncPoint, Error> {
        match self.sync_tokens.open(token, owner) {
            Some(Opened::Point(point)) => Ok(point),
            Some(Opened::OtherEpoch) => Err(Error::SyncTokenExpired),
            None => Err(Error::SyncTokenInvalid),
        }
    }
}
