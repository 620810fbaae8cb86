use std::time::Duration;

use tracing::{debug, warn};

use super::{App, Error};

/// How many revocations are removed in one transaction.
const BATCH: u64 = 500;
/// Between two batches.
const BETWEEN_BATCHES: Duration = Duration::from_secs(1);
/// Between two looks when there was nothing left, and after a failure.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

impl App {
    /// Removes the revocations whose last token has expired, a batch at a time, for ever. Several replicas may do so at
    /// once.
    pub(crate) async fn keep_forgetting_revocations(&self) {
        loop {
            let is_more = self.forget_revocations(BATCH).await.unwrap_or_else(|error| {
                warn!(error = %error, "revocations that cover nothing any more could not be removed");
                false
            });
            self.clock.sleep(if is_more { BETWEEN_BATCHES } else { BETWEEN_LOOKS }).await;
        }
    }

    /// Removes at most `most` revocations whose last token has expired. Returns whether there may be more.
    ///
    /// # Errors
    /// Only a failure.
    pub(super) async fn forget_revocations(&self, most: u64) -> Result<bool, Error> {
        let removed = self.repository.forget_revocations(self.clock.now(), most).await?;
        debug!(revocations = removed, "removed {removed} revocations that cover nothing any more");
        Ok(removed == most)
    }
}
