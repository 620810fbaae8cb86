use proto::notes::v1 as wire;

use super::{Malformed, Violations};
use crate::app::FoundPage;
use crate::domain::search::{Highlight, Query, SearchOrder, SearchPageSize, SearchPlace, SearchQuery};
use crate::repository::Found;

pub(in super::super) fn search_notes(request: &wire::SearchNotesRequest) -> Result<SearchQuery, Malformed> {
    let mut violations = Violations::default();
    let query = match request.query.as_str() {
        "" => violations.required("query", None),
        text => violations.check("query", Query::parse(text)),
    };
    let order = match wire::SearchOrder::try_from(request.order) {
        Ok(wire::SearchOrder::Unspecified | wire::SearchOrder::Relevance) => Ok(SearchOrder::Relevance),
        Ok(wire::SearchOrder::UpdateTime) => Ok(SearchOrder::UpdateTime),
        Err(_) => Err("must be a value of SearchOrder"),
    };
    let order = violations.check("order", order);
    let size = SearchPageSize::parse(request.page_size).ok_or("must not be negative");
    let size = violations.check("page_size", size);
    let filter = violations.filter("filter", request.filter.as_ref());
    let show_deleted = request.show_deleted;
    violations.unless_any(query.zip(order).zip(size).map(|((query, order), size)| SearchQuery {
        query,
        order,
        show_deleted,
        filter,
        size,
        place: SearchPlace::BEGINNING,
    }))
}

impl From<FoundPage> for wire::SearchNotesResponse {
    fn from(page: FoundPage) -> Self {
        Self { results: page.found.into_iter().map(Into::into).collect(), next_page_token: page.next_page_token }
    }
}

impl From<Found> for wire::SearchResult {
    fn from(found: Found) -> Self {
        Self {
            note: Some(found.note.into()),
            excerpt: found.excerpt.text,
            excerpt_highlights: found.excerpt.highlights.into_iter().map(Into::into).collect(),
            title_highlights: found.title_highlights.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Highlight> for wire::Highlight {
    fn from(place: Highlight) -> Self {
        let number = |index| i32::try_from(index).expect("a text has few code points");
        Self { start: number(place.start), end: number(place.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(request: &wire::SearchNotesRequest) -> Vec<(String, String)> {
        match search_notes(request) {
            Err(Malformed::Fields(violations)) => {
                violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
            }
            other => panic!("no violations: {other:?}"),
        }
    }

    #[test]
    fn all_violations_of_a_search_are_told_at_once() {
        let filter = Some(wire::NoteFilter { tag: "work".to_owned(), ..wire::NoteFilter::default() });
        let bad = wire::SearchNotesRequest { order: 9, page_size: -1, filter, ..wire::SearchNotesRequest::default() };
        let fields: Vec<_> = violations(&bad).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["query", "order", "page_size", "filter.tag"]);
    }

    #[test]
    fn a_query_without_a_word_and_an_overlong_one_are_refused_with_the_rule() {
        let refusal = |query: &str| {
            let query = query.to_owned();
            violations(&wire::SearchNotesRequest { query, ..wire::SearchNotesRequest::default() }).remove(0)
        };
        let field = |rule: &str| ("query".to_owned(), rule.to_owned());
        assert_eq!(refusal(""), field("is required"));
        assert_eq!(refusal("- * \"\""), field("must have a word to look for"));
        assert_eq!(refusal(&"word ".repeat(10_000)), field("must be at most 512 code points after NFC"));
        let query = "word".to_owned();
        assert!(search_notes(&wire::SearchNotesRequest { query, ..wire::SearchNotesRequest::default() }).is_ok());
    }
}
