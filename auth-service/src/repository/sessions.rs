use std::time::SystemTime;

use authn::SessionId;
use runtime::database::{Outcome, from_micros, to_micros};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select, UpdateMany,
};

use super::accounts::{account_of, number, state_name};
use super::entity::{account, session};
use super::revocations::end_each;
use super::{Repository, RepositoryError, audit};
use crate::domain::{
    Account, AccountId, AccountState, ClientLabel, Generation, Nonce, Origin, PasswordHash, Reuse, RevokeReason,
    RotationTimes, SecurityEvent, Session, SessionKey,
};

/// How many sessions one login ends at most. More than one are superfluous only after the setting was lowered.
const MOST_EVICTED: u64 = 1000;

/// What a login found, by which it is accepted: if any of it has changed since, it is not.
#[derive(Clone, Debug)]
pub(crate) struct AcceptedLogin {
    /// The account's token version when its password was looked at.
    pub(crate) token_version: u64,
    /// The hash that matched, and its successor if it is to be replaced.
    pub(crate) rehashed: Option<(PasswordHash, PasswordHash)>,
}

/// What became of the session of an accepted login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It is stored.
    Begun {
        /// How many sessions that were unused longest ended for it.
        evicted: u64,
    },
    /// The account was disabled, changed or deleted meanwhile. Nothing was stored.
    AccountChanged,
}

