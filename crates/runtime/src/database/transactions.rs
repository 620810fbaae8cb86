//! Transactions that write, on PostgreSQL, tried again while others win.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::DbErr;
use sea_orm::error::RuntimeErr;
use tokio::time::{sleep, timeout};

use super::Outcome;
use super::connection::Connection;
use super::error::Class;
use super::owned::Reach;
use super::pool::{Lease, Pool, overdue};
use super::row_security::RowSecurity;

/// How often a transaction is tried when others win.
const TRIES: u32 = 4;
/// The first wait between two tries is drawn from zero to this, the next from twice as much.
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// What transactions that write have need of.
pub(super) struct Transactions {
    pub(super) pool: Arc<Pool>,
    pub(super) within: Duration,
    pub(super) security: Option<RowSecurity>,
    pub(super) reach: Reach,
    pub(super) commits: Arc<AtomicU64>,
}

impl Transactions {
    /// Tries again while others win.
    pub(super) async fn until_won<T, W>(&self, work: &W) -> Result<T, DbErr>
    where
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>>,
    {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match self.lend(work).await {
                Err(error) if Class::of(&error) == Class::Contended => sleep(jittered(wait)).await,
                result => return result,
            }
            wait *= 2;
        }
        self.lend(work).await
    }

    async fn lend<T, W>(&self, work: &W) -> Result<T, DbErr>
    where
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>>,
    {
        let mut lease = self.pool.lease().await?;
        let admission = self.security.as_ref().map(|security| security.admission(&self.reach)).unwrap_or_default();
        let begin = format!("BEGIN READ WRITE{admission}");
        // Dropped in the middle, by the time or by a panic, the lease is closed: the server rolls back.
        let (result, ended) = timeout(self.within, transact(&mut lease, begin, work)).await.map_err(|_| overdue())?;
        if ended {
            lease.give_back();
        }
        if let Ok((_, true)) = &result {
            self.commits.fetch_add(1, Ordering::AcqRel);
        }
        result.map(|(value, _committed)| value)
    }
}

/// The work's value and whether it was committed; and whether the connection is out of the transaction.
async fn transact<T, W>(lease: &mut Lease, begin: String, work: &W) -> (Result<(T, bool), DbErr>, bool)
where
    W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>>,
{
    if let Err(error) = lease.order(begin).await {
        // Also of a standby that will not be written to: somebody should look for another server.
        let error = match Class::of(&error) {
            Class::Fault => DbErr::Conn(RuntimeErr::Internal(format!("no transaction can begin: {error}"))),
            _ => error,
        };
        return (Err(error), false);
    }
    match work(lease).await {
        // In a transaction that a statement has broken COMMIT would roll back without a word; SELECT fails there.
        Ok(Outcome::Commit(value)) => match lease.control("SELECT 1; COMMIT").await {
            Ok(()) => (Ok((value, true)), true),
            Err(error) => (Err(error), lease.control("ROLLBACK").await.is_ok()),
        },
        Ok(Outcome::Rollback(value)) => (Ok((value, false)), lease.control("ROLLBACK").await.is_ok()),
        Err(error) => (Err(error), lease.control("ROLLBACK").await.is_ok()),
    }
}

/// A wait drawn from zero to `most`, so that those who met once do not meet again.
pub(super) fn jittered(most: Duration) -> Duration {
    let drawn = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    most * drawn / 255
}
