use authn::Subject;

use super::{App, Error};
use crate::domain::Quota;

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
    /// What the owner may keep.
    pub quota: Quota,
}

impl App {
    /// What the caller keeps: counted with each write, so this reads one row.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get_usage(&self, owner: Subject) -> Result<Usage, Error> {
        let quota = self.limits.quota;
        let Some(state) = self.repository.for_owner(owner).state().await? else {
            return Ok(Usage { note_count: 0, deleted_note_count: 0, bytes: 0, deleted_bytes: 0, quota });
        };
        Ok(Usage {
            note_count: state.note_count,
            deleted_note_count: state.deleted_note_count,
            bytes: state.bytes,
            deleted_bytes: state.deleted_bytes,
            quota,
        })
    }
}
