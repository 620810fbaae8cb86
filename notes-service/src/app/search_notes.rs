use authn::Subject;

use super::{App, Error};
use crate::domain::search::{SearchPlace, SearchQuery};
use crate::repository::Found;

/// A page of what was found, and the token of the next one; empty at the end.
#[derive(Debug)]
pub struct FoundPage {
    /// The notes in their order.
    pub found: Vec<Found>,
    /// Where the next page begins.
    pub next_page_token: String,
}

impl App {
    /// Reads one page of what is found of the caller's notes. `page_token` is that of the page; empty for the first one.
    ///
    /// # Errors
    /// `PageTokenInvalid`, or a failure of the store.
    pub async fn search_notes(&self, owner: Subject, query: SearchQuery, page_token: &str) -> Result<FoundPage, Error> {
        let now = self.clock.now();
        let place = match page_token {
            "" => SearchPlace::BEGINNING,
            token => self.page_tokens.open_search(token, owner, &query, now).ok_or(Error::PageTokenInvalid)?,
        };
        let page = self.repository.for_owner(owner).search(SearchQuery { place, ..query.clone() }).await?;
        let seal = |place| self.page_tokens.seal_search(owner, &query, place, now);
        Ok(FoundPage { found: page.found, next_page_token: page.next.map(seal).unwrap_or_default() })
    }
}