impl Repository {
    /// Stores the session of an accepted login, notes the time of the login, replaces an outdated hash, and ends the
    /// sessions that were unused longest, so that at most `most` go on.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn begin_session(
        &self,
        begun: &Session,
        login: AcceptedLogin,
        most: u64,
    ) -> Result<Beginning, RepositoryError> {
        let row = row_of(begun)?;
        let (key, begun_at) = (begun.key, begun.created_at);
        let tokens = self.tokens_created(begun);
        let version = number(login.token_version)?;
        let superfluous =
            live_of(begun.key.account, begun.created_at).offset(most.saturating_sub(1)).limit(MOST_EVICTED);
        let stored = self.database.write(move |transaction| {
            let (row, rehashed, superfluous) = (row.clone(), login.rehashed.clone(), superfluous.clone());
            Box::pin(async move {
                let still_good = account::Entity::update_many()
                    .col_expr(account::Column::LastLoginAt, Expr::value(to_micros(begun_at)))
                    .filter(account::Column::AccountId.eq(key.account.as_uuid()))
                    .filter(account::Column::State.eq(state_name(AccountState::Active)))
                    .filter(account::Column::TokenVersion.eq(version))
                    .exec(transaction)
                    .await?;
                if still_good.rows_affected == 0 {
                    return Ok(Outcome::Rollback(Beginning::AccountChanged));
                }
                if let Some((old, new)) = rehashed {
                    account::Entity::update_many()
                        .col_expr(account::Column::PasswordHash, Expr::value(new.as_phc()))
                        .filter(account::Column::AccountId.eq(key.account.as_uuid()))
                        .filter(account::Column::PasswordHash.eq(old.as_phc()))
                        .exec(transaction)
                        .await?;
                }
                let superfluous = superfluous.all(transaction).await?;
                let mut evicted = 0;
                if !superfluous.is_empty() {
                    let end = end(key.account, RevokeReason::Evicted, begun_at)
                        .filter(session::Column::Sid.is_in(superfluous.iter().map(|row| row.sid)));
                    evicted = end_each(transaction, end, key.account, begun_at).await?;
                }
                session::Entity::insert(row).exec_without_returning(transaction).await?;
                let evictions = SecurityEvent::SessionsRevoked(key.account, RevokeReason::Evicted, evicted);
                let facts = (evicted > 0).then_some(evictions).into_iter();
                let facts = facts.chain([SecurityEvent::LoginSucceeded(key)]).chain(tokens);
                audit::record(transaction, facts, begun_at).await?;
                Ok(Outcome::Commit(Beginning::Begun { evicted }))
            })
        });
        let stored = stored.await?;
        if matches!(stored, Beginning::Begun { evicted: 1.. }) {
            self.ring();
        }
        Ok(stored)
    }

    /// A session and the account that it belongs to.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn find_session(&self, key: SessionKey) -> Result<Option<(Session, Account)>, RepositoryError> {
        let rows = self.database.read(move |connection| {
            Box::pin(async move {
                // In this order: what changes both in one transaction (a new password, a sign-out everywhere) in
                // between must not be seen in the account's version and missed in the session.
                let find = account::Entity::find_by_id(key.account.as_uuid());
                let Some(account) = find.one(connection).await? else { return Ok(None) };
                let find = session::Entity::find_by_id((key.account.as_uuid(), key.session.as_uuid()));
                Ok(find.one(connection).await?.map(|session| (session, account)))
            })
        });
        let rows = rows.await?;
        rows.map(|(session, account)| Ok((session_of(session)?, account_of(&account)?))).transpose()
    }

    /// The full key of the session with this id. Looks through all sessions: for operators, not for calls.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn find_session_key(&self, session: SessionId) -> Result<Option<SessionKey>, RepositoryError> {
        let find = session::Entity::find().filter(session::Column::Sid.eq(session.as_uuid()));
        let row = self.database.read(move |connection| Box::pin(find.one(connection))).await?;
        Ok(row.map(|row| SessionKey { account: AccountId::from_uuid(row.account_id), session }))
    }

    /// Moves a session on to `next`, by compare-and-swap in one statement. Returns whether it did: not if another was
    /// faster, nor if the session was revoked meanwhile.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn advance(&self, next: &Session) -> Result<bool, RepositoryError> {
        let advance = advance(next)?;
        let (tokens, at) = (self.tokens_created(next), next.rotated_at.0[0].unwrap_or(next.last_used_at));
        let advanced = self.database.write(move |transaction| {
            let advance = advance.clone();
            Box::pin(async move {
                if advance.exec(transaction).await?.rows_affected == 0 {
                    return Ok(Outcome::Rollback(false));
                }
                audit::record(transaction, tokens, at).await?;
                Ok(Outcome::Commit(true))
            })
        });
        Ok(advanced.await?)
    }

    /// Notes that a session yields its present generation once more, by compare-and-swap in one statement. Returns
    /// whether it did: not if another has moved it on or seen that generation in use, nor if it was revoked meanwhile.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn reissue(&self, again: &Session) -> Result<bool, RepositoryError> {
        use session::Column;
        let note = session::Entity::update_many()
            .col_expr(Column::RotatedAt1, Expr::value(again.rotated_at.0[0].map(to_micros)))
            .filter(Column::AccountId.eq(again.key.account.as_uuid()))
            .filter(Column::Sid.eq(again.key.session.as_uuid()))
            .filter(Column::Generation.eq(generation_number(again.generation)?))
            .filter(Column::ChildConfirmed.eq(false))
            .filter(Column::RevokedAt.is_null());
        let noted = self.database.write(move |transaction| {
            let note = note.clone();
            Box::pin(async move { Ok(Outcome::Commit(note.exec(transaction).await?.rows_affected == 1)) })
        });
        Ok(noted.await?)
    }

    /// Notes that the tokens of this generation were seen in use, if it still is the present one.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn confirm(&self, key: SessionKey, seen: Generation) -> Result<(), RepositoryError> {
        let generation = generation_number(seen)?;
        let confirmed = self.database.write(move |transaction| {
            Box::pin(async move {
                session::Entity::update_many()
                    .col_expr(session::Column::ChildConfirmed, Expr::value(true))
                    .filter(session::Column::AccountId.eq(key.account.as_uuid()))
                    .filter(session::Column::Sid.eq(key.session.as_uuid()))
                    .filter(session::Column::Generation.eq(generation))
                    .exec(transaction)
                    .await?;
                Ok(Outcome::Commit(()))
            })
        });
        Ok(confirmed.await?)
    }

    /// Ends a session by decision. Returns whether it did: a revoked one keeps its first reason.
    ///
    /// # Errors
    /// If the store fails; the session is as it was then.
    pub(crate) async fn revoke(
        &self,
        key: SessionKey,
        reason: RevokeReason,
        at: SystemTime,
    ) -> Result<bool, RepositoryError> {
        let end = end(key.account, reason, at).filter(session::Column::Sid.eq(key.session.as_uuid()));
        let fact = move |ended| (ended > 0).then_some(SecurityEvent::TokenRevoked(key, reason)).into_iter().collect();
        Ok(self.end_each(end, fact, key.account, at).await? == 1)
    }

    /// Ends a session because a spent token of this generation came back. Returns whether it did: a revoked one keeps
    /// its first reason.
    ///
    /// # Errors
    /// If the store fails; the session is as it was then.
    pub(crate) async fn revoke_reused(
        &self,
        key: SessionKey,
        spent: Generation,
        reuse: Reuse,
        at: SystemTime,
    ) -> Result<bool, RepositoryError> {
        let end = end(key.account, RevokeReason::Reuse, at).filter(session::Column::Sid.eq(key.session.as_uuid()));
        let revoked = SecurityEvent::TokenRevoked(key, RevokeReason::Reuse);
        let reused = SecurityEvent::TokenReused(key, spent, reuse);
        let facts = move |ended| if ended > 0 { vec![revoked, reused] } else { Vec::new() };
        Ok(self.end_each(end, facts, key.account, at).await? == 1)
    }

    /// What the audit keeps of the issue of a session's present tokens.
    pub(super) fn tokens_created(&self, session: &Session) -> Option<SecurityEvent> {
        self.audits_tokens.then_some(SecurityEvent::TokenCreated(session.key, session.generation))
    }

    /// The sessions of an account that go on at this moment, the latest used first.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn live_sessions(
        &self,
        account: AccountId,
        now: SystemTime,
    ) -> Result<Vec<Session>, RepositoryError> {
        let find = live_of(account, now);
        let rows = self.database.read(move |connection| Box::pin(find.all(connection))).await?;
        rows.into_iter().map(session_of).collect()
    }
}

