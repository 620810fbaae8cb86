use authn::Subject;

use super::{App, Error};
use crate::domain::{PageSize, Tag};

/// A page of tags, and the token of the next one; empty at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagsPage {
    /// The tags in the order of their names.
    pub tags: Vec<Tag>,
    /// Where the next page begins.
    pub next_page_token: String,
}

impl App {
    /// Reads one page of the caller's tags; the token of the first one is empty.
    ///
    /// # Errors
    /// `PageTokenInvalid`, or a failure of the store.
    pub async fn list_tags(&self, owner: Subject, size: PageSize, page_token: &str) -> Result<TagsPage, Error> {
        let now = self.clock.now();
        let after = match page_token {
            "" => None,
            token => Some(self.page_tokens.open_tags(token, owner, now).ok_or(Error::PageTokenInvalid)?),
        };
        let page = self.repository.for_owner(owner).tags_page(size, after).await?;
        let seal = |after| self.page_tokens.seal_tags(owner, &after, now);
        Ok(TagsPage { tags: page.tags, next_page_token: page.next.map(seal).unwrap_or_default() })
    }
}
