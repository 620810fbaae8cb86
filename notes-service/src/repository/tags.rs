use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use runtime::database::{DatabaseError, Outcome, from_micros, to_micros};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::entity::tag::{ActiveModel, Column as Field, Entity};
use super::rows::{self, Column, Row};
use super::{OwnedNotes, owner_state};
use crate::domain::{
    Color, Etag, OwnerState, PageSize, QuotaExceeded, Stamp, Tag, TagFields, TagId, TagName, TagNameKey,
};

const COLUMNS: [Column; 9] = [
    Column::Binary("tag_id"),
    Column::Plain("display_name"),
    Column::Plain("color"),
    Column::Plain("note_count"),
    Column::Plain("create_us"),
    Column::Plain("update_us"),
    Column::Plain("revision"),
    Column::Plain("digest"),
    Column::Binary("name_key"),
];

/// Where a tag stands among the changes of its owner, after the columns of a tag.
const PLACE: Column = Column::Plain("change_seq");

/// What became of a tag to make.
#[derive(Clone, Debug)]
pub enum TagCreation {
    /// It was made.
    Created(Tag),
    /// This one has the same name.
    NameTaken(TagId),
    /// The owner has as many as one may have.
    QuotaExceeded(QuotaExceeded),
}

/// What to do with a tag that was found.
#[derive(Debug)]
pub enum TagDecision<E> {
    /// Store this in its place; the owner's state has been brought up to date.
    Save(Tag),
    /// Leave it as it is.
    Keep,
    /// Leave it as it is and refuse.
    Refuse(E),
}

/// What became of a change of a tag.
#[derive(Debug)]
pub enum TagChanged<E> {
    /// The tag as it now is, changed or not.
    Done(Tag),
    /// It was refused.
    Refused(E),
    /// This one has the new name.
    NameTaken(TagId),
    /// The owner has no such tag.
    Missing,
}

/// A page of tags, in the order of their names.
#[derive(Debug)]
pub struct TagsPage {
    /// The tags in their order.
    pub tags: Vec<Tag>,
    /// The next page begins after this name, if there is one.
    pub next: Option<TagNameKey>,
}

impl OwnedNotes<'_> {
    /// Finds a tag by one statement.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_tag(self, id: TagId) -> Result<Option<Tag>, DatabaseError> {
        let owner = self.owner_id();
        self.repository.database.for_owner(owner).read(move |connection| Box::pin(find(connection, owner, id))).await
    }

    /// Reads one page by one statement, a range of the index of names.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn tags_page(self, size: PageSize, after: Option<TagNameKey>) -> Result<TagsPage, DatabaseError> {
        let owner = self.owner_id();
        self.repository
            .database
            .for_owner(owner)
            .read(move |connection| Box::pin(async move { page(connection, owner, size, after.as_ref()).await }))
            .await
    }

    /// Makes a tag, unless the owner has one of this name.
    ///
    /// # Errors
    /// If the store fails; nothing is made then.
    pub async fn create_tag(self, id: TagId, fields: TagFields, now: SystemTime) -> Result<TagCreation, DatabaseError> {
        let owner = self.owner_id();
        let work = self.repository.write([owner], move |transaction| {
            let fields = fields.clone();
            Box::pin(async move { create(transaction, owner, id, fields, now).await })
        });
        work.await
    }

    /// Changes a tag by the rules of `decide`, which sees it while its owner is locked, and must do the same if it is asked
    /// again. No note is touched, whatever its new name.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub async fn change_tag<E, D>(self, id: TagId, decide: D) -> Result<TagChanged<E>, DatabaseError>
    where
        E: Send + 'static,
        D: Fn(&mut OwnerState, &Tag) -> TagDecision<E> + Send + Sync + 'static,
    {
        let owner = self.owner_id();
        let decide = Arc::new(decide);
        let changed = self.repository.write([owner], move |transaction| {
            let decide = Arc::clone(&decide);
            Box::pin(async move { change(transaction, owner, id, decide.as_ref()).await })
        });
        changed.await?.ok_or(DatabaseError::Contention(DbErr::RecordNotUpdated))
    }
}

pub(super) async fn find(connection: &impl ConnectionTrait, owner: Uuid, id: TagId) -> Result<Option<Tag>, DbErr> {
    match connection.query_one(&by_key(owner, id)).await? {
        Some(result) => from_row(&mut Row::Selected(result)).map(Some),
        None => Ok(None),
    }
}

