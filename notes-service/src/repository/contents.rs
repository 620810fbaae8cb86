use sea_orm::sea_query::{
    Alias, Asterisk, Expr, ExprTrait as _, Frame, FrameType, Func, Order, Query, SelectStatement, WindowStatement,
};
use uuid::Uuid;

use super::entity::{note, note_body};
use super::notes::CONTENT;
use super::rows::Column;
use crate::domain::NOTE_BYTES_BESIDE_CONTENT;

/// Adds the contents to a page of notes, as long as they come to no more than `budget` bytes, that of the first in any
/// case; those of the others are not read, and null. Each is looked up by its key: a join would leave it to the engine
/// whether to read all contents of the owner instead.
///
/// `page` is in this order, and `columns` are those that it selects, with [`CONTENT`] among them.
pub(super) fn with_contents(
    owner: Uuid,
    page: SelectStatement,
    columns: &[Column],
    order: &[(note::Column, Order)],
    budget: usize,
) -> SelectStatement {
    let page_column = |name: &'static str| Expr::col((Alias::new("page"), Alias::new(name)));
    let body_column = |column: note_body::Column| Expr::col((note_body::Entity, column));
    let beside = i64::try_from(NOTE_BYTES_BESIDE_CONTENT).expect("a few thousand");
    let weight = |bytes: Expr| bytes.add(beside);
    let mut running = WindowStatement::new();
    for (column, direction) in order {
        running.order_by(*column, direction.clone());
    }
    running.frame_start(FrameType::Rows, Frame::UnboundedPreceding);
    let weighed = Query::select()
        .column(Asterisk)
        .expr_window_as(Func::sum(weight(Expr::col(note::Column::ContentBytes))), running, Alias::new("running_bytes"))
        .from_subquery(page, Alias::new("unweighed"))
        .to_owned();
    let fits = page_column("running_bytes").lte(i64::try_from(budget).expect("a budget fits 64 bits"));
    let is_first = page_column("running_bytes").eq(weight(page_column("content_bytes")));
    let content = Query::select()
        .column((note_body::Entity, note_body::Column::Content))
        .from(note_body::Entity)
        .and_where(body_column(note_body::Column::OwnerId).eq(owner))
        .and_where(body_column(note_body::Column::NoteId).equals((Alias::new("page"), note::Column::NoteId)))
        .and_where(fits.or(is_first))
        .to_owned();

    let mut select = Query::select();
    for column in columns {
        if column.name() == CONTENT.name() {
            select.expr_as(content.clone(), Alias::new(CONTENT.name()));
        } else {
            select.expr(page_column(column.name()));
        }
    }
    select.from_subquery(weighed, Alias::new("page"));
    for (column, direction) in order {
        select.order_by(*column, direction.clone());
    }
    select
}
