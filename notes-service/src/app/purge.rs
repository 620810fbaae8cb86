use std::convert::Infallible;
use std::time::Duration;

use runtime::database::DatabaseError;

use super::App;
use crate::repository::{DueOwner, Purge};

/// How often and in what portions things are removed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgePace {
    /// Time from the end of one round to the next.
    pub interval: Duration,
    /// Most rows of each kind that one transaction removes.
    pub batch: u16,
}

impl App {
    /// Removes for good what is due, again and again: notes whose purge time has come or whose trash was emptied, and
    /// what is remembered no longer. Several replicas may do so at the same time.
    pub async fn purge_forever(&self, pace: PurgePace) -> Infallible {
        loop {
            let rest = self.clock.sleep(pace.interval);
            self.repository.ready().await;
            match self.purge(pace.batch).await {
                Ok(0) => {}
                Ok(notes) => tracing::info!(notes, "removed {notes} notes for good"),
                Err(error) => tracing::warn!(%error, "what is due could not be removed, and is left for the next time"),
            }
            rest.await;
        }
    }

    /// Removes for good whatever is due now, of every owner, `batch` rows a time. Says how many notes that were.
    ///
    /// # Errors
    /// If the store is away; what was removed until then is gone, and the rest is still due. A failure with one owner does
    /// not keep the others waiting: it is logged.
    pub async fn purge(&self, batch: u16) -> Result<usize, DatabaseError> {
        let now = self.clock.now();
        let purge = Purge { now, tombstone_retention: self.limits.tombstone_retention, batch };
        let (mut notes, mut place) = (0, None);
        loop {
            let due = self.repository.due_owners(place, now).await?;
            for owner in due.owners {
                match self.purge_owner(owner, purge).await {
                    Ok(removed) => notes += removed,
                    Err(error @ DatabaseError::Unavailable(_)) => return Err(error),
                    Err(error) => tracing::warn!(%error, "what is due of one owner could not be removed"),
                }
            }
            match due.next {
                None => return Ok(notes),
                next => place = next,
            }
        }
    }

    async fn purge_owner(&self, owner: DueOwner, purge: Purge) -> Result<usize, DatabaseError> {
        let mut notes = 0;
        loop {
            let purged = self.repository.purge(owner, purge).await?;
            notes += purged.notes;
            if !purged.more {
                return Ok(notes);
            }
        }
    }
}
