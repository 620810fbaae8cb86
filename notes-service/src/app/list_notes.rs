use authn::Subject;

use super::{App, Error};
use crate::domain::{Note, NoteFilter, Order, PageQuery, PageSize, SyncPoint, View};

/// Which notes to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListNotes {
    /// In which order.
    pub order: Order,
    /// Whether notes in the trash are listed too.
    pub show_deleted: bool,
    /// Which notes are listed.
    pub filter: NoteFilter,
    /// Whether contents are read.
    pub view: View,
    /// How many notes at most.
    pub size: PageSize,
    /// The token of the page; empty for the first one.
    pub page_token: String,
}

/// A page, and the token of the next one; empty at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotesPage {
    /// The notes in their order.
    pub notes: Vec<Note>,
    /// Where the next page begins.
    pub next_page_token: String,
    /// The token of a copy that has what the first page and those after it bring; empty on every other page.
    pub sync_token: String,
}

impl App {
    /// Reads one page of the caller's notes.
    ///
    /// # Errors
    /// `PageTokenInvalid`, or a failure of the store.
    pub async fn list_notes(&self, owner: Subject, list: ListNotes) -> Result<NotesPage, Error> {
        let ListNotes { order, show_deleted, filter, view, size, page_token } = list;
        let now = self.clock.now();
        let query = PageQuery { order, show_deleted, filter, view, size, after: None };
        let after = match page_token.as_str() {
            "" => None,
            token => Some(self.page_tokens.open(token, owner, &query, now).ok_or(Error::PageTokenInvalid)?),
        };
        let is_first = after.is_none();
        let page = self.repository.for_owner(owner).page(PageQuery { after, ..query.clone() }).await?;
        let seal = |position| self.page_tokens.seal(owner, &query, &position, now);
        // Of a page without notes the moment is not known; a copy without notes may as well begin at the beginning.
        let as_of = is_first.then(|| page.as_of.unwrap_or(SyncPoint::BEGINNING));
        Ok(NotesPage {
            notes: page.notes,
            next_page_token: page.next.map(seal).unwrap_or_default(),
            sync_token: as_of.map(|point| self.sync_tokens.seal(owner, point)).unwrap_or_default(),
        })
    }
}
