use std::time::SystemTime;

use authn::SessionId;
use runtime::database::{Outcome, from_micros, to_micros};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::entity::audit_event::{ActiveModel, Column, Entity, Model};
use super::{Repository, RepositoryError};
use crate::domain::{AccountId, AuditFilter, AuditRecord, SecurityEvent, Tally};

impl Repository {
    /// Writes facts that nothing was changed by.
    ///
    /// # Errors
    /// If the store fails; none is written then.
    pub(crate) async fn record_tallies(&self, tallies: Vec<Tally>) -> Result<(), RepositoryError> {
        if tallies.is_empty() {
            return Ok(());
        }
        let written = self.database.write(move |transaction| {
            let rows: Vec<_> = tallies.iter().map(row_of).collect();
            Box::pin(async move {
                Entity::insert_many(rows).exec_without_returning(transaction).await?;
                Ok(Outcome::Commit(()))
            })
        });
        Ok(written.await?)
    }

    /// The latest `most` records that are asked for, in the order in which they happened.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn audit_records(
        &self,
        filter: &AuditFilter,
        most: u64,
    ) -> Result<Vec<AuditRecord>, RepositoryError> {
        let wanted = Condition::all()
            .add_option(filter.account.map(|account| Column::AccountId.eq(account.as_uuid())))
            .add_option(filter.session.map(|session| Column::Sid.eq(session.as_uuid())))
            .add_option(filter.event.as_ref().map(|event| Column::Event.eq(event)))
            .add_option(filter.since.map(|since| Column::At.gte(to_micros(since))));
        let find = Entity::find().filter(wanted).order_by_desc(Column::At).order_by_desc(Column::EventId).limit(most);
        let rows = self.database.read(move |connection| Box::pin(find.all(connection))).await?;
        rows.into_iter().rev().map(record_of).collect()
    }

    /// Removes at most `most` records from before a moment. Returns how many.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn forget_audit(&self, before: SystemTime, most: u64) -> Result<u64, RepositoryError> {
        let old = Query::select()
            .column(Column::EventId)
            .from(Entity)
            .and_where(Column::At.lt(to_micros(before)))
            .limit(most)
            .to_owned();
        let forget = Entity::delete_many().filter(Column::EventId.in_subquery(old));
        let forgotten = self.database.write(move |transaction| {
            let forget = forget.clone();
            Box::pin(async move { Ok(Outcome::Commit(forget.exec(transaction).await?.rows_affected)) })
        });
        Ok(forgotten.await?)
    }
}

/// Writes what a change means, in the transaction of the change.
pub(super) async fn record(
    transaction: &impl ConnectionTrait,
    events: impl IntoIterator<Item = SecurityEvent>,
    at: SystemTime,
) -> Result<(), DbErr> {
    let rows: Vec<_> = events.into_iter().map(|event| row_of(&Tally { event, at, times: 1 })).collect();
    if rows.is_empty() {
        return Ok(());
    }
    Entity::insert_many(rows).exec_without_returning(transaction).await.map(|_| ())
}

fn row_of(tally: &Tally) -> ActiveModel {
    let event = &tally.event;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    ActiveModel {
        event_id: NotSet,
        at: Set(to_micros(tally.at)),
        event: Set(event.name().to_owned()),
        account_id: Set(event.account().map(AccountId::as_uuid)),
        sid: Set(event.session().map(|session| session.as_uuid())),
        generation: Set(event.generation().map(|generation| number(generation.number()))),
        reason: Set(event.reason().map(ToOwned::to_owned)),
        sessions: Set(event.sessions().map(number)),
        kid: Set(event.key().map(|id| id.to_string())),
        times: Set(number(tally.times)),
    }
}

fn record_of(row: Model) -> Result<AuditRecord, RepositoryError> {
    let number = |number: i64, column| {
        u64::try_from(number).map_err(|_| RepositoryError::Corrupt { table: "audit_events", column })
    };
    Ok(AuditRecord {
        at: from_micros(row.at),
        event: row.event,
        account: row.account_id.map(AccountId::from_uuid),
        session: row.sid.map(SessionId::from_uuid),
        generation: row.generation.map(|generation| number(generation, "generation")).transpose()?,
        reason: row.reason,
        sessions: row.sessions.map(|sessions| number(sessions, "sessions")).transpose()?,
        kid: row.kid,
        times: number(row.times, "times")?,
    })
}
