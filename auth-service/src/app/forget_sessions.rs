use std::time::Duration;

use tracing::{debug, warn};

use super::{App, Error};
use crate::domain::SessionKey;

/// How many sessions are looked at in one transaction.
const PAGE: u64 = 500;
/// Between two pages: at this rate a sweep costs the store little, and passes ten million sessions in six hours.
const BETWEEN_PAGES: Duration = Duration::from_secs(1);
/// Between two sweeps, and after a failure.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(60 * 60);

impl App {
    /// Removes the sessions that ended longer ago than they are kept, a page at a time, for ever. Several replicas may
    /// do so at once.
    pub(crate) async fn keep_forgetting_sessions(&self) {
        let mut after = None;
        loop {
            after = self.forget_sessions(after, PAGE).await.unwrap_or_else(|error| {
                warn!(error = %error, "sessions that ended long ago could not be removed");
                None
            });
            self.clock.sleep(if after.is_some() { BETWEEN_PAGES } else { BETWEEN_SWEEPS }).await;
        }
    }

    /// Looks at the next `page` sessions after this one, in the order of their keys, and removes those that ended longer
    /// ago than they are kept. Returns where to go on, or nothing at the end.
    ///
    /// # Errors
    /// Only a failure.
    pub(super) async fn forget_sessions(
        &self,
        after: Option<SessionKey>,
        page: u64,
    ) -> Result<Option<SessionKey>, Error> {
        // A clock before 1970 plus the time that sessions are kept has nothing to forget.
        let Some(ended_before) = self.clock.now().checked_sub(self.limits.session_retention) else { return Ok(None) };
        let (next, removed) = self.repository.forget_sessions(after, page, ended_before).await?;
        debug!(sessions = removed, "removed {removed} sessions that ended long ago");
        Ok(next)
    }
}
