use authn::Subject;

use super::{App, Error};

impl App {
    /// Removes every note of the trash for good, at once, and says how many.
    ///
    /// # Errors
    /// If the store fails; nothing is removed then.
    pub async fn empty_trash(&self, owner: Subject) -> Result<u64, Error> {
        Ok(self.repository.for_owner(owner).empty_trash(self.clock.now()).await?)
    }

    /// How many notes emptying the trash would remove.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_trash(&self, owner: Subject) -> Result<u64, Error> {
        let state = self.repository.for_owner(owner).state().await?;
        Ok(state.map_or(0, |state| state.deleted_note_count))
    }
}
