use super::{Query, Score};
use crate::domain::NoteFilter;

/// Page size of a search when the caller names none.
pub const SEARCH_PAGE_SIZE_DEFAULT: u16 = 20;
/// Largest page of a search; more is brought down to it.
pub const SEARCH_PAGE_SIZE_MAX: u16 = 100;
/// How many notes, the ones that changed last, are ranked.
pub const RANKED_MAX: usize = 1_000;

/// In which order notes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchOrder {
    /// The best ones first, among the [`RANKED_MAX`] that changed last.
    Relevance,
    /// The ones that changed last first.
    UpdateTime,
}

/// How many notes a page of a search holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchPageSize(u16);

impl SearchPageSize {
    /// Reads a page size: 0 is the default, more than the largest is the largest, negative is refused (AIP-158).
    #[must_use]
    pub fn parse(size: i32) -> Option<Self> {
        match size {
            ..0 => None,
            0 => Some(Self(SEARCH_PAGE_SIZE_DEFAULT)),
            size => Some(Self(u16::try_from(size).unwrap_or(SEARCH_PAGE_SIZE_MAX).min(SEARCH_PAGE_SIZE_MAX))),
        }
    }

    /// The number of notes.
    #[must_use]
    pub fn get(self) -> usize {
        self.0.into()
    }
}

/// Where a page of a search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchPlace {
    /// Only notes whose last change has a lower number are looked at.
    pub before: i64,
    /// How many notes were ranked of those with higher numbers.
    pub ranked: usize,
    /// The rank and the change of the last note of the page before, if it ranked the same notes.
    pub after: Option<(Score, i64)>,
}

impl SearchPlace {
    /// The beginning.
    pub const BEGINNING: Self = Self { before: i64::MAX, ranked: 0, after: None };
}

/// Which page of a search to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// What is looked for.
    pub query: Query,
    /// In which order.
    pub order: SearchOrder,
    /// Whether notes in the trash are found too.
    pub show_deleted: bool,
    /// Among which notes.
    pub filter: NoteFilter,
    /// How many notes at most.
    pub size: SearchPageSize,
    /// Where to begin.
    pub place: SearchPlace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_is_brought_into_bounds_and_negative_is_refused() {
        let check =
            |size, expected| assert_eq!(SearchPageSize::parse(size).map(SearchPageSize::get), expected, "{size}");
        check(0, Some(20));
        check(1, Some(1));
        check(100, Some(100));
        check(101, Some(100));
        check(i32::MAX, Some(100));
        check(-1, None);
        check(i32::MIN, None);
    }
}
