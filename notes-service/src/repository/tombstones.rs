use std::time::SystemTime;

use runtime::database::to_micros;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query, SelectStatement};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _};
use uuid::Uuid;

use super::entity::tombstone::{ActiveModel, Column, Entity};
use super::rows;
use crate::domain::NoteId;

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
const REMOVAL: [rows::Column; 2] = [rows::Column::Plain("change_seq"), rows::Column::Binary("note_id")];

/// The next removals of an owner after this change, with their numbers.
pub(super) async fn after(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    change_seq: i64,
    limit: u64,
) -> Result<Vec<(i64, NoteId)>, DbErr> {
    let rows = rows::fetch_all(connection, select_after(owner, change_seq, limit), &REMOVAL).await?;
    rows.iter().map(|row| Ok((row.integer(0)?, NoteId::from_uuid(row.uuid(1)?)))).collect()
}

pub(super) fn select_after(owner: Uuid, change_seq: i64, limit: u64) -> SelectStatement {
    Query::select()
        .columns([Column::ChangeSeq, Column::NoteId])
        .from(Entity)
        .and_where(Expr::col(Column::OwnerId).eq(owner))
        .and_where(Expr::col(Column::ChangeSeq).gt(change_seq))
        .order_by(Column::ChangeSeq, Order::Asc)
        .limit(limit)
        .to_owned()
}
