use std::time::SystemTime;

use runtime::database::{DatabaseError, from_micros};
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, JoinType, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::entity::{note, note_revision};
use super::notes::{NO_TRASH, in_trash, present_trash};
use super::rows::{self, Column, Row};
use super::{OwnedNotes, revision_text};
use crate::domain::{
    Color, Etag, NOTE_BYTES_BESIDE_CONTENT, Note, NoteId, PAGE_BYTES, Revision, RevisionId, RevisionQuery,
    RevisionReason, Snippet, Title, View,
};

/// What is selected of a revision, in this order.
const COLUMNS: [Column; 11] = [
    Column::Plain("revision"),
    Column::Plain("digest"),
    Column::Plain("reason"),
    Column::Plain("title"),
    Column::Plain("snippet"),
    Column::Plain("content_bytes"),
    Column::Plain("pinned"),
    Column::Plain("archived"),
    Column::Plain("color"),
    Column::Plain("update_us"),
    Column::Plain("create_us"),
];
/// The compressed content.
const CONTENT: Column = Column::Binary("content");

/// A page of revisions.
#[derive(Debug)]
pub struct RevisionPage {
    /// The newest first.
    pub revisions: Vec<Revision>,
    /// Before which one the next page begins, if there is one.
    pub next: Option<RevisionId>,
}

/// What became of a search for a revision.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a call, where a box would be one more allocation")]
pub enum FoundRevision {
    /// It is there.
    Found(Revision),
    /// The note is there and has no such revision.
    NoRevision,
    /// The owner has no such note.
    NoNote,
}

impl OwnedNotes<'_> {
    /// Reads a page of the revisions of a note, live or in the trash; none if the owner has no such note. Costs what the
    /// page holds. Contents are not read in the basic view; in the full view the page ends before they exceed 3 MiB.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn revisions(self, query: RevisionQuery) -> Result<Option<RevisionPage>, DatabaseError> {
        let owner = self.owner_id();
        let read = self
            .repository
            .database
            .for_owner(owner)
            .snapshot(move |connection| Box::pin(async move { page(connection, owner, query).await }));
        read.await
    }

    /// Finds one revision of a note, live or in the trash, whole and by one statement.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn revision(self, note: NoteId, revision: RevisionId) -> Result<FoundRevision, DatabaseError> {
        let owner = self.owner_id();
        let read = self
            .repository
            .database
            .for_owner(owner)
            .read(move |connection| Box::pin(async move { find(connection, owner, note, revision).await }));
        read.await
    }
}

async fn page(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    query: RevisionQuery,
) -> Result<Option<RevisionPage>, DbErr> {
    let made = connection.query_one(&create_time(owner, query.note)).await?;
    let Some(made) = made else { return Ok(None) };
    let create_time = from_micros(made.try_get_by_index(0)?);
    let mut rows = rows::fetch_all(connection, newest(owner, &query), &COLUMNS).await?;
    let revisions: Result<Vec<_>, DbErr> =
        rows.iter_mut().map(|row| from_row(row, 0, query.note, create_time)).collect();
    let mut revisions = revisions?;
    let fitting = match query.view {
        View::Basic => usize::from(query.size.get()),
        View::Full => fitting(&revisions).min(query.size.get().into()),
    };
    let cut = revisions.len() > fitting;
    revisions.truncate(fitting);
    if query.view == View::Full {
        add_contents(connection, owner, query.note, &mut revisions).await?;
    }
    let last = revisions.last().and_then(|revision| RevisionId::from_number(revision.snapshot.etag.revision));
    Ok(Some(RevisionPage { revisions, next: last.filter(|_| cut) }))
}

