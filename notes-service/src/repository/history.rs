//! Keeps the versions of notes whose place others take, in the transaction in which they do.

use std::collections::BTreeMap;
use std::time::Duration;

use authn::SessionId;
use runtime::database::{from_micros, to_micros};
use sea_orm::sea_query::{DeleteStatement, Expr, ExprTrait as _, Func, Order, Query, SelectStatement, UpdateStatement};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _, QueryResult};
use uuid::Uuid;

use super::entity::{note, note_revision};
use super::purge::Purge;
use super::revision_text;
use super::rows::{Column, Row};
use crate::domain::{History, Note, NoteId, OwnerState, Replacement};

/// What is selected of the history of a note, in this order.
pub(super) const COLUMNS: [Column; 4] = [
    Column::Plain("kept_us"),
    Column::Binary("kept_session"),
    Column::Plain("revision_count"),
    Column::Plain("revision_bytes"),
];

/// Reads what is counted of the revisions of a note; the columns begin at `index`.
pub(super) fn from_row(row: &Row, index: usize) -> Result<History, DbErr> {
    let count = |index| u64::try_from(row.integer(index)?).map_err(|_| DbErr::Type("a negative count".to_owned()));
    let last = match row.optional_integer(index)? {
        Some(kept_us) => Some((from_micros(kept_us), row.optional_uuid(index + 1)?.map(SessionId::from_uuid))),
        None => None,
    };
    Ok(History { count: count(index + 2)?, bytes: count(index + 3)?, last })
}

/// Stores what is counted of the revisions of a note with its row.
pub(super) fn set(row: &mut note::ActiveModel, history: History) {
    let count = |count: u64| i64::try_from(count).expect("a history is far below 2^63 bytes");
    row.kept_us = Set(history.last.map(|(time, _)| to_micros(time)));
    row.kept_session = Set(history.last.and_then(|(_, session)| session).map(SessionId::as_uuid));
    row.revision_count = Set(count(history.count));
    row.revision_bytes = Set(count(history.bytes));
}

/// Keeps the version `before`, whose place `after` is about to take, unless the replacement is one that needs not. What
/// is beyond the limits of the policy goes, or is given its time. Says what is counted of the note's revisions then.
pub(super) async fn keep(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    history: History,
    (before, after): (&Note, &Note),
    replacement: &Replacement,
) -> Result<History, DbErr> {
    let (time, policy) = (after.update_time, &replacement.policy);
    if !history.must_keep(replacement, time) {
        return Ok(history);
    }
    let row = note_revision::ActiveModel {
        owner_id: Set(owner),
        note_id: Set(before.id.as_uuid()),
        revision: Set(before.etag.revision),
        digest: Set(before.etag.digest),
        reason: Set(replacement.reason.number()),
        title: Set(before.title.as_str().to_owned()),
        snippet: Set(before.snippet.as_str().to_owned()),
        content_bytes: Set(i64::try_from(before.content_bytes).expect("a content is at most 1 MiB")),
        pinned: Set(before.pinned),
        archived: Set(before.archived),
        color: Set(before.color.number()),
        update_us: Set(to_micros(before.update_time)),
        create_us: Set(to_micros(time)),
        expire_us: Set(None),
        content: Set(revision_text::compress(before.content.as_ref())?),
    };
    note_revision::Entity::insert(row).exec_without_returning(transaction).await?;
    state.keep_revision(before.bytes());
    let mut history = history.and(before.bytes(), time, replacement.session);
    if history.count > u64::from(policy.min) {
        let expiring = let_expire(owner, before.id, policy.min, policy.retention);
        if let Some(row) = transaction.query_one(&expiring).await? {
            state.purge_at(from_micros(row.try_get_by_index(0)?));
        }
    }
    let beyond = history.count.saturating_sub(policy.max.into());
    if beyond > 0 {
        let removed = transaction.query_all(&remove_oldest(owner, before.id, beyond)).await?;
        let bytes = removed.iter().map(|row| bytes(row, 0)).sum::<Result<u64, DbErr>>()?;
        history = history.without(removed.len().try_into().expect("a count fits 64 bits"), bytes);
        state.forget_revisions(bytes);
    }
    Ok(history)
}

