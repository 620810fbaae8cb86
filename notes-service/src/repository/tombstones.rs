use std::time::SystemTime;

use runtime::database::to_micros;
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait as _, OnConflict, Order, Query, SelectStatement, UnionType};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _};
use uuid::Uuid;

use super::entity::tombstone::{ActiveModel, Column, Entity};
use super::rows;
use crate::domain::{Change, NoteId, TagId};

/// What is left of a note that was removed for good: its id, so that nobody makes it again who had not heard of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tombstone {
    /// The id of the note.
    pub(super) id: NoteId,
    /// The number of the removal among the changes of the owner.
    pub(super) change_seq: i64,
    /// When the id is forgotten.
    pub(super) expire_time: SystemTime,
}

/// Stores tombstones of one owner, in place of what may have expired under the same ids.
pub(super) async fn save(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    tombstones: impl IntoIterator<Item = Tombstone>,
) -> Result<(), DbErr> {
    let rows = tombstones.into_iter().map(|tombstone| ActiveModel {
        owner_id: Set(owner),
        note_id: Set(tombstone.id.as_uuid()),
        change_seq: Set(tombstone.change_seq),
        expire_us: Set(to_micros(tombstone.expire_time)),
    });
    Entity::insert_many(rows)
        .on_conflict(
            OnConflict::columns([Column::OwnerId, Column::NoteId])
                .update_columns([Column::ChangeSeq, Column::ExpireUs])
                .to_owned(),
        )
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// What is selected of removals, in this order.
const REMOVAL: [rows::Column; 3] =
    [rows::Column::Plain("change_seq"), rows::Column::Binary("id"), rows::Column::Plain("is_tag")];

/// The next removals of notes and of tags of an owner after this change, with their numbers; at most so many of each.
pub(super) async fn after(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    change_seq: i64,
    limit: u64,
) -> Result<Vec<(i64, Change)>, DbErr> {
    let rows = rows::fetch_all(connection, select_after(owner, change_seq, limit), &REMOVAL).await?;
    let removals = rows.iter().map(|row| {
        let id = row.uuid(1)?;
        let removal = match row.boolean(2)? {
            false => Change::Removed(NoteId::from_uuid(id)),
            true => Change::TagRemoved(TagId::from_uuid(id)),
        };
        Ok((row.integer(0)?, removal))
    });
    removals.collect()
}

/// A range of the index of each kind, both by one statement.
pub(super) fn select_after(owner: Uuid, change_seq: i64, limit: u64) -> SelectStatement {
    let range = |table: &'static str, id: &'static str, is_tag: &'static str| {
        let removals = Query::select()
            .column("change_seq")
            .expr_as(Expr::col(id), "id")
            .expr_as(Expr::cust(is_tag), "is_tag")
            .from(table)
            .and_where(Expr::col("owner_id").eq(owner))
            .and_where(Expr::col("change_seq").gt(change_seq))
            .order_by("change_seq", Order::Asc)
            .limit(limit)
            .to_owned();
        Query::select().column(Asterisk).from_subquery(removals, format!("of_{table}")).to_owned()
    };
    range("tombstones", "note_id", "FALSE").union(UnionType::All, range("tag_tombstones", "tag_id", "TRUE")).to_owned()
}
