//! The rules: pure values and decisions, without I/O, clock or randomness.

mod digest;
mod etag;
mod filter;
mod note;
mod owner_state;
mod page;
mod patch;
mod request;
mod revision;
pub mod search;
mod sync;
mod tag;
mod text;

pub use digest::SetDigest;
pub use etag::Etag;
pub use filter::{NoteFilter, TimeRange, TimeRangeError};
pub use note::{Color, Note, NoteFields, NoteId, Trashed, View};
pub use owner_state::{OwnerState, Quota, QuotaExceeded, Stamp};
pub use page::{
    BATCH_SIZE_MAX, NOTE_BYTES_BESIDE_CONTENT, Order, PAGE_BYTES, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PageBudget,
    PageQuery, PageSize, Position, SCANNED_MAX, SortField, SortValue, fits_an_answer,
};
pub use patch::{NotePatch, Update};
pub use request::{Fingerprint, RequestId};
pub use revision::{
    History, REVISION_PAGE_SIZE_DEFAULT, REVISION_PAGE_SIZE_MAX, Replacement, Revision, RevisionId, RevisionPolicy,
    RevisionQuery, RevisionReason,
};
pub use sync::{
    CHANGES_PAGE_SIZE_DEFAULT, CHANGES_PAGE_SIZE_MAX, Change, ChangesPageSize, ChangesQuery, NotesDigest, Resumption,
    SyncPoint,
};
pub use tag::{
    TAG_NAME_CODE_POINTS_MAX, TAG_PAGE_SIZE_DEFAULT, TAG_PAGE_SIZE_MAX, TAGS_PER_NOTE_MAX, TAGS_PER_OWNER_MAX, Tag,
    TagFields, TagId, TagName, TagNameError, TagNameKey, TagPatch,
};
pub use text::{
    CONTENT_BYTES_MAX, CONTENT_CODE_POINTS_MAX, Content, SNIPPET_CODE_POINTS, Snippet, TITLE_CODE_POINTS_MAX,
    TITLE_KEY_BYTES_MAX, TextError, Title, TitleKey,
};
