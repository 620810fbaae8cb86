//! What is searched for, and what a note is found by: the same on every engine.
//!
//! Begin with [`tokens`], which makes terms of a text, and with [`Query`]. A note's terms are a [`Document`]; many
//! documents become a [`Segment`], which finds the notes that have a term. A [`Plan`] asks documents and segments;
//! where order matters, as in a phrase, [`Query::fits`] reads the texts of what is left.

mod codec;
mod document;
mod finder;
mod page;
mod plan;
mod query;
mod segment;
mod token;

pub use document::{Document, TERMS_MAX};
pub use finder::{Excerpt, HIGHLIGHTS_MAX, Highlight};
pub use page::{
    RANKED_MAX, SEARCH_PAGE_SIZE_DEFAULT, SEARCH_PAGE_SIZE_MAX, SearchOrder, SearchPageSize, SearchPlace, SearchQuery,
};
pub use plan::{LOOKUPS_MAX, Lookup, Plan, Score};
pub use query::{QUERY_CODE_POINTS_MAX, Query, QueryError};
pub use segment::{Block, SEGMENT_DOCUMENTS, Segment, SegmentBuilder, stored_sequence};
pub use token::{TERM_BYTES_MAX, Token, tokens};
