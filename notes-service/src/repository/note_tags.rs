//! Which notes have which tags, kept in step with the notes in the transactions that change them.

use std::collections::{BTreeMap, HashSet};

use runtime::database::to_micros;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::entity::note_tag::{ActiveModel, Column as Field, Entity};
use super::entity::tag;
use super::rows::{self, Column};
use super::{notes, tags};
use crate::domain::{Note, OwnerState, TagId, TitleKey};

/// Most rows of one statement.
const ROWS_AT_ONCE: usize = 1_000;

/// A note is to have tags that its owner does not have; whether somebody else has makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTags(
    /// Their places among the tags of the note.
    pub Vec<usize>,
);

/// The tags in whose counts a note is: those of a live one.
pub(super) fn counted(note: &Note) -> &[TagId] {
    if note.trashed.is_some() { &[] } else { &note.tags }
}

/// The rows of some tags of a note.
pub(super) fn to_rows(owner: Uuid, note: &Note, state: &OwnerState, tags: &[TagId]) -> Vec<ActiveModel> {
    let title_key = TitleKey::of(&note.title);
    let rows = tags.iter().map(|tag| ActiveModel {
        owner_id: Set(owner),
        note_id: Set(note.id.as_uuid()),
        tag_id: Set(tag.as_uuid()),
        trash_epoch: Set(notes::trash_epoch(note, state)),
        create_us: Set(to_micros(note.create_time)),
        update_us: Set(to_micros(note.update_time)),
        title_key: Set(title_key.as_bytes().to_vec()),
    });
    rows.collect()
}

/// Stores rows, however many: a hundred notes of fifty tags have more values than one statement of SQLite takes.
pub(super) async fn insert(connection: &impl ConnectionTrait, rows: Vec<ActiveModel>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        Entity::insert_many(rows.by_ref().take(ROWS_AT_ONCE)).exec_without_returning(connection).await?;
    }
    Ok(())
}

/// Refuses tags of a note that are not among the `known` ones.
pub(super) fn check(tags: &[TagId], known: impl Fn(TagId) -> bool) -> Result<(), UnknownTags> {
    let unknown: Vec<_> = tags.iter().enumerate().filter(|(_, tag)| !known(**tag)).map(|(place, _)| place).collect();
    if unknown.is_empty() { Ok(()) } else { Err(UnknownTags(unknown)) }
}

/// Brings the tables of tags in step with a note that was changed. A note without tags before and after costs nothing.
pub(super) async fn follow(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    before: &Note,
    after: &Note,
    state: &OwnerState,
) -> Result<Result<(), UnknownTags>, DbErr> {
    let without = |tags: &[TagId], others: &[TagId]| -> Vec<TagId> {
        tags.iter().copied().filter(|tag| !others.contains(tag)).collect()
    };
    let (new, gone) = (without(&after.tags, &before.tags), without(&before.tags, &after.tags));
    if !new.is_empty() {
        let known = known(connection, owner, &new).await?;
        if let Err(unknown) = check(&after.tags, |tag| known.contains(&tag) || before.tags.contains(&tag)) {
            return Ok(Err(unknown));
        }
    }
    if !gone.is_empty() {
        Entity::delete_many()
            .filter(Field::OwnerId.eq(owner))
            .filter(Field::NoteId.eq(after.id.as_uuid()))
            .filter(Field::TagId.is_in(gone.iter().map(|tag| tag.as_uuid())))
            .exec(connection)
            .await?;
    }
    if before.tags.len() > gone.len() {
        move_rows(connection, owner, before, after, state).await?;
    }
    if !new.is_empty() {
        insert(connection, to_rows(owner, after, state, &new)).await?;
    }
    let mut differences = BTreeMap::new();
    for (tags, difference) in [(counted(before), -1), (counted(after), 1)] {
        tags.iter().for_each(|tag| *differences.entry(*tag).or_default() += difference);
    }
    tags::count(connection, owner, &differences).await?;
    Ok(Ok(()))
}

/// Moves the rows of a note to its new places in the orders. SQLite writes every index that has a column which is set,
/// to the same value too, so only what is different is.
async fn move_rows(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    before: &Note,
    after: &Note,
    state: &OwnerState,
) -> Result<(), DbErr> {
    let mut moved = ActiveModel { update_us: Set(to_micros(after.update_time)), ..Default::default() };
    if after.title != before.title {
        moved.title_key = Set(TitleKey::of(&after.title).as_bytes().to_vec());
    }
    if after.trashed.is_some() != before.trashed.is_some() {
        moved.trash_epoch = Set(notes::trash_epoch(after, state));
    }
    Entity::update_many()
        .set(moved)
        .filter(Field::OwnerId.eq(owner))
        .filter(Field::NoteId.eq(after.id.as_uuid()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Those of these tags that the owner has.
pub(super) async fn known(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    tags: &[TagId],
) -> Result<HashSet<TagId>, DbErr> {
    let rows = rows::fetch_all(connection, by_keys(owner, tags), &[Column::Binary("tag_id")]).await?;
    rows.iter().map(|row| row.uuid(0).map(TagId::from_uuid)).collect()
}

pub(super) fn by_keys(owner: Uuid, tags: &[TagId]) -> SelectStatement {
    Query::select()
        .column(tag::Column::TagId)
        .from(tag::Entity)
        .and_where(Expr::col(tag::Column::OwnerId).eq(owner))
        .and_where(Expr::col(tag::Column::TagId).is_in(tags.iter().map(|tag| tag.as_uuid())))
        .to_owned()
}
