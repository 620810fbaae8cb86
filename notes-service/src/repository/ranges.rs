//! Ranges of the indexes that notes are ordered by, as far as a page and its filter go.
//!
//! An index answers a part of a filter by itself: a range of the times that it is ordered by and, where it is one of
//! `note_tags`, the tag. The rest is looked at note by note, and at no more than so many notes for a page.

use runtime::database::to_micros;
use sea_orm::DbBackend;
use sea_orm::sea_query::{
    Asterisk, Condition, Expr, ExprTrait as _, Func, JoinType, Order as Direction, Query, SelectStatement, UnionType,
    WindowStatement,
};
use uuid::Uuid;

use super::entity::note::Column as Field;
use super::notes::{NO_TRASH, present_trash};
use crate::domain::{NoteFilter, Order, PageQuery, Position, SCANNED_MAX, SortField, SortValue, TimeRange};

const NOTES: &str = "notes";
const NOTE_TAGS: &str = "note_tags";
/// Keys of notes, before the notes are looked up.
const KEYS: &str = "keys";

/// Whether the filter has a condition that no index answers.
pub(super) fn looks_at_notes(query: &PageQuery) -> bool {
    !conditions(&beside_the_order(query)).is_empty()
}

/// The key of the last note that is looked at for a page; nothing when there are fewer.
pub(super) fn last_scanned(owner: Uuid, query: &PageQuery) -> SelectStatement {
    let keys = |trash| keys(owner, trash, query, None, SCANNED_MAX.into());
    let scanned = if query.show_deleted {
        both(keys(NO_TRASH.into()), keys(present_trash(owner)))
    } else {
        keys(NO_TRASH.into())
    };
    let key = [sort_column(query.order.field), Field::NoteId];
    let mut in_order = WindowStatement::new();
    for column in key {
        in_order.order_by(column, direction(query.order));
    }
    let numbered = Query::select()
        .columns(key)
        .expr_window_as(Func::cust("row_number"), in_order, "place")
        .from_subquery(scanned, "scanned")
        .to_owned();
    Query::select()
        .columns(key)
        .from_subquery(numbered, "numbered")
        .and_where(Expr::col("place").eq(i64::from(SCANNED_MAX)))
        .to_owned()
}

/// Where the notes of a page come from, of one trash or of the live ones: those that the filter lets through, as many as
/// the page needs to know its end, in its order, after the place where it begins and not after `until`.
pub(super) fn of_page(
    backend: DbBackend,
    owner: Uuid,
    trash: Expr,
    query: &PageQuery,
    until: Option<&Position>,
) -> SelectStatement {
    let one_more = u64::from(query.size.get()) + 1;
    let conditions = conditions(&beside_the_order(query));
    // PostgreSQL takes what lies between two places for a third of the index, and reads every note of a partition for it,
    // unless it is told how many keys there are.
    let keys_first = query.filter.tag.is_some() || backend == DbBackend::Postgres && !conditions.is_empty();
    let mut notes = if keys_first {
        let most = if conditions.is_empty() { one_more } else { SCANNED_MAX.into() };
        with_notes(backend, owner, keys(owner, trash, query, until, most), query.order)
    } else {
        part(owner, trash, query, until)
    };
    notes.cond_where(conditions).limit(one_more).to_owned()
}

/// The rows of both, one after the other.
pub(super) fn both(one: SelectStatement, other: SelectStatement) -> SelectStatement {
    let mut both = Query::select();
    both.column(Asterisk)
        .from_subquery(one, "live")
        .union(UnionType::All, Query::select().column(Asterisk).from_subquery(other, "in_trash").to_owned());
    both
}

/// The first keys of a part of an index.
fn keys(owner: Uuid, trash: Expr, query: &PageQuery, until: Option<&Position>, most: u64) -> SelectStatement {
    let table = table(query);
    let key = [(table, sort_column(query.order.field)), (table, Field::NoteId)];
    part(owner, trash, query, until).columns(key).limit(most).to_owned()
}