pub(super) fn by_key(owner: Uuid, id: TagId) -> SelectStatement {
    of_owner(owner).and_where(Expr::col(Field::TagId).eq(id.as_uuid())).to_owned()
}

/// The statement for a page and the first tag after it.
pub(super) fn select_page(owner: Uuid, size: PageSize, after: Option<&TagNameKey>) -> SelectStatement {
    let mut select = of_owner(owner);
    if let Some(after) = after {
        select.and_where(Expr::col(Field::NameKey).gt(after.as_bytes().to_vec()));
    }
    select.order_by(Field::NameKey, Order::Asc).limit(u64::from(size.get()) + 1).to_owned()
}

/// The next tags of an owner that changed after this change, with the numbers of their changes.
pub(super) async fn changed_after(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    change_seq: i64,
    limit: u64,
) -> Result<Vec<(i64, Tag)>, DbErr> {
    let columns = [COLUMNS.as_slice(), &[PLACE]].concat();
    let mut rows = rows::fetch_all(connection, select_changed_after(owner, change_seq, limit), &columns).await?;
    rows.iter_mut().map(|row| Ok((row.integer(COLUMNS.len())?, from_row(row)?))).collect()
}

pub(super) fn select_changed_after(owner: Uuid, change_seq: i64, limit: u64) -> SelectStatement {
    of_owner(owner)
        .column(PLACE.name())
        .and_where(Expr::col(Field::ChangeSeq).gt(change_seq))
        .order_by(Field::ChangeSeq, Order::Asc)
        .limit(limit)
        .to_owned()
}

fn of_owner(owner: Uuid) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS {
        select.column(column.name());
    }
    select.from(Entity).and_where(Expr::col(Field::OwnerId).eq(owner)).to_owned()
}

async fn page(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    size: PageSize,
    after: Option<&TagNameKey>,
) -> Result<TagsPage, DbErr> {
    let mut rows = rows::fetch_all(connection, select_page(owner, size, after), &COLUMNS).await?;
    let more = rows.len() > size.get().into();
    rows.truncate(size.get().into());
    let last = rows.last().map(|row| row.bytes(COLUMNS.len() - 1)).transpose()?;
    let tags: Result<_, _> = rows.iter_mut().map(from_row).collect();
    Ok(TagsPage { tags: tags?, next: last.filter(|_| more).map(TagNameKey::stored) })
}

async fn create(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    id: TagId,
    fields: TagFields,
    now: SystemTime,
) -> Result<Outcome<TagCreation>, DbErr> {
    let mut states = owner_state::lock_or_begin(transaction, &[owner], to_micros(now)).await?;
    let state = states.get_mut(&owner).expect("the owner was locked");
    if let Some(taken) = of_name(transaction, owner, &fields.display_name).await? {
        return Ok(Outcome::Rollback(TagCreation::NameTaken(taken)));
    }
    let stamp = match state.add_tag(now) {
        Ok(stamp) => stamp,
        Err(exceeded) => return Ok(Outcome::Rollback(TagCreation::QuotaExceeded(exceeded))),
    };
    let tag = Tag::new(id, fields, stamp.time);
    state.digest_tag(None, Some(&tag));
    owner_state::save(transaction, [(owner, &*state)]).await?;
    Entity::insert(to_row(owner, &tag, stamp)).exec_without_returning(transaction).await?;
    Ok(Outcome::Commit(TagCreation::Created(tag)))
}