/// How many of them fit an answer with their contents; one always does.
fn fitting(revisions: &[Revision]) -> usize {
    let sums = revisions.iter().scan(0, |sum, revision| {
        *sum += revision.snapshot.content_bytes + NOTE_BYTES_BESIDE_CONTENT;
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= PAGE_BYTES).count()
}

/// Reads the contents of a page, which is a range of the key.
async fn add_contents(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    note: NoteId,
    page: &mut [Revision],
) -> Result<(), DbErr> {
    let (Some(newest), Some(oldest)) = (page.first(), page.last()) else { return Ok(()) };
    let range = oldest.snapshot.etag.revision..=newest.snapshot.etag.revision;
    let rows = rows::fetch_all(connection, contents(owner, note, range), &[CONTENT]).await?;
    if rows.len() != page.len() {
        return Err(DbErr::RecordNotFound("the content of a revision".to_owned()));
    }
    for (revision, row) in page.iter_mut().zip(rows) {
        revision.snapshot.content = Some(revision_text::decompress(&row.bytes(0)?)?);
    }
    Ok(())
}

/// Finds a revision whole, and whether its note is there.
pub(super) async fn find(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    note: NoteId,
    revision: RevisionId,
) -> Result<FoundRevision, DbErr> {
    let Some(result) = connection.query_one(&by_key(owner, note, revision)).await? else {
        return Ok(FoundRevision::NoNote);
    };
    let mut row = Row::Selected(result);
    if row.optional_integer(1)?.is_none() {
        return Ok(FoundRevision::NoRevision);
    }
    let create_time = from_micros(row.integer(0)?);
    let mut found = from_row(&mut row, 1, note, create_time)?;
    found.snapshot.content = Some(revision_text::decompress(&row.bytes(COLUMNS.len() + 1)?)?);
    Ok(FoundRevision::Found(found))
}

/// When the note was made, if it is there.
pub(super) fn create_time(owner: Uuid, note: NoteId) -> SelectStatement {
    Query::select()
        .column((note::Entity, note::Column::CreateUs))
        .from(note::Entity)
        .cond_where(is_there(owner, note))
        .to_owned()
}

/// The statement for a page and the revision after it.
pub(super) fn newest(owner: Uuid, query: &RevisionQuery) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS {
        select.column(column.name());
    }
    select.from(note_revision::Entity).cond_where(of_note(owner, query.note));
    if let Some(before) = query.before {
        select.and_where(Expr::col(note_revision::Column::Revision).lt(before.number()));
    }
    let more = u64::from(query.size.get()) + 1;
    select.order_by(note_revision::Column::Revision, Order::Desc).limit(more).to_owned()
}

/// The contents of a range of revisions, the newest first.
pub(super) fn contents(owner: Uuid, note: NoteId, range: std::ops::RangeInclusive<i64>) -> SelectStatement {
    Query::select()
        .column(CONTENT.name())
        .from(note_revision::Entity)
        .cond_where(of_note(owner, note))
        .and_where(Expr::col(note_revision::Column::Revision).between(*range.start(), *range.end()))
        .order_by(note_revision::Column::Revision, Order::Desc)
        .to_owned()
}

/// One row if the note is there, whose columns after the first are null if the revision is not.
pub(super) fn by_key(owner: Uuid, note: NoteId, revision: RevisionId) -> SelectStatement {
    let mut select = Query::select();
    select.column((note::Entity, note::Column::CreateUs));
    for column in COLUMNS.into_iter().chain([CONTENT]) {
        select.column((note_revision::Entity, column.name()));
    }
    let revision = Expr::col((note_revision::Entity, note_revision::Column::Revision)).eq(revision.number());
    select
        .from(note::Entity)
        .join(JoinType::LeftJoin, note_revision::Entity, of_note(owner, note).add(revision))
        .cond_where(is_there(owner, note))
        .to_owned()
}

fn of_note(owner: Uuid, note: NoteId) -> Condition {
    Condition::all()
        .add(Expr::col((note_revision::Entity, note_revision::Column::OwnerId)).eq(owner))
        .add(Expr::col((note_revision::Entity, note_revision::Column::NoteId)).eq(note.as_uuid()))
}

fn is_there(owner: Uuid, note: NoteId) -> Condition {
    Condition::all()
        .add(Expr::col((note::Entity, note::Column::OwnerId)).eq(owner))
        .add(Expr::col((note::Entity, note::Column::NoteId)).eq(note.as_uuid()))
        .add(in_trash([NO_TRASH.into(), present_trash(owner)]))
}

/// Makes a revision, without its content, of [`COLUMNS`] that begin at `first`.
fn from_row(row: &mut Row, first: usize, id: NoteId, create_time: SystemTime) -> Result<Revision, DbErr> {
    let at = |index: usize| first + index;
    let snapshot = Note {
        id,
        title: Title::stored(row.text(at(3))?),
        content: None,
        content_bytes: usize::try_from(row.integer(at(5))?).map_err(|_| corrupt("content_bytes"))?,
        snippet: Snippet::stored(row.text(at(4))?),
        pinned: row.boolean(at(6))?,
        archived: row.boolean(at(7))?,
        color: Color::from_number(row.small(at(8))?.into()).ok_or_else(|| corrupt("color"))?,
        // What a note is filed under is not part of its history.
        tags: Vec::new(),
        create_time,
        update_time: from_micros(row.integer(at(9))?),
        trashed: None,
        etag: Etag { revision: row.integer(at(0))?, digest: row.integer(at(1))? },
    };
    let reason = RevisionReason::from_number(row.small(at(2))?).ok_or_else(|| corrupt("reason"))?;
    Ok(Revision { snapshot, create_time: from_micros(row.integer(at(10))?), reason })
}

fn corrupt(column: &str) -> DbErr {
    DbErr::Type(format!("note_revisions.{column} of a row is out of its bounds"))
}
