use runtime::database::{from_micros, to_micros};
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, JoinType, Query, SelectStatement};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, Iterable as _, QueryFilter as _,
};
use uuid::Uuid;

use super::entity::{note, note_body, owner_state};
use super::history;
use super::rows::{Column, Row};
use crate::domain::{
    Color, Content, Etag, History, Note, NoteId, OwnerState, Snippet, TagId, Title, TitleKey, Trashed, View,
};

/// `notes.state` of a live note.
const LIVE: i16 = 0;
/// `notes.state` of a note in a trash.
const IN_TRASH: i16 = 1;
/// `notes.trash_epoch` of a live note.
pub(super) const NO_TRASH: i64 = 0;

/// What is selected of a note, in this order.
pub(super) const COLUMNS: [Column; 14] = [
    Column::Binary("note_id"),
    Column::Plain("title"),
    Column::Plain("content_bytes"),
    Column::Plain("snippet"),
    Column::Plain("pinned"),
    Column::Plain("archived"),
    Column::Plain("color"),
    Column::Plain("create_us"),
    Column::Plain("update_us"),
    Column::Plain("delete_us"),
    Column::Plain("purge_us"),
    Column::Plain("revision"),
    Column::Plain("digest"),
    Column::Binary("tag_ids"),
];

/// The column after them, when contents are selected.
pub(super) const CONTENT: Column = Column::Plain("content");

/// Reads one note by its key, unless it was emptied out of the trash.
pub(super) async fn find(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    id: NoteId,
    view: View,
) -> Result<Option<Note>, DbErr> {
    match connection.query_one(&by_key(owner, id, view)).await? {
        Some(result) => from_row(&mut Row::Selected(result), view).map(Some),
        None => Ok(None),
    }
}

/// As [`find`], whole, with what is counted of the note's revisions.
pub(super) async fn find_with_history(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    id: NoteId,
) -> Result<Option<(Note, History)>, DbErr> {
    let mut select = by_key(owner, id, View::Full);
    for column in history::COLUMNS {
        select.column((note::Entity, column.name()));
    }
    let Some(result) = connection.query_one(&select).await? else { return Ok(None) };
    let mut row = Row::Selected(result);
    Ok(Some((from_row(&mut row, View::Full)?, history::from_row(&row, COLUMNS.len() + 1)?)))
}

pub(super) fn by_key(owner: Uuid, id: NoteId, view: View) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS {
        select.column((note::Entity, column.name()));
    }
    select
        .from(note::Entity)
        .and_where(Expr::col((note::Entity, note::Column::OwnerId)).eq(owner))
        .and_where(Expr::col((note::Entity, note::Column::NoteId)).eq(id.as_uuid()))
        .cond_where(in_trash([NO_TRASH.into(), present_trash(owner)]));
    if view == View::Full {
        select.column((note_body::Entity, note_body::Column::Content)).join(
            JoinType::InnerJoin,
            note_body::Entity,
            Expr::col((note_body::Entity, note_body::Column::OwnerId))
                .eq(owner)
                .and(Expr::col((note_body::Entity, note_body::Column::NoteId)).eq(id.as_uuid())),
        );
    }
    select
}

/// Whether a note lies in one of these trashes; [`NO_TRASH`] is that of live ones.
pub(super) fn in_trash<const N: usize>(trashes: [Expr; N]) -> Condition {
    let column = || Expr::col((note::Entity, note::Column::TrashEpoch));
    trashes.into_iter().fold(Condition::any(), |any, trash| any.add(column().eq(trash)))
}

/// The number of the owner's present trash, looked up in the same statement.
pub(super) fn present_trash(owner: Uuid) -> Expr {
    of_owner(owner, owner_state::Column::TrashEpoch)
}

/// What is kept of the owner in this column, looked up in the same statement.
pub(super) fn of_owner(owner: Uuid, column: owner_state::Column) -> Expr {
    Query::select()
        .column(column)
        .from(owner_state::Entity)
        .and_where(Expr::col((owner_state::Entity, owner_state::Column::OwnerId)).eq(owner))
        .to_owned()
        .into()
}

/// Makes a note of a row of [`COLUMNS`], with [`CONTENT`] after them in the full view.
pub(super) fn from_row(row: &mut Row, view: View) -> Result<Note, DbErr> {
    let trashed = match (row.optional_integer(9)?, row.optional_integer(10)?) {
        (Some(delete_us), Some(purge_us)) => {
            Some(Trashed { delete_time: from_micros(delete_us), purge_time: from_micros(purge_us) })
        }
        _ => None,
    };
    Ok(Note {
        id: NoteId::from_uuid(row.uuid(0)?),
        title: Title::stored(row.text(1)?),
        content: match view {
            View::Basic => None,
            View::Full => row.optional_text(COLUMNS.len())?.map(Content::stored),
        },
        content_bytes: usize::try_from(row.integer(2)?).map_err(|_| corrupt("content_bytes"))?,
        snippet: Snippet::stored(row.text(3)?),
        pinned: row.boolean(4)?,
        archived: row.boolean(5)?,
        color: Color::from_number(row.small(6)?.into()).ok_or_else(|| corrupt("color"))?,
        create_time: from_micros(row.integer(7)?),
        update_time: from_micros(row.integer(8)?),
        tags: row.optional_bytes(13)?.as_deref().map(from_tag_ids).transpose()?.unwrap_or_default(),
        trashed,
        etag: Etag { revision: row.integer(11)?, digest: row.integer(12)? },
    })
}

