use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use runtime::database::{DatabaseError, Outcome, to_micros};
use sea_orm::sea_query::{
    Expr, ExprTrait as _, JoinType, OnConflict, Order, Query, SelectStatement, TableRef, UpdateStatement, Value,
    ValueTuple,
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::entity::{note, note_tag, tag, tag_tombstone};
use super::notes::{COLUMNS, NO_TRASH, from_row, to_tag_ids};
use super::rows::{self, Column};
use super::{OwnedNotes, note_tags, owner_state, search, tags};
use crate::domain::{Note, OwnerState, Tag, TagId, View};

/// From how many notes one transaction takes a tag away at most, so that nobody waits long for it.
pub const UNTAGGED_AT_ONCE: u16 = 500;

/// How to delete a tag.
#[derive(Clone, Copy, Debug)]
pub struct TagDeletion {
    /// Which one.
    pub id: TagId,
    /// The present.
    pub now: SystemTime,
    /// Until when it is remembered that there was such a tag.
    pub remembered: SystemTime,
}

/// What became of the deletion of a tag.
#[derive(Debug)]
pub enum TagDeleted<E> {
    /// It is gone.
    Done,
    /// It was taken away from some of its notes, and there are more.
    More,
    /// It was refused.
    Refused(E),
    /// The owner has no such tag.
    Missing,
}

impl OwnedNotes<'_> {
    /// Takes a tag away from at most [`UNTAGGED_AT_ONCE`] of its notes, each of which changes by that, and removes it when
    /// there are no more, all in one transaction. Unless `refuse` has a reason not to.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub async fn delete_tag<E, R>(self, deletion: TagDeletion, refuse: R) -> Result<TagDeleted<E>, DatabaseError>
    where
        E: Send + 'static,
        R: Fn(&Tag) -> Option<E> + Send + Sync + 'static,
    {
        let owner = self.owner_id();
        let refuse = Arc::new(refuse);
        let work = self.repository.write([owner], move |transaction| {
            let refuse = Arc::clone(&refuse);
            Box::pin(async move { delete(transaction, owner, deletion, refuse.as_ref()).await })
        });
        work.await
    }
}

async fn delete<E>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    deletion: TagDeletion,
    refuse: &impl Fn(&Tag) -> Option<E>,
) -> Result<Outcome<TagDeleted<E>>, DbErr> {
    let Some(mut state) = owner_state::lock(transaction, [owner]).await?.remove(&owner) else {
        return Ok(Outcome::Rollback(TagDeleted::Missing));
    };
    let Some(tag) = tags::find(transaction, owner, deletion.id).await? else {
        return Ok(Outcome::Rollback(TagDeleted::Missing));
    };
    if let Some(refusal) = refuse(&tag) {
        return Ok(Outcome::Rollback(TagDeleted::Refused(refusal)));
    }
    let more = untag(transaction, owner, &mut state, deletion).await?;
    if !more {
        remove(transaction, owner, &mut state, &tag, deletion).await?;
    }
    owner_state::save(transaction, [(owner, &state)]).await?;
    Ok(Outcome::Commit(if more { TagDeleted::More } else { TagDeleted::Done }))
}

/// Takes the tag away from some notes; says whether there are more. Notes that were emptied out of a trash do not change
/// any more, they only lose their row.
async fn untag(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    TagDeletion { id: tag, now, .. }: TagDeletion,
) -> Result<bool, DbErr> {
    let mut columns = COLUMNS.to_vec();
    columns.push(Column::Plain("trash_epoch"));
    let mut rows = rows::fetch_all(transaction, tagged(owner, tag), &columns).await?;
    let (mut ids, mut untagged, mut live) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()), 0);
    for row in &mut rows {
        let (note, trash) = (from_row(row, View::Basic)?, row.integer(COLUMNS.len())?);
        ids.push(note.id.as_uuid());
        if [NO_TRASH, state.trash_epoch].contains(&trash) {
            live += note_tags::counted(&note).iter().filter(|counted| **counted == tag).count();
            let stamp = state.stamp(now);
            let without = note.clone().untagged(tag, stamp.time);
            state.digest(Some(&note), Some(&without));
            untagged.push((without, stamp.change_seq));
        }
    }
    if ids.is_empty() {
        return Ok(false);
    }
    note_tag::Entity::delete_many()
        .filter(note_tag::Column::OwnerId.eq(owner))
        .filter(note_tag::Column::TagId.eq(tag.as_uuid()))
        .filter(note_tag::Column::NoteId.is_in(ids))
        .exec(transaction)
        .await?;
    if !untagged.is_empty() {
        let changes: Vec<_> = untagged.iter().map(|(note, change_seq)| (note.id, *change_seq)).collect();
        search::follow(transaction, owner, &changes).await?;
        transaction.execute(&replace(owner, &untagged)).await?;
        transaction.execute(&move_others(owner, &untagged)).await?;
    }
    let lost = -i64::try_from(live).expect("a few hundred");
    tags::count(transaction, owner, &BTreeMap::from([(tag, lost)])).await?;
    Ok(rows.len() == usize::from(UNTAGGED_AT_ONCE))
}