/// Ends the sessions of an account that are not ended by decision already; the caller says which.
pub(super) fn end(account: AccountId, reason: RevokeReason, at: SystemTime) -> UpdateMany<session::Entity> {
    session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(to_micros(at)))
        .col_expr(session::Column::RevokeReason, Expr::value(reason.name()))
        .filter(session::Column::AccountId.eq(account.as_uuid()))
        .filter(session::Column::RevokedAt.is_null())
}

fn live_of(account: AccountId, now: SystemTime) -> Select<session::Entity> {
    use session::Column;
    session::Entity::find()
        .filter(Column::AccountId.eq(account.as_uuid()))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::IdleExpiresAt.gt(to_micros(now)))
        .filter(Column::AbsoluteExpiresAt.gt(to_micros(now)))
        .order_by_desc(Column::LastUsedAt)
        .order_by_asc(Column::Sid)
}

/// Moves the session on to `next`, unless it is not the one any more that `next` follows.
pub(super) fn advance(next: &Session) -> Result<UpdateMany<session::Entity>, RepositoryError> {
    use session::Column;
    let generation = generation_number(next.generation)?;
    let [first, second, third, fourth] = next.rotated_at.0.map(|at| at.map(to_micros));
    Ok(session::Entity::update_many()
        .col_expr(Column::Generation, Expr::value(generation))
        .col_expr(Column::RotatedAt1, Expr::value(first))
        .col_expr(Column::RotatedAt2, Expr::value(second))
        .col_expr(Column::RotatedAt3, Expr::value(third))
        .col_expr(Column::RotatedAt4, Expr::value(fourth))
        .col_expr(Column::ChildConfirmed, Expr::value(next.child_confirmed))
        .col_expr(Column::BarrierGeneration, Expr::value(barrier_number(next)))
        .col_expr(Column::LastUsedAt, Expr::value(to_micros(next.last_used_at)))
        .col_expr(Column::IdleExpiresAt, Expr::value(to_micros(next.idle_expires_at)))
        .filter(Column::AccountId.eq(next.key.account.as_uuid()))
        .filter(Column::Sid.eq(next.key.session.as_uuid()))
        .filter(Column::Generation.eq(generation - 1))
        .filter(Column::RevokedAt.is_null()))
}

