//! What verifiers must know, as a replica reads it again and again.

use std::time::SystemTime;

use authn::SessionId;
use runtime::database::{from_micros, to_micros};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use super::entity::revocation;
use super::{Repository, RepositoryError};
use crate::domain::{AccountId, LoggedRevocation, Revocation};

impl Repository {
    /// The next revocations after a number, at most `most`, in the order of their numbers and without those that cover
    /// nothing any more.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn revocations_after(
        &self,
        number: i64,
        most: u64,
        now: SystemTime,
    ) -> Result<Vec<LoggedRevocation>, RepositoryError> {
        let find = revocation::Entity::find()
            .filter(revocation::Column::RevocationId.gt(number))
            .filter(revocation::Column::ExpiresAt.gt(to_micros(now)))
            .order_by_asc(revocation::Column::RevocationId)
            .limit(most);
        let rows = self.database.read(move |connection| Box::pin(find.all(connection))).await?;
        rows.into_iter().map(logged).collect()
    }

    /// Tells of every commit of this process after which verifiers have something new to refuse. What other replicas
    /// commit is to be looked for.
    pub(crate) fn trust_changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.doorbell.subscribe()
    }
}

fn logged(row: revocation::Model) -> Result<LoggedRevocation, RepositoryError> {
    let account = row.account_id.map(AccountId::from_uuid);
    let minimum_version = row.minimum_version.and_then(|version| u64::try_from(version).ok());
    let revocation = match (row.kind.as_str(), account, row.sid, minimum_version, row.kid) {
        ("session", Some(account), Some(sid), None, None) => {
            Revocation::Session { account, session: SessionId::from_uuid(sid) }
        }
        ("subject", Some(account), None, Some(minimum_version), None) => {
            Revocation::Subject { account, minimum_version }
        }
        ("key", None, None, None, Some(kid)) => Revocation::Key { kid },
        ("all", None, None, None, None) => Revocation::All,
        _ => return Err(RepositoryError::Corrupt { table: "revocations", column: "kind" }),
    };
    Ok(LoggedRevocation {
        number: row.revocation_id,
        revocation,
        revoked_at: from_micros(row.created_at),
        expires_at: from_micros(row.expires_at),
    })
}

#[cfg(test)]
impl Repository {
    /// Writes a revocation in a transaction of its own: says when it is written, and commits when it may.
    pub(crate) async fn record_held(
        &self,
        revocation: Revocation,
        at: SystemTime,
        written: std::sync::Arc<tokio::sync::Notify>,
        may_commit: std::sync::Arc<tokio::sync::Notify>,
    ) {
        use runtime::database::Outcome;
        let recorded = self.database.write(move |transaction| {
            let (revocation, written, may_commit) = (revocation.clone(), written.clone(), may_commit.clone());
            Box::pin(async move {
                super::revocations::record(transaction, &[revocation], at).await?;
                written.notify_one();
                may_commit.notified().await;
                Ok(Outcome::Commit(()))
            })
        });
        recorded.await.expect("recorded");
    }
}