/// The row of a note that its owner, whose state this is, changed last.
pub(super) fn to_row(owner: Uuid, note: &Note, state: &OwnerState) -> note::ActiveModel {
    note::ActiveModel {
        owner_id: Set(owner),
        note_id: Set(note.id.as_uuid()),
        title: Set(note.title.as_str().to_owned()),
        title_key: Set(TitleKey::of(&note.title).as_bytes().to_vec()),
        snippet: Set(note.snippet.as_str().to_owned()),
        content_bytes: Set(i64::try_from(note.content_bytes).expect("a content is at most 1 MiB")),
        pinned: Set(note.pinned),
        archived: Set(note.archived),
        color: Set(note.color.number()),
        state: Set(if note.trashed.is_some() { IN_TRASH } else { LIVE }),
        create_us: Set(to_micros(note.create_time)),
        update_us: Set(to_micros(note.update_time)),
        delete_us: Set(note.trashed.map(|trashed| to_micros(trashed.delete_time))),
        purge_us: Set(note.trashed.map(|trashed| to_micros(trashed.purge_time))),
        revision: Set(note.etag.revision),
        digest: Set(note.etag.digest),
        change_seq: Set(state.change_seq),
        trash_epoch: Set(trash_epoch(note, state)),
        tag_ids: Set(to_tag_ids(&note.tags)),
        // A new note has no revisions, which is what the table says by itself.
        kept_us: NotSet,
        kept_session: NotSet,
        revision_count: NotSet,
        revision_bytes: NotSet,
    }
}

/// The number of the trash that a note lies in.
pub(super) const fn trash_epoch(note: &Note, state: &OwnerState) -> i64 {
    if note.trashed.is_some() { state.trash_epoch } else { NO_TRASH }
}

/// Tags as a row keeps them: sixteen bytes each, null for none.
pub(super) fn to_tag_ids(tags: &[TagId]) -> Option<Vec<u8>> {
    (!tags.is_empty()).then(|| tags.iter().flat_map(|tag| tag.as_uuid().into_bytes()).collect())
}

fn from_tag_ids(bytes: &[u8]) -> Result<Vec<TagId>, DbErr> {
    let (ids, []) = bytes.as_chunks::<16>() else { return Err(corrupt("tag_ids")) };
    Ok(ids.iter().map(|id| TagId::from_uuid(Uuid::from_bytes(*id))).collect())
}

/// The row of a note's content.
pub(super) fn to_body(owner: Uuid, note: &Note) -> note_body::ActiveModel {
    let content = note.content.as_ref().map(|content| content.as_str().to_owned());
    note_body::ActiveModel {
        owner_id: Set(owner),
        note_id: Set(note.id.as_uuid()),
        content: Set(content.unwrap_or_default()),
    }
}

/// Replaces a note if it still is the version `before`; says whether it was. `history` is what is counted of its
/// revisions then.
pub(super) async fn replace(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    before: &Note,
    after: &Note,
    state: &OwnerState,
    history: Option<History>,
) -> Result<bool, DbErr> {
    let differences = differences(&to_row(owner, before, state), to_row(owner, after, state));
    let mut row = note::ActiveModel { change_seq: Set(state.change_seq), ..differences };
    if let Some(history) = history {
        history::set(&mut row, history);
    }
    let replaced = note::Entity::update_many()
        .set(row)
        .filter(note::Column::OwnerId.eq(owner))
        .filter(note::Column::NoteId.eq(after.id.as_uuid()))
        .filter(note::Column::Revision.eq(before.etag.revision))
        .filter(note::Column::Digest.eq(before.etag.digest))
        .exec(connection)
        .await?;
    if replaced.rows_affected == 0 {
        return Ok(false);
    }
    if after.content != before.content {
        let body = to_body(owner, after);
        note_body::Entity::update_many()
            .set(note_body::ActiveModel { content: body.content, ..Default::default() })
            .filter(note_body::Column::OwnerId.eq(owner))
            .filter(note_body::Column::NoteId.eq(after.id.as_uuid()))
            .exec(connection)
            .await?;
    }
    Ok(true)
}

/// Removes notes with their bodies, which go by their key.
pub(super) async fn remove(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    ids: impl IntoIterator<Item = NoteId>,
) -> Result<(), DbErr> {
    note::Entity::delete_many()
        .filter(note::Column::OwnerId.eq(owner))
        .filter(note::Column::NoteId.is_in(ids.into_iter().map(NoteId::as_uuid)))
        .exec(connection)
        .await?;
    Ok(())
}

/// What is to be set: SQLite writes every index that has a column which is set, to the same value too.
fn differences(before: &note::ActiveModel, mut after: note::ActiveModel) -> note::ActiveModel {
    for column in note::Column::iter() {
        if before.get(column) == after.get(column) {
            after.not_set(column);
        }
    }
    after
}

fn corrupt(column: &str) -> DbErr {
    DbErr::Type(format!("notes.{column} of a row is out of its bounds"))
}
