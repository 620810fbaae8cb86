use authn::Subject;

use super::{App, Error};
use crate::domain::{Etag, Tag, TagId};
use crate::repository::{TagDeleted, TagDeletion};

/// A tag to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteTag {
    /// Which one.
    pub id: TagId,
    /// The version that is meant; none takes whatever is there.
    pub etag: Option<Etag>,
    /// Whether to take it from the live notes that have it.
    pub force: bool,
}

impl App {
    /// Deletes a tag. With `force` it is taken from its notes, some of them at a time, between which others may write; at
    /// each moment the tags of every note are tags of its owner.
    ///
    /// # Errors
    /// `TagNotFound`, `TagInUse`, `EtagMismatch`, or a failure of the store; then the tag may have been taken from some of its
    /// notes, and repeating the call takes it from the others.
    pub async fn delete_tag(&self, owner: Subject, delete: DeleteTag) -> Result<(), Error> {
        let refuse = move |tag: &Tag| delete.refuse(tag);
        let mut begun = false;
        loop {
            let now = self.clock.now();
            let deletion = TagDeletion { id: delete.id, now, remembered: now + self.limits.tombstone_retention };
            match self.repository.for_owner(owner).delete_tag(deletion, refuse).await? {
                TagDeleted::More => begun = true,
                TagDeleted::Done => return Ok(()),
                TagDeleted::Refused(error) => return Err(error),
                // Another call has finished the work.
                TagDeleted::Missing if begun => return Ok(()),
                TagDeleted::Missing => return Err(Error::TagNotFound),
            }
        }
    }
}

impl DeleteTag {
    fn refuse(&self, tag: &Tag) -> Option<Error> {
        if self.etag.is_some_and(|etag| etag != tag.etag) {
            return Some(Error::EtagMismatch);
        }
        (tag.note_count > 0 && !self.force).then_some(Error::TagInUse(tag.note_count))
    }
}
