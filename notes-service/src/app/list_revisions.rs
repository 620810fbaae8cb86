use authn::Subject;

use super::{App, Error};
use crate::domain::{NoteId, PageSize, Revision, RevisionId, RevisionQuery, View};
use crate::repository::FoundRevision;

/// Which revisions to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRevisions {
    /// Of which note.
    pub note: NoteId,
    /// Whether contents are read.
    pub view: View,
    /// How many at most.
    pub size: PageSize,
    /// The token of the page; empty for the first one.
    pub page_token: String,
}

/// A page, and the token of the next one; empty at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionsPage {
    /// The newest first.
    pub revisions: Vec<Revision>,
    /// Where the next page begins.
    pub next_page_token: String,
}

impl App {
    /// Reads one page of the revisions of a note.
    ///
    /// # Errors
    /// `PageTokenInvalid`, `NoteNotFound`, or a failure of the store.
    pub async fn list_revisions(&self, owner: Subject, list: ListRevisions) -> Result<RevisionsPage, Error> {
        let ListRevisions { note, view, size, page_token } = list;
        let now = self.clock.now();
        let before = match page_token.as_str() {
            "" => None,
            token => Some(self.page_tokens.open_revisions(token, owner, note, now).ok_or(Error::PageTokenInvalid)?),
        };
        let query = RevisionQuery { note, view, size, before };
        let page = self.repository.for_owner(owner).revisions(query).await?.ok_or(Error::NoteNotFound)?;
        let next = page.next.map(|place| self.page_tokens.seal_revisions(owner, note, place, now));
        Ok(RevisionsPage { revisions: page.revisions, next_page_token: next.unwrap_or_default() })
    }

    /// Finds one revision of a note, whole.
    ///
    /// # Errors
    /// `NoteNotFound`, `RevisionNotFound`, or a failure of the store.
    pub async fn get_revision(&self, owner: Subject, note: NoteId, revision: RevisionId) -> Result<Revision, Error> {
        match self.repository.for_owner(owner).revision(note, revision).await? {
            FoundRevision::Found(revision) => Ok(revision),
            FoundRevision::NoRevision => Err(Error::RevisionNotFound),
            FoundRevision::NoNote => Err(Error::NoteNotFound),
        }
    }
}
