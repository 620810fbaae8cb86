use std::collections::BTreeMap;

use runtime::database::{from_micros, to_micros};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query, SelectStatement};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, EntityTrait as _};
use uuid::Uuid;

use super::entity::owner_state::{ActiveModel, Column as Field, Entity};
use super::rows::{self, Column, Row};
use crate::domain::{OwnerState, SetDigest};

const COLUMNS: [Column; 17] = [
    Column::Binary("owner_id"),
    Column::Plain("change_seq"),
    Column::Plain("epoch"),
    Column::Plain("note_count"),
    Column::Plain("deleted_note_count"),
    Column::Plain("bytes"),
    Column::Plain("last_update_us"),
    Column::Plain("trash_epoch"),
    Column::Plain("deleted_bytes"),
    Column::Plain("purge_due_us"),
    Column::Plain("tag_count"),
    Column::Binary("notes_digest"),
    Column::Binary("deleted_notes_digest"),
    Column::Plain("emptied_seq"),
    Column::Plain("forgotten_seq"),
    Column::Plain("revision_bytes"),
    Column::Binary("tags_digest"),
];

/// Reads the states of these owners and keeps every other writer of them waiting until the end of the transaction.
/// On SQLite the transaction is the only writer anyway. Owners who never wrote are not in the answer and not locked.
///
/// Locks are taken in the order of the ids, so that two batches cannot wait for each other.
pub(super) async fn lock(
    transaction: &impl ConnectionTrait,
    owners: impl IntoIterator<Item = Uuid>,
) -> Result<BTreeMap<Uuid, OwnerState>, DbErr> {
    let mut select = by_owners(owners);
    if transaction.get_database_backend() == DbBackend::Postgres {
        select.lock_exclusive();
    }
    let rows = rows::fetch_all(transaction, select, &COLUMNS).await?;
    rows.iter().map(from_row).collect()
}

/// Reads the state of an owner who has written.
pub(super) async fn find(connection: &impl ConnectionTrait, owner: Uuid) -> Result<Option<OwnerState>, DbErr> {
    let rows = rows::fetch_all(connection, by_owners([owner]), &COLUMNS).await?;
    Ok(rows.first().map(from_row).transpose()?.map(|(_, state)| state))
}

pub(super) fn by_owners(owners: impl IntoIterator<Item = Uuid>) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS {
        select.column(column.name());
    }
    select
        .from(Entity)
        .and_where(Expr::col(Field::OwnerId).is_in(owners))
        .order_by(Field::OwnerId, Order::Asc)
        .to_owned()
}

/// As [`lock`], with an empty state for owners who never wrote. `epoch` is theirs from now on.
pub(super) async fn lock_or_begin(
    transaction: &impl ConnectionTrait,
    owners: &[Uuid],
    epoch: i64,
) -> Result<BTreeMap<Uuid, OwnerState>, DbErr> {
    let mut states = lock(transaction, owners.iter().copied()).await?;
    let newcomers: Vec<_> = owners.iter().copied().filter(|owner| !states.contains_key(owner)).collect();
    if newcomers.is_empty() {
        return Ok(states);
    }
    if transaction.get_database_backend() == DbBackend::Postgres {
        // There is no row to lock yet: make one. Whoever does so at the same time waits here.
        let begun = newcomers.iter().map(|owner| to_row(*owner, &OwnerState::empty(epoch)));
        Entity::insert_many(begun)
            .on_conflict(OnConflict::column(Field::OwnerId).do_nothing().to_owned())
            .exec_without_returning(transaction)
            .await?;
        states.extend(lock(transaction, newcomers).await?);
    } else {
        states.extend(newcomers.into_iter().map(|owner| (owner, OwnerState::empty(epoch))));
    }
    Ok(states)
}

/// Stores the states of locked owners.
pub(super) async fn save(
    transaction: &impl ConnectionTrait,
    states: impl IntoIterator<Item = (Uuid, &OwnerState)>,
) -> Result<(), DbErr> {
    let changing = [
        Field::ChangeSeq,
        Field::NoteCount,
        Field::DeletedNoteCount,
        Field::Bytes,
        Field::LastUpdateUs,
        Field::TrashEpoch,
        Field::DeletedBytes,
        Field::PurgeDueUs,
        Field::TagCount,
        Field::NotesDigest,
        Field::DeletedNotesDigest,
        Field::TagsDigest,
        Field::EmptiedSeq,
        Field::ForgottenSeq,
        Field::RevisionBytes,
    ];
    Entity::insert_many(states.into_iter().map(|(owner, state)| to_row(owner, state)))
        .on_conflict(OnConflict::column(Field::OwnerId).update_columns(changing).to_owned())
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

fn from_row(row: &Row) -> Result<(Uuid, OwnerState), DbErr> {
    let count = |index: usize| {
        let value = row.integer(index)?;
        u64::try_from(value).map_err(|_| DbErr::Type(format!("owner_state column {index} is negative")))
    };
    let digest = |index: usize| match row.bytes(index)?.try_into() {
        Ok(bytes) => Ok(SetDigest::stored(bytes)),
        Err(_) => Err(DbErr::Type(format!("owner_state column {index} has another length than a digest"))),
    };
    let state = OwnerState {
        change_seq: row.integer(1)?,
        epoch: row.integer(2)?,
        note_count: count(3)?,
        deleted_note_count: count(4)?,
        bytes: count(5)?,
        last_update: from_micros(row.integer(6)?),
        trash_epoch: row.integer(7)?,
        deleted_bytes: count(8)?,
        purge_due: row.optional_integer(9)?.map(from_micros),
        tag_count: count(10)?,
        notes: digest(11)?,
        deleted_notes: digest(12)?,
        emptied_seq: row.integer(13)?,
        forgotten_seq: row.integer(14)?,
        revision_bytes: count(15)?,
        tags: digest(16)?,
    };
    Ok((row.uuid(0)?, state))
}

fn to_row(owner: Uuid, state: &OwnerState) -> ActiveModel {
    let count = |value: u64| i64::try_from(value).expect("quotas are far below 2^63");
    ActiveModel {
        owner_id: Set(owner),
        change_seq: Set(state.change_seq),
        epoch: Set(state.epoch),
        note_count: Set(count(state.note_count)),
        deleted_note_count: Set(count(state.deleted_note_count)),
        bytes: Set(count(state.bytes)),
        last_update_us: Set(to_micros(state.last_update)),
        trash_epoch: Set(state.trash_epoch),
        deleted_bytes: Set(count(state.deleted_bytes)),
        purge_due_us: Set(state.purge_due.map(to_micros)),
        tag_count: Set(count(state.tag_count)),
        notes_digest: Set(state.notes.as_bytes().to_vec()),
        deleted_notes_digest: Set(state.deleted_notes.as_bytes().to_vec()),
        tags_digest: Set(state.tags.as_bytes().to_vec()),
        emptied_seq: Set(state.emptied_seq),
        forgotten_seq: Set(state.forgotten_seq),
        revision_bytes: Set(count(state.revision_bytes)),
    }
}
