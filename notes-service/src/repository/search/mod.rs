//! The index of an owner's notes: what changed lately one by one, what changed before in segments.
//!
//! A note is in the index under the number of its last change, so that an entry of an older version finds nothing: it
//! need not be removed when the note changes, and later numbers are later changes. `entries` writes with the note,
//! `segments` gathers entries and rewrites what has become sparse, `upkeep` is what is left for the background,
//! `candidates` reads the index and `read` the notes that it leads to, as far as they pass the `sieve`.

mod candidates;
mod entries;
mod read;
mod segments;
mod sieve;
mod upkeep;

pub(super) use entries::{Entry, add, follow, forget, replace};
pub use read::{Found, SearchPage};
pub(super) use upkeep::maintain;
#[cfg(test)]
pub(super) use {
    candidates::newest_entries, candidates::newest_segments, read::notes_by_changes, segments::oldest_entries,
    sieve::Sieve, sieve::by_names,
};

const RECENT: &str = "search_recent";
const SEGMENTS: &str = "search_segments";
const BLOCKS: &str = "search_blocks";
const BACKLOG: &str = "search_backlog";
