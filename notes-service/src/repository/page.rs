use runtime::database::{DatabaseError, from_micros};
use sea_orm::sea_query::{Alias, SelectStatement};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use uuid::Uuid;

use super::contents::with_contents;
use super::entity::{note, owner_state};
use super::notes::{COLUMNS, CONTENT, NO_TRASH, from_row, of_owner, present_trash};
use super::ranges::{direction, looks_at_notes};
use super::rows::{self, Column, Row};
use super::{OwnedNotes, ranges};
use crate::domain::{
    Note, NoteId, PAGE_BYTES, PageBudget, PageQuery, Position, SortField, SortValue, SyncPoint, TitleKey, View,
};

/// The moment that a first page was read at.
const AS_OF: [Column; 2] = [Column::Plain("as_of_epoch"), Column::Plain("as_of_seq")];

/// What notes are sorted by in the order of titles.
const TITLE_KEY: Column = Column::Binary("title_key");

/// A page of notes.
#[derive(Debug)]
pub struct Page {
    /// The notes in their order.
    pub notes: Vec<Note>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
    /// The moment that it was read at, if it is the first page and has a note.
    pub as_of: Option<SyncPoint>,
}

impl OwnedNotes<'_> {
    /// Reads one page, whose cost depends on the size of the page alone: each order has an index that begins with the
    /// owner, or with the owner and a tag, and the place in it is found by comparing rows of values. Contents are not read
    /// in the basic view. The page ends before its notes exceed 3 MiB, whatever fills them.
    ///
    /// This takes one statement, and one before it if the filter has conditions that no index answers: then the page ends
    /// early when 2,000 notes were looked at. Both see the same state of the store, or a note that is written in between
    /// would push another one out of those that are looked at.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn page(self, query: PageQuery) -> Result<Page, DatabaseError> {
        let owner = self.owner_id();
        let database = self.repository.database.for_owner(owner);
        if looks_at_notes(&query) {
            return database
                .snapshot(move |connection| Box::pin(async move { read(connection, owner, &query).await }))
                .await;
        }
        database.read(move |connection| Box::pin(async move { read(connection, owner, &query).await })).await
    }
}

async fn read(connection: &impl ConnectionTrait, owner: Uuid, query: &PageQuery) -> Result<Page, DbErr> {
    let until = if looks_at_notes(query) { last_scanned(connection, owner, query).await? } else { None };
    let columns = columns(query);
    let select = select(connection.get_database_backend(), owner, query, until.as_ref());
    let mut rows = rows::fetch_all(connection, select, &columns).await?;
    let size = usize::from(query.size.get());
    let as_of = rows.first().filter(|_| query.after.is_none()).map(|row| as_of(row, query.view)).transpose()?;
    // Where all that were looked at fit, the next page begins after the last one of them.
    let mut page = Page { notes: Vec::with_capacity(rows.len().min(size)), next: until, as_of };
    let (mut last, mut budget) = (None, PageBudget::of(PAGE_BYTES));
    for row in &mut rows {
        let note = from_row(row, query.view)?;
        let beyond_budget = query.view == View::Full && note.content.is_none() || !budget.fits(&note);
        if page.notes.len() == size || beyond_budget {
            page.next = last;
            break;
        }
        let value = match query.order.field {
            SortField::CreateTime => SortValue::Time(note.create_time),
            SortField::UpdateTime => SortValue::Time(note.update_time),
            SortField::Title => SortValue::Title(TitleKey::stored(row.bytes(columns.len() - 1)?)),
        };
        last = Some(Position { value, id: note.id });
        page.notes.push(note);
    }
    Ok(page)
}

/// The place of the last note that is looked at for a page; none when there are fewer.
async fn last_scanned(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    query: &PageQuery,
) -> Result<Option<Position>, DbErr> {
    let sorted_by = match query.order.field {
        SortField::CreateTime => Column::Plain("create_us"),
        SortField::UpdateTime => Column::Plain("update_us"),
        SortField::Title => TITLE_KEY,
    };
    let columns = [sorted_by, Column::Binary("note_id")];
    let rows = rows::fetch_all(connection, ranges::last_scanned(owner, query), &columns).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let value = match query.order.field {
        SortField::CreateTime | SortField::UpdateTime => SortValue::Time(from_micros(row.integer(0)?)),
        SortField::Title => SortValue::Title(TitleKey::stored(row.bytes(0)?)),
    };
    Ok(Some(Position { value, id: NoteId::from_uuid(row.uuid(1)?) }))
}

/// The moment that a row of a first page was read at.
fn as_of(row: &Row, view: View) -> Result<SyncPoint, DbErr> {
    let index = COLUMNS.len() + usize::from(view == View::Full);
    let (epoch, change_seq) = (row.integer(index)?, row.integer(index + 1)?);
    Ok(SyncPoint { epoch, change_seq, begun_at: change_seq })
}

/// What [`select`] selects, in this order.
fn columns(query: &PageQuery) -> Vec<Column> {
    let mut columns = COLUMNS.to_vec();
    if query.view == View::Full {
        columns.push(CONTENT);
    }
    if query.after.is_none() {
        columns.extend(AS_OF);
    }
    if query.order.field == SortField::Title {
        columns.push(TITLE_KEY);
    }
    columns
}

/// The statement for a page and the first note after it, none of them after `until`.
pub(super) fn select(backend: DbBackend, owner: Uuid, query: &PageQuery, until: Option<&Position>) -> SelectStatement {
    let notes = |trash| {
        let mut notes = ranges::of_page(backend, owner, trash, query, until);
        for column in COLUMNS {
            notes.column((note::Entity, column.name()));
        }
        if query.after.is_none() {
            for (state, name) in [owner_state::Column::Epoch, owner_state::Column::ChangeSeq].into_iter().zip(AS_OF) {
                notes.expr_as(of_owner(owner, state), Alias::new(name.name()));
            }
        }
        if query.order.field == SortField::Title {
            notes.column((note::Entity, note::Column::TitleKey));
        }
        notes
    };
    let key =
        [ranges::sort_column(query.order.field), note::Column::NoteId].map(|column| (column, direction(query.order)));
    let page = if query.show_deleted {
        // Two ranges of the index, each in order, instead of one that would have to be sorted.
        let mut both = ranges::both(notes(NO_TRASH.into()), notes(present_trash(owner)));
        for (column, direction) in key.clone() {
            both.order_by(column, direction);
        }
        both.limit(u64::from(query.size.get()) + 1).to_owned()
    } else {
        notes(NO_TRASH.into())
    };
    match query.view {
        View::Basic => page,
        View::Full => with_contents(owner, page, &columns(query), &key, PAGE_BYTES),
    }
}
