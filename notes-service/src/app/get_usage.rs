use authn::Subject;

use super::{App, Error};
use crate::domain::{OwnerState, Quota};

/// What an owner keeps and may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Notes, the trash included.
    pub note_count: u64,
    /// Notes in the trash.
    pub deleted_note_count: u64,
    /// Bytes of titles and contents, the trash included.
    pub bytes: u64,
    /// Bytes of titles and contents in the trash.
    pub deleted_bytes: u64,
    /// Tags.
    pub tag_count: u64,
    /// What the owner may keep.
    pub quota: Quota,
    /// Bytes of titles and contents of revisions.
    pub revision_bytes: u64,
    /// Most of them that the owner may keep.
    pub revision_byte_limit: u64,
}

impl App {
    /// What the caller keeps: counted with each write, so this reads one row.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get_usage(&self, owner: Subject) -> Result<Usage, Error> {
        let state = self.repository.for_owner(owner).state().await?.unwrap_or_else(|| OwnerState::empty(0));
        Ok(Usage {
            note_count: state.note_count,
            deleted_note_count: state.deleted_note_count,
            bytes: state.bytes,
            deleted_bytes: state.deleted_bytes,
            quota: self.limits.quota,
            revision_bytes: state.revision_bytes,
            revision_byte_limit: self.limits.revisions.bytes,
            tag_count: state.tag_count,
        })
    }
}
