use authn::Subject;

use super::{App, Error, draw};
use crate::domain::{Tag, TagFields, TagId};
use crate::repository::TagCreation;

impl App {
    /// Makes a tag.
    ///
    /// # Errors
    /// `TagNameTaken`, `TagQuota`, or a failure of the store; nothing is made then.
    pub async fn create_tag(&self, owner: Subject, fields: TagFields) -> Result<Tag, Error> {
        let now = self.clock.now();
        match self.repository.for_owner(owner).create_tag(TagId::from_uuid(draw(now)), fields, now).await? {
            TagCreation::Created(tag) => Ok(tag),
            TagCreation::NameTaken(tag) => Err(Error::TagNameTaken(tag)),
            TagCreation::QuotaExceeded(exceeded) => Err(exceeded.into()),
        }
    }
}
