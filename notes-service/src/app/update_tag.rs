use authn::Subject;

use super::{App, Error};
use crate::domain::{Etag, OwnerState, Tag, TagId, TagPatch};
use crate::repository::{TagChanged, TagDecision};

/// A tag to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateTag {
    /// Which one.
    pub id: TagId,
    /// What to change.
    pub patch: TagPatch,
    /// The version that the change is meant for; none takes whatever is there.
    pub etag: Option<Etag>,
}

impl App {
    /// Changes a tag and no note. A change that changes nothing leaves its etag and times.
    ///
    /// # Errors
    /// `TagNotFound`, `TagNameTaken`, `EtagMismatch`, or a failure of the store; nothing is changed then.
    pub async fn update_tag(&self, owner: Subject, UpdateTag { id, patch, etag }: UpdateTag) -> Result<Tag, Error> {
        let now = self.clock.now();
        let decide = move |owner: &mut OwnerState, tag: &Tag| {
            if etag.is_some_and(|etag| etag != tag.etag) {
                return TagDecision::Refuse(Error::EtagMismatch);
            }
            let fields = patch.apply(&tag.fields);
            if fields == tag.fields {
                return TagDecision::Keep;
            }
            TagDecision::Save(tag.clone().changed_at(fields, owner.stamp(now).time))
        };
        match self.repository.for_owner(owner).change_tag(id, decide).await? {
            TagChanged::Done(tag) => Ok(tag),
            TagChanged::Refused(error) => Err(error),
            TagChanged::NameTaken(tag) => Err(Error::TagNameTaken(tag)),
            TagChanged::Missing => Err(Error::TagNotFound),
        }
    }
}
