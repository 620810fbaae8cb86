//! What the service does, one file per use case.

mod batch;
mod create_note;
mod create_tag;
mod delete_note;
mod delete_tag;
mod empty_trash;
mod expunge_note;
mod get_usage;
mod list_note_changes;
mod list_notes;
mod list_revisions;
mod list_tags;
mod purge;
mod roll_back_note;
mod search_notes;
#[cfg(test)]
mod tests;
mod undelete_note;
mod update_note;
mod update_tag;
mod watch_notes;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::Clock;
use runtime::batch::BatchError;
use runtime::database::DatabaseError;
use tokio::sync::watch;
use uuid::{NoContext, Timestamp, Uuid};

pub use create_note::CreateNote;
pub use delete_note::DeleteNote;
pub use delete_tag::DeleteTag;
pub use get_usage::Usage;
pub use list_note_changes::{ListNoteChanges, NoteChangesPage};
pub use list_notes::{ListNotes, NotesPage};
pub use list_revisions::{ListRevisions, RevisionsPage};
pub use list_tags::TagsPage;
pub use purge::PurgePace;
pub use roll_back_note::RollBackNote;
pub use search_notes::FoundPage;
pub use update_note::{UpdateNote, Writer};
pub use update_tag::UpdateTag;
pub use watch_notes::{GoingAway, WATCH_BATCH_BYTES, WATCH_BATCH_CHANGES, WatchEvent, WatchLimits, WatchNotes};

use crate::crypto::{PageTokens, SyncTokens};
use crate::domain::{Quota, QuotaExceeded, RevisionPolicy, TagId};
use crate::repository::{CreateError, NoteRepository, UnknownTags};

/// The use cases and what they work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    repository: NoteRepository,
    page_tokens: Arc<PageTokens>,
    sync_tokens: Arc<SyncTokens>,
    limits: Limits,
    watch_limits: WatchLimits,
    draining: Arc<watch::Sender<bool>>,
    clock: Clock,
}

/// Limits and lifetimes that an operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What one owner may keep.
    pub quota: Quota,
    /// How long a note stays in the trash.
    pub trash_retention: Duration,
    /// How long a request may be repeated.
    pub request_memory: Duration,
    /// How long the id of a note that was removed for good is remembered.
    pub tombstone_retention: Duration,
    /// How versions are kept.
    pub revisions: RevisionPolicy,
}

