use std::time::SystemTime;

use runtime::database::{DatabaseError, Outcome};

use super::{OwnedNotes, owner_state};

impl OwnedNotes<'_> {
    /// Empties the trash at once, however many notes lie in it, and says how many. They are found no more from then on;
    /// their rows go later.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub async fn empty_trash(self, now: SystemTime) -> Result<u64, DatabaseError> {
        let owner = self.owner_id();
        let work = self.repository.write([owner], move |transaction| {
            Box::pin(async move {
                let Some(mut state) = owner_state::lock(transaction, [owner]).await?.remove(&owner) else {
                    return Ok(Outcome::Rollback(0));
                };
                let emptied = state.empty_trash(now);
                if emptied == 0 {
                    return Ok(Outcome::Rollback(0));
                }
                owner_state::save(transaction, [(owner, &state)]).await?;
                Ok(Outcome::Commit(emptied))
            })
        });
        work.await
    }
}
