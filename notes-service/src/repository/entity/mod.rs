//! The rows of the tables, seen by the repository alone.

pub(super) mod create_request;
pub(super) mod note;
pub(super) mod note_body;
pub(super) mod note_revision;
pub(super) mod note_tag;
pub(super) mod owner_state;
pub(super) mod tag;
pub(super) mod tag_tombstone;
pub(super) mod tombstone;