/// Lets the newest revision expire that is not among the `min` newest; says when. The place in the index is as far from
/// its end as the policy says, however many notes and revisions there are.
pub(super) fn let_expire(owner: Uuid, id: NoteId, min: u16, retention: Duration) -> UpdateStatement {
    let retention = i64::try_from(retention.as_micros()).expect("a retention is a few years");
    let place = of_note(owner, id).order_by("revision", Order::Desc).offset(min.into()).limit(1).to_owned();
    Query::update()
        .table(note_revision::Entity)
        .value("expire_us", Expr::col("create_us").add(retention))
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("note_id").eq(id.as_uuid()))
        .and_where(Expr::col("revision").in_subquery(place))
        .and_where(Expr::col("expire_us").is_null())
        .returning_col("expire_us")
        .to_owned()
}

/// Removes the oldest revisions of a note; gives back their sizes.
pub(super) fn remove_oldest(owner: Uuid, id: NoteId, count: u64) -> DeleteStatement {
    let oldest = of_note(owner, id).order_by("revision", Order::Asc).limit(count).to_owned();
    Query::delete()
        .from_table(note_revision::Entity)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("note_id").eq(id.as_uuid()))
        .and_where(Expr::col("revision").in_subquery(oldest))
        .returning(Query::returning().exprs([size()]))
        .to_owned()
}

fn of_note(owner: Uuid, id: NoteId) -> SelectStatement {
    Query::select()
        .column("revision")
        .from(note_revision::Entity)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("note_id").eq(id.as_uuid()))
        .to_owned()
}

/// Removes revisions that have expired, a batch of them; says whether there may be more.
pub(super) async fn purge(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    purge: Purge,
) -> Result<bool, DbErr> {
    let removed = transaction.query_all(&remove_expired(owner, purge)).await?;
    let mut by_note: BTreeMap<Uuid, (i64, u64)> = BTreeMap::new();
    for row in &removed {
        let (count, total) = by_note.entry(row.try_get_by_index(0)?).or_default();
        *count += 1;
        *total += bytes(row, 1)?;
    }
    for (id, (count, bytes)) in by_note {
        state.forget_revisions(bytes);
        let bytes = i64::try_from(bytes).expect("a history is far below 2^63 bytes");
        transaction.execute(&discount(owner, id, count, bytes)).await?;
    }
    Ok(removed.len() == usize::from(purge.batch))
}

pub(super) fn remove_expired(owner: Uuid, purge: Purge) -> DeleteStatement {
    let expired = Query::select()
        .columns(["note_id", "revision"])
        .from(note_revision::Entity)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("expire_us").lte(to_micros(purge.now)))
        .order_by("expire_us", Order::Asc)
        .limit(purge.batch.into())
        .to_owned();
    Query::delete()
        .from_table(note_revision::Entity)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::tuple([Expr::col("note_id"), Expr::col("revision")]).in_subquery(expired))
        .returning(Query::returning().exprs([Expr::col("note_id"), size()]))
        .to_owned()
}

/// Takes removed revisions off what is counted of their note.
fn discount(owner: Uuid, id: Uuid, count: i64, bytes: i64) -> UpdateStatement {
    Query::update()
        .table(note::Entity)
        .value("revision_count", Expr::col("revision_count").sub(count))
        .value("revision_bytes", Expr::col("revision_bytes").sub(bytes))
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("note_id").eq(id))
        .to_owned()
}

/// What a revision counts, in bytes, as a note does.
fn size() -> Expr {
    Expr::from(Func::cust("octet_length").arg(Expr::col("title"))).add(Expr::col("content_bytes"))
}

fn bytes(row: &QueryResult, index: usize) -> Result<u64, DbErr> {
    let bytes: i64 = row.try_get_by_index(index)?;
    u64::try_from(bytes).map_err(|_| DbErr::Type("a negative size".to_owned()))
}
