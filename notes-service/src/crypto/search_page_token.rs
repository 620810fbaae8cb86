use std::time::SystemTime;

use authn::Subject;
use aws_lc_rs::digest;

use super::PageTokens;
use super::page_token::conditions;
use crate::domain::search::{RANKED_MAX, SearchOrder, SearchPlace, SearchQuery};

/// Tokens of searches; beside the owner they are bound to everything that says what is found, and in which order.
impl PageTokens {
    /// The token for a page that begins at `place`.
    ///
    /// # Panics
    /// Never: few notes are ranked.
    #[must_use]
    pub fn seal_search(&self, owner: Subject, query: &SearchQuery, place: SearchPlace, now: SystemTime) -> String {
        let mut bytes = place.before.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(place.ranked).expect("few notes are ranked").to_be_bytes());
        if let Some((score, change_seq)) = place.after {
            bytes.extend(score.to_be_bytes());
            bytes.extend(change_seq.to_be_bytes());
        }
        self.seal_place(&bound_to(owner, query), &bytes, now)
    }

    /// The place in a token that was sealed for the same search; none if it was not, or too long ago.
    #[must_use]
    pub fn open_search(
        &self,
        token: &str,
        owner: Subject,
        query: &SearchQuery,
        now: SystemTime,
    ) -> Option<SearchPlace> {
        let bytes = self.open_place(token, &bound_to(owner, query), now)?;
        let (before, rest) = bytes.split_first_chunk()?;
        let (ranked, rest) = rest.split_first_chunk()?;
        let after = match rest {
            [] => None,
            rest => {
                let (score, change_seq) = rest.split_first_chunk()?;
                Some((u32::from_be_bytes(*score), i64::from_be_bytes(change_seq.try_into().ok()?)))
            }
        };
        let ranked = usize::try_from(u32::from_be_bytes(*ranked)).ok().filter(|ranked| *ranked <= RANKED_MAX)?;
        Some(SearchPlace { before: i64::from_be_bytes(*before), ranked, after })
    }
}

fn bound_to(owner: Subject, query: &SearchQuery) -> Vec<u8> {
    let order = match query.order {
        SearchOrder::Relevance => 0,
        SearchOrder::UpdateTime => 1,
    };
    let arguments = [order, u8::from(query.show_deleted)];
    let text = digest::digest(&digest::SHA256, query.query.as_str().as_bytes());
    let method = b"notes.v1.NotesService/SearchNotes".as_slice();
    [method, owner.as_uuid().as_bytes(), &arguments, text.as_ref(), &conditions(&query.filter)].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::crypto::TokenKeys;
    use crate::domain::NoteFilter;
    use crate::domain::search::{Query, SearchPageSize};
    use crate::testing::somebody;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn query(text: &str) -> SearchQuery {
        SearchQuery {
            query: Query::parse(text).unwrap(),
            order: SearchOrder::Relevance,
            show_deleted: false,
            filter: NoteFilter::default(),
            size: SearchPageSize::parse(20).unwrap(),
            place: SearchPlace::BEGINNING,
        }
    }

    #[test]
    fn a_token_gives_back_its_place_for_the_same_search_only() {
        let tokens = PageTokens::new(Arc::new(TokenKeys::new(b"secret", [])), Duration::from_secs(60));
        let (alice, bob, milk) = (somebody(), somebody(), query("milk"));
        for after in [None, Some((7, 12))] {
            let place = SearchPlace { before: 99, ranked: 30, after };
            let token = tokens.seal_search(alice, &milk, place, NOW);
            assert_eq!(tokens.open_search(&token, alice, &milk, NOW), Some(place));
            let larger = SearchQuery { size: SearchPageSize::parse(100).unwrap(), ..milk.clone() };
            assert_eq!(tokens.open_search(&token, alice, &larger, NOW), Some(place), "the size may change");
            assert_eq!(tokens.open_search(&token, bob, &milk, NOW), None);
            assert_eq!(tokens.open_search(&token, alice, &query("milk eggs"), NOW), None);
            let other = SearchQuery { order: SearchOrder::UpdateTime, ..milk.clone() };
            assert_eq!(tokens.open_search(&token, alice, &other, NOW), None);
            let filter = NoteFilter { pinned: Some(true), ..NoteFilter::default() };
            assert_eq!(tokens.open_search(&token, alice, &SearchQuery { filter, ..milk.clone() }, NOW), None);
            let other = SearchQuery { show_deleted: true, ..milk.clone() };
            assert_eq!(tokens.open_search(&token, alice, &other, NOW), None);
            assert_eq!(tokens.open_search(&token, alice, &milk, NOW + Duration::from_secs(61)), None);
        }
    }
}