/// Some notes that have the tag, whatever trash they lie in, with its number after their columns. Which ones is settled
/// before notes are looked up: in one join it would be left to the engine whether to read all notes of the owner.
pub(super) fn tagged(owner: Uuid, tag: TagId) -> SelectStatement {
    let some = Query::select()
        .column(note_tag::Column::NoteId)
        .from(note_tag::Entity)
        .and_where(Expr::col(note_tag::Column::OwnerId).eq(owner))
        .and_where(Expr::col(note_tag::Column::TagId).eq(tag.as_uuid()))
        .order_by(note_tag::Column::TrashEpoch, Order::Asc)
        .order_by(note_tag::Column::CreateUs, Order::Asc)
        .order_by(note_tag::Column::NoteId, Order::Asc)
        .limit(UNTAGGED_AT_ONCE.into())
        .to_owned();
    let mut select = Query::select();
    for column in COLUMNS {
        select.column((note::Entity, column.name()));
    }
    let key = Expr::col((note::Entity, note::Column::OwnerId))
        .eq(owner)
        .and(Expr::col((note::Entity, note::Column::NoteId)).equals(("tagged", note::Column::NoteId)));
    select
        .column((note::Entity, note::Column::TrashEpoch))
        .from_subquery(some, "tagged")
        .join(JoinType::InnerJoin, note::Entity, key)
        .to_owned()
}

/// A list of values.
const VALUES: &str = "untagged";
// Its columns, as both engines name them.
const NOTE: &str = "column1";
const TIME: &str = "column2";
const SEQ: &str = "column3";
const REVISION: &str = "column4";
const DIGEST: &str = "column5";
const TAGS: &str = "column6";

pub(super) fn replace(owner: Uuid, untagged: &[(Note, i64)]) -> UpdateStatement {
    let values = untagged.iter().map(|(note, change_seq)| {
        ValueTuple::Many(vec![
            note.id.as_uuid().into(),
            to_micros(note.update_time).into(),
            (*change_seq).into(),
            note.etag.revision.into(),
            note.etag.digest.into(),
            Value::Bytes(to_tag_ids(&note.tags)),
        ])
    });
    let mut update = Query::update();
    for (column, value) in [
        (note::Column::UpdateUs, TIME),
        (note::Column::ChangeSeq, SEQ),
        (note::Column::Revision, REVISION),
        (note::Column::Digest, DIGEST),
        (note::Column::TagIds, TAGS),
    ] {
        update.value(column, Expr::col((VALUES, value)));
    }
    update
        .table(note::Entity)
        .from(TableRef::ValuesList(values.collect(), VALUES.into()))
        .and_where(Expr::col((note::Entity, note::Column::OwnerId)).eq(owner))
        .and_where(Expr::col((note::Entity, note::Column::NoteId)).equals((VALUES, NOTE)))
        .to_owned()
}

/// The rows of the other tags of these notes go to the new places.
pub(super) fn move_others(owner: Uuid, untagged: &[(Note, i64)]) -> UpdateStatement {
    let values =
        untagged.iter().map(|(note, _)| ValueTuple::Two(note.id.as_uuid().into(), to_micros(note.update_time).into()));
    Query::update()
        .table(note_tag::Entity)
        .value(note_tag::Column::UpdateUs, Expr::col((VALUES, TIME)))
        .from(TableRef::ValuesList(values.collect(), VALUES.into()))
        .and_where(Expr::col((note_tag::Entity, note_tag::Column::OwnerId)).eq(owner))
        .and_where(Expr::col((note_tag::Entity, note_tag::Column::NoteId)).equals((VALUES, NOTE)))
        .to_owned()
}

async fn remove(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    tag: &Tag,
    TagDeletion { now, remembered, .. }: TagDeletion,
) -> Result<(), DbErr> {
    use tag_tombstone::Column::{ChangeSeq, ExpireUs, OwnerId, TagId};
    let stamp = state.remove_tag(now, remembered);
    state.digest_tag(Some(tag), None);
    tag::Entity::delete_by_id((owner, tag.id.as_uuid())).exec(transaction).await?;
    let tombstone = tag_tombstone::ActiveModel {
        owner_id: Set(owner),
        tag_id: Set(tag.id.as_uuid()),
        change_seq: Set(stamp.change_seq),
        expire_us: Set(to_micros(remembered)),
    };
    tag_tombstone::Entity::insert(tombstone)
        .on_conflict(OnConflict::columns([OwnerId, TagId]).update_columns([ChangeSeq, ExpireUs]).to_owned())
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}
