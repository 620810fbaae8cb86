use runtime::database::{DatabaseError, to_micros};
use sea_orm::sea_query::{
    Alias, Asterisk, Expr, ExprTrait as _, Order as Direction, Query, SelectStatement, UnionType,
};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::OwnedNotes;
use super::contents::with_contents;
use super::entity::{note, owner_state};
use super::notes::{COLUMNS, CONTENT, NO_TRASH, from_row, in_trash, of_owner, present_trash};
use super::rows::{self, Column, Row};
use crate::domain::{
    Note, Order, PAGE_BYTES, PageBudget, PageQuery, Position, SortField, SortValue, SyncPoint, TitleKey, View,
};

/// The moment that a first page was read at.
const AS_OF: [Column; 2] = [Column::Plain("as_of_epoch"), Column::Plain("as_of_seq")];

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
    /// Reads one page by one statement, whose cost depends on the size of the page alone: each order has an index that
    /// begins with the owner, and the place in it is found by comparing rows of values. Contents are not read in the
    /// basic view. The page ends before its notes exceed 3 MiB, whatever fills them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn page(self, query: PageQuery) -> Result<Page, DatabaseError> {
        let owner = self.owner_id();
        self.repository
            .database
            .read(move |connection| Box::pin(async move { read(connection, owner, &query).await }))
            .await
    }
}

async fn read(connection: &impl ConnectionTrait, owner: Uuid, query: &PageQuery) -> Result<Page, DbErr> {
    let columns = columns(query);
    let mut rows = rows::fetch_all(connection, select(owner, query), &columns).await?;
    let size = usize::from(query.size.get());
    let as_of = rows.first().filter(|_| query.after.is_none()).map(|row| as_of(row, query.view)).transpose()?;
    let mut page = Page { notes: Vec::with_capacity(rows.len().min(size)), next: None, as_of };
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
        columns.push(Column::Binary("title_key"));
    }
    columns
}

/// The statement for a page and the first note after it.
pub(super) fn select(owner: Uuid, query: &PageQuery) -> SelectStatement {
    let page = if query.show_deleted {
        // Two ranges of the index, each in order, instead of one that would have to be sorted.
        let mut both = Query::select();
        both.column(Asterisk).from_subquery(range(owner, NO_TRASH.into(), query), Alias::new("live")).union(
            UnionType::All,
            Query::select()
                .column(Asterisk)
                .from_subquery(range(owner, present_trash(owner), query), Alias::new("in_trash"))
                .to_owned(),
        );
        in_order(&mut both, query.order).limit(limit(query)).to_owned()
    } else {
        range(owner, NO_TRASH.into(), query)
    };
    match query.view {
        View::Basic => page,
        View::Full => {
            let order =
                [sort_column(query.order.field), note::Column::NoteId].map(|column| (column, direction(query.order)));
            with_contents(owner, page, &columns(query), &order, PAGE_BYTES)
        }
    }
}

/// One range of the index of the order.
fn range(owner: Uuid, trash: Expr, query: &PageQuery) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS {
        select.column(column.name());
    }
    if query.after.is_none() {
        for (state, name) in [owner_state::Column::Epoch, owner_state::Column::ChangeSeq].into_iter().zip(AS_OF) {
            select.expr_as(of_owner(owner, state), Alias::new(name.name()));
        }
    }
    if query.order.field == SortField::Title {
        select.column(note::Column::TitleKey);
    }
    select.from(note::Entity).and_where(Expr::col(note::Column::OwnerId).eq(owner)).cond_where(in_trash([trash]));
    if let Some(Position { value, id }) = &query.after {
        let value = match value {
            SortValue::Time(time) => Expr::value(to_micros(*time)),
            SortValue::Title(key) => Expr::value(key.as_bytes().to_vec()),
        };
        // A comparison of rows, which the index answers at any depth; `a < ? OR (a = ? AND b < ?)` reads all before it.
        let place = Expr::tuple([Expr::col(sort_column(query.order.field)), Expr::col(note::Column::NoteId)]);
        let after = Expr::tuple([value, Expr::value(id.as_uuid())]);
        select.and_where(if query.order.descending { place.lt(after) } else { place.gt(after) });
    }
    in_order(&mut select, query.order).limit(limit(query)).to_owned()
}

fn in_order(select: &mut SelectStatement, order: Order) -> &mut SelectStatement {
    select.order_by(sort_column(order.field), direction(order)).order_by(note::Column::NoteId, direction(order))
}

const fn sort_column(field: SortField) -> note::Column {
    match field {
        SortField::CreateTime => note::Column::CreateUs,
        SortField::UpdateTime => note::Column::UpdateUs,
        SortField::Title => note::Column::TitleKey,
    }
}

const fn direction(order: Order) -> Direction {
    if order.descending { Direction::Desc } else { Direction::Asc }
}

/// One more than the page, to know whether there is a next one.
fn limit(query: &PageQuery) -> u64 {
    u64::from(query.size.get()) + 1
}
