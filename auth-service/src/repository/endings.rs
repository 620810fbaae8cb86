use std::time::SystemTime;

use runtime::database::{Outcome, to_micros};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use super::accounts::{number, state_name};
use super::entity::{account, email_claim, outbox, session};
use super::revocations::{raise_version, record};
use super::sessions::{advance, end};
use super::{Repository, RepositoryError, audit};
use crate::domain::{
    Account, AccountId, AccountState, PasswordHash, Revocation, RevokeReason, SecurityEvent, Session, SessionKey,
};

/// What an account has from a change of its password on.
#[derive(Clone, Debug)]
pub(crate) struct NewPassword {
    /// The hash of its password.
    pub(crate) hash: PasswordHash,
    /// Its token version, the one after that of the change's caller.
    pub(crate) token_version: u64,
}

impl Repository {
    /// Changes a password, moves the session in which that is done on to `own`, and ends all others of the account, in
    /// one transaction. Returns how many others; nothing if the account or the session was changed meanwhile, and
    /// nothing is stored then.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn change_password(
        &self,
        own: &Session,
        new: NewPassword,
        at: SystemTime,
    ) -> Result<Option<u64>, RepositoryError> {
        let version = number(new.token_version)?;
        let (account, tokens) = (own.key.account, self.tokens_created(own));
        let revoked = Revocation::Subject { account, minimum_version: new.token_version };
        let change = account::Entity::update_many()
            .col_expr(account::Column::PasswordHash, Expr::value(new.hash.as_phc()))
            .col_expr(account::Column::TokenVersion, Expr::value(version))
            .filter(account::Column::AccountId.eq(own.key.account.as_uuid()))
            .filter(account::Column::State.eq(state_name(AccountState::Active)))
            .filter(account::Column::TokenVersion.eq(version - 1));
        let advance = advance(own)?;
        let end_others = end(own.key.account, RevokeReason::PasswordChange, at)
            .filter(session::Column::Sid.ne(own.key.session.as_uuid()));
        let changed = self.database.write(move |transaction| {
            let (change, advance, end_others) = (change.clone(), advance.clone(), end_others.clone());
            let revoked = revoked.clone();
            Box::pin(async move {
                // The account comes first: a login that is under way holds it until its session is there to be ended.
                let changed = change.exec(transaction).await?.rows_affected == 1
                    && advance.exec(transaction).await?.rows_affected == 1;
                if !changed {
                    return Ok(Outcome::Rollback(None));
                }
                // That covers the others too, and the tokens that this session has had.
                record(transaction, &[revoked], at).await?;
                let ended = end_others.exec(transaction).await?.rows_affected;
                let facts = [SecurityEvent::PasswordChanged(account)].into_iter();
                let facts = facts.chain(ended_at_once(account, RevokeReason::PasswordChange, ended)).chain(tokens);
                audit::record(transaction, facts, at).await?;
                Ok(Outcome::Commit(Some(ended)))
            })
        });
        let changed = changed.await?;
        if changed.is_some() {
            self.ring();
        }
        Ok(changed)
    }

    /// Ends all sessions of an account but this one. Returns how many.
    ///
    /// # Errors
    /// If the store fails; none is ended then.
    pub(crate) async fn revoke_others(
        &self,
        own: SessionKey,
        reason: RevokeReason,
        at: SystemTime,
    ) -> Result<u64, RepositoryError> {
        let end_others = end(own.account, reason, at).filter(session::Column::Sid.ne(own.session.as_uuid()));
        let facts = move |ended| ended_at_once(own.account, reason, ended).into_iter().collect();
        self.end_each(end_others, facts, own.account, at).await
    }

    /// Ends all sessions of an account and raises its token version, which ends its access tokens. Returns how many.
    ///
    /// # Errors
    /// If the store fails; none is ended then.
    pub(crate) async fn revoke_all(
        &self,
        account: AccountId,
        reason: RevokeReason,
        at: SystemTime,
    ) -> Result<u64, RepositoryError> {
        let raise = account::Entity::update_many().filter(account::Column::AccountId.eq(account.as_uuid()));
        let end_all = end(account, reason, at);
        let ended = self.database.write(move |transaction| {
            let (raise, end_all) = (raise.clone(), end_all.clone());
            Box::pin(async move {
                // An account that is gone has taken its sessions along.
                if !raise_version(transaction, raise, account, at).await? {
                    return Ok(Outcome::Rollback(0));
                }
                let ended = end_all.exec(transaction).await?.rows_affected;
                audit::record(transaction, ended_at_once(account, reason, ended), at).await?;
                Ok(Outcome::Commit(ended))
            })
        });
        let ended = ended.await?;
        self.ring();
        Ok(ended)
    }

    /// Deletes an account, and with it its sessions and its claim on the address, and puts the fact as `event` into the
    /// outbox. Returns whether it did: not if the account's token version is another by now.
    ///
    /// # Errors
    /// If the store fails; nothing is deleted then.
    pub(crate) async fn delete_account(
        &self,
        account: &Account,
        event: Uuid,
        at: SystemTime,
    ) -> Result<bool, RepositoryError> {
        let (id, version) = (account.id.as_uuid(), number(account.token_version)?);
        let revoked = Revocation::Subject { account: account.id, minimum_version: account.token_version + 1 };
        let row = outbox::ActiveModel {
            event_id: Set(event),
            kind: Set(outbox::ACCOUNT_DELETED.to_owned()),
            account_id: Set(id),
            token_version: Set(version + 1),
            created_at: Set(to_micros(at)),
        };
        let fact = SecurityEvent::AccountDeleted(account.id);
        let deleted = self.database.write(move |transaction| {
            let (row, revoked) = (row.clone(), revoked.clone());
            Box::pin(async move {
                // Its sessions go with it, by their foreign key.
                let deleted = account::Entity::delete_many()
                    .filter(account::Column::AccountId.eq(id))
                    .filter(account::Column::TokenVersion.eq(version))
                    .exec(transaction)
                    .await?;
                if deleted.rows_affected == 0 {
                    return Ok(Outcome::Rollback(false));
                }
                let claims = email_claim::Entity::delete_many().filter(email_claim::Column::AccountId.eq(id));
                claims.exec(transaction).await?;
                outbox::Entity::insert(row).exec_without_returning(transaction).await?;
                record(transaction, &[revoked], at).await?;
                audit::record(transaction, [fact], at).await?;
                Ok(Outcome::Commit(true))
            })
        });
        let deleted = deleted.await?;
        if deleted {
            self.ring();
        }
        Ok(deleted)
    }

    /// Looks at the next `page` sessions after this one, in the order of their keys, and removes those that ended
    /// before a moment. Returns the last one looked at, if there are more, and how many were removed.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn forget_sessions(
        &self,
        after: Option<SessionKey>,
        page: u64,
        ended_before: SystemTime,
    ) -> Result<(Option<SessionKey>, u64), RepositoryError> {
        let last = session::Entity::find()
            .filter(beyond(after))
            .order_by_asc(session::Column::AccountId)
            .order_by_asc(session::Column::Sid)
            .offset(page.saturating_sub(1));
        let last = self.database.read(move |connection| Box::pin(last.one(connection))).await?.map(|row| key_of(&row));
        let ended_before = to_micros(ended_before);
        let ended = Condition::any()
            .add(session::Column::RevokedAt.lt(ended_before))
            .add(session::Column::IdleExpiresAt.lt(ended_before))
            .add(session::Column::AbsoluteExpiresAt.lt(ended_before));
        let forget = session::Entity::delete_many().filter(beyond(after)).filter(up_to(last)).filter(ended);
        let forgotten = self.database.write(move |transaction| {
            let forget = forget.clone();
            Box::pin(async move { Ok(Outcome::Commit(forget.exec(transaction).await?.rows_affected)) })
        });
        Ok((last, forgotten.await?))
    }
}

fn ended_at_once(account: AccountId, reason: RevokeReason, ended: u64) -> Option<SecurityEvent> {
    (ended > 0).then_some(SecurityEvent::SessionsRevoked(account, reason, ended))
}

fn key_of(row: &session::Model) -> SessionKey {
    SessionKey { account: AccountId::from_uuid(row.account_id), session: authn::SessionId::from_uuid(row.sid) }
}

fn columns() -> Expr {
    Expr::tuple([Expr::col(session::Column::AccountId), Expr::col(session::Column::Sid)])
}

fn values(key: SessionKey) -> Expr {
    Expr::tuple([Expr::value(key.account.as_uuid()), Expr::value(key.session.as_uuid())])
}

fn beyond(after: Option<SessionKey>) -> Condition {
    Condition::all().add_option(after.map(|key| columns().gt(values(key))))
}

fn up_to(last: Option<SessionKey>) -> Condition {
    Condition::all().add_option(last.map(|key| columns().lte(values(key))))
}