fn row_of(session: &Session) -> Result<session::ActiveModel, RepositoryError> {
    let [first, second, third, fourth] = session.rotated_at.0.map(|at| at.map(to_micros));
    Ok(session::ActiveModel {
        account_id: Set(session.key.account.as_uuid()),
        sid: Set(session.key.session.as_uuid()),
        nonce: Set(session.nonce.as_bytes().to_vec()),
        generation: Set(generation_number(session.generation)?),
        rotated_at_1: Set(first),
        rotated_at_2: Set(second),
        rotated_at_3: Set(third),
        rotated_at_4: Set(fourth),
        child_confirmed: Set(session.child_confirmed),
        barrier_generation: Set(barrier_number(session)),
        created_at: Set(to_micros(session.created_at)),
        last_used_at: Set(to_micros(session.last_used_at)),
        idle_expires_at: Set(to_micros(session.idle_expires_at)),
        absolute_expires_at: Set(to_micros(session.absolute_expires_at)),
        auth_time: Set(to_micros(session.authenticated_at)),
        amr: Set(serde_json::to_string(&session.auth_methods).map_err(|_| impossible("amr"))?),
        client_label: Set(session.client_label.as_str().to_owned()),
        user_agent: Set(session.origin.user_agent().to_owned()),
        ip_prefix: Set(session.origin.ip_prefix().to_owned()),
        revoked_at: Set(session.revoked.map(|(at, _)| to_micros(at))),
        revoke_reason: Set(session.revoked.map(|(_, reason)| reason.name().to_owned())),
    })
}

pub(super) fn session_of(row: session::Model) -> Result<Session, RepositoryError> {
    let generation = u64::try_from(row.generation).ok().and_then(Generation::from_number);
    // 0 stands for none, being no generation.
    let barrier = u64::try_from(row.barrier_generation).map_err(|_| impossible("barrier_generation"))?;
    let rotated_at = [row.rotated_at_1, row.rotated_at_2, row.rotated_at_3, row.rotated_at_4];
    let revoked = match (row.revoked_at, row.revoke_reason.as_deref()) {
        (None, None) => None,
        (Some(at), Some(reason)) => {
            let reason = RevokeReason::from_name(reason).ok_or(impossible("revoke_reason"))?;
            Some((from_micros(at), reason))
        }
        _ => return Err(impossible("revoke_reason")),
    };
    Ok(Session {
        key: SessionKey { account: AccountId::from_uuid(row.account_id), session: SessionId::from_uuid(row.sid) },
        nonce: Nonce::from_bytes(row.nonce.try_into().map_err(|_| impossible("nonce"))?),
        generation: generation.ok_or(impossible("generation"))?,
        rotated_at: RotationTimes(rotated_at.map(|at| at.map(from_micros))),
        child_confirmed: row.child_confirmed,
        barrier: Generation::from_number(barrier),
        created_at: from_micros(row.created_at),
        last_used_at: from_micros(row.last_used_at),
        idle_expires_at: from_micros(row.idle_expires_at),
        absolute_expires_at: from_micros(row.absolute_expires_at),
        authenticated_at: from_micros(row.auth_time),
        auth_methods: serde_json::from_str(&row.amr).map_err(|_| impossible("amr"))?,
        client_label: ClientLabel::parse(&row.client_label).map_err(|_| impossible("client_label"))?,
        origin: Origin::stored(row.user_agent, row.ip_prefix),
        revoked,
    })
}

fn barrier_number(session: &Session) -> i64 {
    session.barrier.and_then(|barrier| i64::try_from(barrier.number()).ok()).unwrap_or(0)
}

fn generation_number(generation: Generation) -> Result<i64, RepositoryError> {
    i64::try_from(generation.number()).map_err(|_| impossible("generation"))
}

const fn impossible(column: &'static str) -> RepositoryError {
    RepositoryError::Corrupt { table: "sessions", column }
}