/// The part of an index between the place where a page begins and `until`, as far as the filter is a matter of the index.
fn part(owner: Uuid, trash: Expr, query: &PageQuery, until: Option<&Position>) -> SelectStatement {
    let (table, order, filter) = (table(query), query.order, &query.filter);
    let column = |name| Expr::col((table, name));
    let mut select = Query::select();
    select.from(table).and_where(column(Field::OwnerId).eq(owner));
    if let Some(tag) = filter.tag {
        select.and_where(Expr::col((table, "tag_id")).eq(tag.as_uuid()));
    }
    select.and_where(column(Field::TrashEpoch).eq(trash));
    // Comparisons of rows, which the index answers at any depth; `a < ? OR (a = ? AND b < ?)` reads all before it. A place
    // lies within the range of times, so the bound behind it need not be looked at.
    let place = || Expr::tuple([column(sort_column(order.field)), column(Field::NoteId)]);
    let range = match order.field {
        SortField::CreateTime => filter.create_time,
        SortField::UpdateTime => filter.update_time,
        SortField::Title => None,
    };
    let time = || column(sort_column(order.field));
    let from_start = range.and_then(TimeRange::start).map(|start| time().gte(to_micros(start)));
    let before_end = range.and_then(TimeRange::end).map(|end| time().lt(to_micros(end)));
    let (after, until) = (query.after.as_ref().map(values), until.map(values));
    let bounds = if order.descending {
        [after.map(|after| place().lt(after)).or(before_end), until.map(|until| place().gte(until)).or(from_start)]
    } else {
        [after.map(|after| place().gt(after)).or(from_start), until.map(|until| place().lte(until)).or(before_end)]
    };
    for bound in bounds.into_iter().flatten() {
        select.and_where(bound);
    }
    in_order(&mut select, table, order);
    select
}

/// The notes of these keys, in their order, each looked up by its key. A join would leave it to PostgreSQL whether to read
/// every note of a partition instead.
fn with_notes(backend: DbBackend, owner: Uuid, keys: SelectStatement, order: Order) -> SelectStatement {
    let of_owner = Expr::col((NOTES, Field::OwnerId)).eq(owner);
    let of_key = Expr::col((NOTES, Field::NoteId)).equals((KEYS, Field::NoteId));
    let mut select = Query::select();
    select.from_subquery(keys, KEYS);
    match backend {
        DbBackend::Postgres => {
            let note =
                Query::select().column(Asterisk).from(NOTES).and_where(of_owner).and_where(of_key).limit(1).to_owned();
            select.join_lateral(JoinType::InnerJoin, note, NOTES, Expr::value(true));
        }
        // SQLite looks the notes up one by one, as this kind of join tells it to.
        _ => {
            select.cross_join(NOTES).and_where(of_owner).and_where(of_key);
        }
    }
    in_order(&mut select, KEYS, order);
    select
}

/// The filter without the range that is one of the index of the order.
fn beside_the_order(query: &PageQuery) -> NoteFilter {
    match query.order.field {
        SortField::CreateTime => NoteFilter { create_time: None, ..query.filter },
        SortField::UpdateTime => NoteFilter { update_time: None, ..query.filter },
        SortField::Title => query.filter,
    }
}

/// What a filter asks of the row of a note: everything but its tag.
pub(super) fn conditions(filter: &NoteFilter) -> Condition {
    let column = |name| Expr::col((NOTES, name));
    let range = |name, range: Option<TimeRange>| {
        let bounds = range.map_or([None, None], |range| [range.start(), range.end()]);
        let [start, end] = bounds.map(|bound| bound.map(to_micros));
        // A sum, so that it is no range of another index, in whose order SQLite would read and sort all notes in it.
        let time = || column(name).add(0);
        [start.map(|start| time().gte(start)), end.map(|end| time().lt(end))]
    };
    let times =
        range(Field::CreateUs, filter.create_time).into_iter().chain(range(Field::UpdateUs, filter.update_time));
    times.fold(
        Condition::all()
            .add_option(filter.pinned.map(|pinned| column(Field::Pinned).eq(pinned)))
            .add_option(filter.archived.map(|archived| column(Field::Archived).eq(archived)))
            .add_option(filter.color.map(|color| column(Field::Color).eq(color.number()))),
        Condition::add_option,
    )
}

/// The table whose indexes have the order.
const fn table(query: &PageQuery) -> &'static str {
    if query.filter.tag.is_some() { NOTE_TAGS } else { NOTES }
}

fn values(position: &Position) -> Expr {
    let value = match &position.value {
        SortValue::Time(time) => Expr::value(to_micros(*time)),
        SortValue::Title(key) => Expr::value(key.as_bytes().to_vec()),
    };
    Expr::tuple([value, Expr::value(position.id.as_uuid())])
}

fn in_order(select: &mut SelectStatement, table: &'static str, order: Order) {
    for column in [sort_column(order.field), Field::NoteId] {
        select.order_by((table, column), direction(order));
    }
}

/// The column of what is sorted by.
pub(super) const fn sort_column(field: SortField) -> Field {
    match field {
        SortField::CreateTime => Field::CreateUs,
        SortField::UpdateTime => Field::UpdateUs,
        SortField::Title => Field::TitleKey,
    }
}

pub(super) const fn direction(order: Order) -> Direction {
    if order.descending { Direction::Desc } else { Direction::Asc }
}
