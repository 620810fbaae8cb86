use std::time::SystemTime;

use authn::SessionId;
use runtime::database::{Outcome, to_micros};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryTrait as _, UpdateMany,
};
use uuid::Uuid;

use super::entity::{account, revocation, session};
use super::{Repository, RepositoryError, audit};
use crate::domain::{AccountId, Revocation, SecurityEvent};

impl Repository {
    /// Ends sessions of an account and records what that means, given how many. Returns how many.
    ///
    /// # Errors
    /// If the store fails; none is ended then.
    pub(super) async fn end_each(
        &self,
        end: UpdateMany<session::Entity>,
        facts: impl Fn(u64) -> Vec<SecurityEvent> + Clone + Send + Sync + 'static,
        account: AccountId,
        at: SystemTime,
    ) -> Result<u64, RepositoryError> {
        let ended = self.database.write(move |transaction| {
            let (end, facts) = (end.clone(), facts.clone());
            Box::pin(async move {
                let ended = end_each(transaction, end, account, at).await?;
                audit::record(transaction, facts(ended), at).await?;
                Ok(Outcome::Commit(ended))
            })
        });
        let ended = ended.await?;
        if ended > 0 {
            self.ring();
        }
        Ok(ended)
    }

    /// Removes at most `most` revocations whose last token expired before a moment. Returns how many.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn forget_revocations(
        &self,
        expired_before: SystemTime,
        most: u64,
    ) -> Result<u64, RepositoryError> {
        let expired = Query::select()
            .column(revocation::Column::RevocationId)
            .from(revocation::Entity)
            .and_where(revocation::Column::ExpiresAt.lt(to_micros(expired_before)))
            .limit(most)
            .to_owned();
        let forget = revocation::Entity::delete_many().filter(revocation::Column::RevocationId.in_subquery(expired));
        let forgotten = self.database.write(move |transaction| {
            let forget = forget.clone();
            Box::pin(async move { Ok(Outcome::Commit(forget.exec(transaction).await?.rows_affected)) })
        });
        Ok(forgotten.await?)
    }

    /// To be called after a commit that revoked something.
    pub(super) fn ring(&self) {
        self.doorbell.send_modify(|rung| *rung = rung.wrapping_add(1));
    }
}

/// Writes what verifiers are to refuse, in the transaction that makes it so.
pub(super) async fn record(
    transaction: &impl ConnectionTrait,
    revocations: &[Revocation],
    at: SystemTime,
) -> Result<(), DbErr> {
    if revocations.is_empty() {
        return Ok(());
    }
    let rows = revocations.iter().map(|revocation| row_of(revocation, at));
    revocation::Entity::insert_many(rows).exec_without_returning(transaction).await.map(|_| ())
}

/// Ends sessions of an account and writes that verifiers are to refuse their access tokens. Returns how many.
pub(super) async fn end_each(
    transaction: &impl ConnectionTrait,
    end: UpdateMany<session::Entity>,
    account: AccountId,
    at: SystemTime,
) -> Result<u64, DbErr> {
    let mut end = end.into_query();
    end.returning_col(session::Column::Sid);
    let mut ended = Vec::new();
    for row in transaction.query_all(&end).await? {
        let session = SessionId::from_uuid(row.try_get_by_index::<Uuid>(0)?);
        ended.push(Revocation::Session { account, session });
    }
    record(transaction, &ended, at).await?;
    Ok(u64::try_from(ended.len()).unwrap_or(u64::MAX))
}

/// Changes an account in the way given and raises its token version, and writes that verifiers are to refuse its access
/// tokens. Returns whether there was such an account.
pub(super) async fn raise_version(
    transaction: &impl ConnectionTrait,
    change: UpdateMany<account::Entity>,
    account: AccountId,
    at: SystemTime,
) -> Result<bool, DbErr> {
    let raised = Expr::col(account::Column::TokenVersion).add(1);
    let mut change = change.col_expr(account::Column::TokenVersion, raised).into_query();
    change.returning_col(account::Column::TokenVersion);
    let Some(row) = transaction.query_one(&change).await? else { return Ok(false) };
    let minimum_version = u64::try_from(row.try_get_by_index::<i64>(0)?).unwrap_or(u64::MAX);
    record(transaction, &[Revocation::Subject { account, minimum_version }], at).await?;
    Ok(true)
}

fn row_of(revocation: &Revocation, at: SystemTime) -> revocation::ActiveModel {
    let (kind, account, session, minimum_version, kid) = match revocation {
        Revocation::Session { account, session } => ("session", Some(*account), Some(session.as_uuid()), None, None),
        // A version that no store can hold is one that no token has: the highest that it can hold covers as much.
        Revocation::Subject { account, minimum_version } => {
            ("subject", Some(*account), None, Some(i64::try_from(*minimum_version).unwrap_or(i64::MAX)), None)
        }
        Revocation::Key { kid } => ("key", None, None, None, Some(kid.clone())),
        Revocation::All => ("all", None, None, None, None),
    };
    revocation::ActiveModel {
        revocation_id: NotSet,
        kind: Set(kind.to_owned()),
        account_id: Set(account.map(AccountId::as_uuid)),
        sid: Set(session),
        minimum_version: Set(minimum_version),
        kid: Set(kid),
        created_at: Set(to_micros(at)),
        expires_at: Set(to_micros(at + Revocation::KEPT)),
    }
}

#[cfg(test)]
impl Repository {
    /// The revocations of the store in the order of their numbers.
    pub(crate) async fn revocations(&self) -> Vec<Revocation> {
        let read = self.revocations_after(0, 1_000, SystemTime::UNIX_EPOCH).await.expect("read");
        read.into_iter().map(|logged| logged.revocation).collect()
    }
}
