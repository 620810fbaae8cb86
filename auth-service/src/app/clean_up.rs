use std::time::Duration;

use tracing::{debug, warn};

use super::{App, Error};

/// How many rows of a table are removed in one transaction.
const BATCH: u64 = 500;
/// Between two batches.
const BETWEEN_BATCHES: Duration = Duration::from_secs(1);
/// Between two looks when there was nothing left, and after a failure.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

impl App {
    /// Removes the revocations whose last token has expired, and the audit records that are old enough, a batch at a
    /// time, for ever. Several replicas may do so at once.
    pub(crate) async fn keep_cleaning_up(&self) {
        loop {
            let is_more = self.clean_up(BATCH).await.unwrap_or_else(|error| {
                warn!(error = %error, "what is not needed any more could not be removed");
                false
            });
            self.clock.sleep(if is_more { BETWEEN_BATCHES } else { BETWEEN_LOOKS }).await;
        }
    }

    /// Removes at most `most` of each. Returns whether there may be more.
    ///
    /// # Errors
    /// Only a failure.
    pub(super) async fn clean_up(&self, most: u64) -> Result<bool, Error> {
        let now = self.clock.now();
        let revocations = self.repository.forget_revocations(now, most).await?;
        let records = match now.checked_sub(self.audit.settings.retention) {
            Some(before) => self.repository.forget_audit(before, most).await?,
            // A clock before 1970 plus the time that records are kept has nothing to forget.
            None => 0,
        };
        debug!(revocations, records, "removed {revocations} revocations and {records} audit records");
        Ok(revocations.max(records) == most)
    }
}