/// None if the row is no longer what was read, which only a writer that takes no lock can bring about.
async fn change<E>(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    id: TagId,
    decide: &impl Fn(&mut OwnerState, &Tag) -> TagDecision<E>,
) -> Result<Outcome<Option<TagChanged<E>>>, DbErr> {
    let unchanged = |changed| Ok(Outcome::Rollback(Some(changed)));
    let Some(mut state) = owner_state::lock(transaction, [owner]).await?.remove(&owner) else {
        return unchanged(TagChanged::Missing);
    };
    let Some(tag) = find(transaction, owner, id).await? else { return unchanged(TagChanged::Missing) };
    let changed = match decide(&mut state, &tag) {
        TagDecision::Save(changed) => changed,
        TagDecision::Keep => return unchanged(TagChanged::Done(tag)),
        TagDecision::Refuse(refusal) => return unchanged(TagChanged::Refused(refusal)),
    };
    let taken = of_name(transaction, owner, &changed.fields.display_name).await?;
    if let Some(taken) = taken.filter(|taken| *taken != id) {
        return unchanged(TagChanged::NameTaken(taken));
    }
    let stamp = Stamp { time: changed.update_time, change_seq: state.change_seq };
    state.digest_tag(Some(&tag), Some(&changed));
    let replaced = Entity::update_many()
        .set(to_row(owner, &changed, stamp))
        .filter(Field::OwnerId.eq(owner))
        .filter(Field::TagId.eq(id.as_uuid()))
        .filter(Field::Revision.eq(tag.etag.revision))
        .filter(Field::Digest.eq(tag.etag.digest))
        .exec(transaction)
        .await?;
    if replaced.rows_affected == 0 {
        return Ok(Outcome::Rollback(None));
    }
    owner_state::save(transaction, [(owner, &state)]).await?;
    Ok(Outcome::Commit(Some(TagChanged::Done(changed))))
}

/// The tag of the owner that has this name, in whatever case.
async fn of_name(connection: &impl ConnectionTrait, owner: Uuid, name: &TagName) -> Result<Option<TagId>, DbErr> {
    let found = connection.query_one(&by_name(owner, name)).await?;
    Ok(found.map(|row| row.try_get_by_index(0)).transpose()?.map(TagId::from_uuid))
}

pub(super) fn by_name(owner: Uuid, name: &TagName) -> SelectStatement {
    Query::select()
        .column(Field::TagId)
        .from(Entity)
        .and_where(Expr::col(Field::OwnerId).eq(owner))
        .and_where(Expr::col(Field::NameKey).eq(TagNameKey::of(name).as_bytes().to_vec()))
        .to_owned()
}

/// Counts notes that got tags or lost them.
pub(super) async fn count(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    differences: &BTreeMap<TagId, i64>,
) -> Result<(), DbErr> {
    let mut tags_by_difference: BTreeMap<i64, Vec<Uuid>> = BTreeMap::new();
    for (tag, difference) in differences.iter().filter(|(_, difference)| **difference != 0) {
        tags_by_difference.entry(*difference).or_default().push(tag.as_uuid());
    }
    for (difference, tags) in tags_by_difference {
        let update = Query::update()
            .table(Entity)
            .value(Field::NoteCount, Expr::col(Field::NoteCount).add(difference))
            .and_where(Expr::col(Field::OwnerId).eq(owner))
            .and_where(Expr::col(Field::TagId).is_in(tags))
            .to_owned();
        connection.execute(&update).await?;
    }
    Ok(())
}

fn from_row(row: &mut Row) -> Result<Tag, DbErr> {
    let corrupt = |column: &str| DbErr::Type(format!("tags.{column} of a row is out of its bounds"));
    Ok(Tag {
        id: TagId::from_uuid(row.uuid(0)?),
        fields: TagFields {
            display_name: TagName::stored(row.text(1)?),
            color: Color::from_number(row.small(2)?.into()).ok_or_else(|| corrupt("color"))?,
        },
        note_count: u64::try_from(row.integer(3)?).map_err(|_| corrupt("note_count"))?,
        create_time: from_micros(row.integer(4)?),
        update_time: from_micros(row.integer(5)?),
        etag: Etag { revision: row.integer(6)?, digest: row.integer(7)? },
    })
}

fn to_row(owner: Uuid, tag: &Tag, stamp: Stamp) -> ActiveModel {
    ActiveModel {
        owner_id: Set(owner),
        tag_id: Set(tag.id.as_uuid()),
        display_name: Set(tag.fields.display_name.as_str().to_owned()),
        name_key: Set(TagNameKey::of(&tag.fields.display_name).as_bytes().to_vec()),
        color: Set(tag.fields.color.number()),
        note_count: Set(i64::try_from(tag.note_count).expect("quotas are far below 2^63")),
        create_us: Set(to_micros(tag.create_time)),
        update_us: Set(to_micros(tag.update_time)),
        revision: Set(tag.etag.revision),
        digest: Set(tag.etag.digest),
        change_seq: Set(stamp.change_seq),
    }
}