/// Every way to be refused, and every way to fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller has no such note; whether somebody else has makes no difference.
    #[error("there is no such note")]
    NoteNotFound,
    /// The caller's note has no such revision, or no longer.
    #[error("the note has no such revision")]
    RevisionNotFound,
    /// The caller has a note with the id of the new one.
    #[error("there is a note with this id")]
    NoteExists,
    /// The caller had a note with the id of the new one and removed it for good.
    #[error("a note with this id was removed for good not long ago")]
    NoteExpunged,
    /// The request id came with another request before.
    #[error("the request id was used for another request")]
    RequestIdReused,
    /// The caller has as many notes as allowed.
    #[error("at most {0} notes can be kept")]
    NoteQuota(u64),
    /// The caller has as many bytes as allowed.
    #[error("at most {0} bytes can be kept")]
    ByteQuota(u64),
    /// The caller has no such tag; whether somebody else has makes no difference.
    #[error("there is no such tag")]
    TagNotFound,
    /// This tag of the caller has the same name.
    #[error("there is a tag with this name")]
    TagNameTaken(TagId),
    /// So many live notes have the tag.
    #[error("notes have the tag; force takes it from them")]
    TagInUse(u64),
    /// The caller has as many tags as allowed.
    #[error("at most {0} tags can be kept")]
    TagQuota(u64),
    /// The note is to have tags that the caller does not have, at these places; whether somebody else has makes no difference.
    #[error("there are no such tags")]
    UnknownTags(Vec<usize>),
    /// The caller's revisions come to as many bytes as allowed.
    #[error("at most {0} bytes of revisions can be kept")]
    RevisionByteQuota(u64),
    /// The note has changed since the caller read it.
    #[error("the note has changed since it was read")]
    EtagMismatch,
    /// The note is in the trash.
    #[error("the note is in the trash")]
    NoteDeleted,
    /// The note is not in the trash.
    #[error("the note is not in the trash")]
    NoteAlreadyLive,
    /// The note must go to the trash first.
    #[error("the note must be in the trash to be removed for good")]
    NoteNotDeleted,
    /// The page token is altered, old, somebody else's, or of other arguments.
    #[error("the page token is not valid for this request")]
    PageTokenInvalid,
    /// The sync token is altered, or somebody else's.
    #[error("the sync token is not valid")]
    SyncTokenInvalid,
    /// What must be known to go on from the sync token is known no more.
    #[error("begin again with an empty sync token and drop what it does not bring")]
    SyncTokenExpired,
    /// The caller has as many streams open as allowed.
    #[error("at most {0} streams can be open")]
    WatchLimit(usize),
    /// The notes of a batch would not fit one answer.
    #[error("the notes do not fit one answer; ask for the basic view or for fewer")]
    ResponseTooLarge,
    /// One of a batch was refused, and so were all.
    #[error("{error}")]
    InBatch {
        /// Its place in the request.
        index: usize,
        /// Why.
        error: Box<Self>,
    },
    /// Too much work waits.
    #[error("too many requests")]
    Overloaded,
    /// The store cannot be reached.
    #[error("the store is unavailable")]
    StoreUnavailable(#[source] Arc<DatabaseError>),
    /// Other writers of the same notes came first.
    #[error("other writes came first")]
    WriteContention(#[source] Arc<DatabaseError>),
    /// The world is broken.
    #[error("internal error")]
    Fault(#[source] Box<dyn StdError + Send + Sync>),
}

impl App {
    /// The use cases on `repository`.
    #[must_use]
    pub fn new(
        repository: NoteRepository,
        page_tokens: PageTokens,
        sync_tokens: SyncTokens,
        limits: Limits,
        watch_limits: WatchLimits,
        clock: Clock,
    ) -> Self {
        Self {
            repository,
            page_tokens: Arc::new(page_tokens),
            sync_tokens: Arc::new(sync_tokens),
            limits,
            watch_limits,
            draining: Arc::default(),
            clock,
        }
    }

    /// The notes themselves, for a use case that is one call.
    #[must_use]
    pub const fn notes(&self) -> &NoteRepository {
        &self.repository
    }
}

/// A UUIDv7, so that what an owner makes is inserted one beside the other.
fn draw(now: SystemTime) -> Uuid {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

impl From<QuotaExceeded> for Error {
    fn from(exceeded: QuotaExceeded) -> Self {
        match exceeded {
            QuotaExceeded::Notes(limit) => Self::NoteQuota(limit),
            QuotaExceeded::Bytes(limit) => Self::ByteQuota(limit),
            QuotaExceeded::Tags(limit) => Self::TagQuota(limit),
            QuotaExceeded::RevisionBytes(limit) => Self::RevisionByteQuota(limit),
        }
    }
}

impl From<UnknownTags> for Error {
    fn from(UnknownTags(places): UnknownTags) -> Self {
        Self::UnknownTags(places)
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<DatabaseError>> for Error {
    fn from(error: Arc<DatabaseError>) -> Self {
        match *error {
            DatabaseError::Unavailable(_) => Self::StoreUnavailable(error),
            DatabaseError::Contention(_) => Self::WriteContention(error),
            DatabaseError::Fault(_) => Self::Fault(Box::new(error)),
        }
    }
}

impl From<CreateError> for Error {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Store(error) => error.into(),
            CreateError::Batch(BatchError::Full) => Self::Overloaded,
            CreateError::Batch(error @ BatchError::Lost) => Self::Fault(Box::new(error)),
        }
    }
}
