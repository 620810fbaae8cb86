use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::super::entity::{note, note_body};
use super::super::rows::{self, Column};
use super::BACKLOG;
use super::segments::{rewrite_stale, store};
use crate::domain::search::{Document, SEGMENT_DOCUMENTS, SegmentBuilder};

/// Contents of about so many bytes are read at a time.
const BACKLOG_BYTES: i64 = 2 * 1_048_576;

/// Adds some notes to the index that were there before it, or forgets some terms of notes that were removed for good. Says
/// whether there is more to do. The owner is locked.
pub(in super::super) async fn maintain(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    batch: u16,
) -> Result<bool, DbErr> {
    Ok(catch_up(transaction, owner, batch).await? || rewrite_stale(transaction, owner).await?)
}

/// Makes a segment of some notes of the backlog, the oldest first. They lie before all that the index has otherwise.
async fn catch_up(transaction: &impl ConnectionTrait, owner: Uuid, batch: u16) -> Result<bool, DbErr> {
    let backlog = Query::select()
        .columns(["after_seq", "last_seq"])
        .from(BACKLOG)
        .and_where(Expr::col("owner_id").eq(owner))
        .to_owned();
    let Some(row) = transaction.query_one(&backlog).await? else { return Ok(false) };
    let (after, last): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let mut builder = SegmentBuilder::default();
    let sizes = rows::fetch_all(transaction, sizes(owner, after, last, batch), &SIZE).await?;
    let (mut reached, mut bytes) = (None, 0);
    for row in &sizes {
        if bytes >= BACKLOG_BYTES {
            break;
        }
        bytes += row.integer(1)?;
        reached = Some(row.integer(0)?);
    }
    if let Some(reached) = reached {
        for row in &mut rows::fetch_all(transaction, texts(owner, after, reached), &TEXT).await? {
            builder.add(row.integer(0)?, &Document::of(&row.text(1)?, &row.text(2)?));
        }
    }
    if let Some(segment) = builder.build() {
        store(transaction, owner, segment).await?;
    }
    let of_owner = Expr::col("owner_id").eq(owner);
    match reached.filter(|reached| *reached < last) {
        Some(reached) => {
            let onward = Query::update().table(BACKLOG).value("after_seq", reached).and_where(of_owner).to_owned();
            transaction.execute(&onward).await?;
        }
        None => {
            transaction.execute(Query::delete().from_table(BACKLOG).and_where(of_owner)).await?;
        }
    }
    Ok(true)
}

const SIZE: [Column; 2] = [Column::Plain("change_seq"), Column::Plain("content_bytes")];
const TEXT: [Column; 3] = [Column::Plain("change_seq"), Column::Plain("title"), Column::Plain("content")];

fn sizes(owner: Uuid, after: i64, last: i64, batch: u16) -> SelectStatement {
    let batch = Ord::min(u64::from(batch), u64::try_from(SEGMENT_DOCUMENTS).expect("few"));
    let mut select = Query::select().columns(["change_seq", "content_bytes"]).to_owned();
    in_range(&mut select, owner, after, last).limit(batch).to_owned()
}

fn texts(owner: Uuid, after: i64, last: i64) -> SelectStatement {
    let content = Query::select()
        .column(note_body::Column::Content)
        .from(note_body::Entity)
        .and_where(Expr::col((note_body::Entity, note_body::Column::OwnerId)).eq(owner))
        .and_where(
            Expr::col((note_body::Entity, note_body::Column::NoteId)).equals((note::Entity, note::Column::NoteId)),
        )
        .to_owned();
    let mut select = Query::select().columns(["change_seq", "title"]).expr_as(content, "content").to_owned();
    in_range(&mut select, owner, after, last).to_owned()
}

fn in_range(select: &mut SelectStatement, owner: Uuid, after: i64, last: i64) -> &mut SelectStatement {
    let change = || Expr::col((note::Entity, note::Column::ChangeSeq));
    select
        .from(note::Entity)
        .and_where(Expr::col((note::Entity, note::Column::OwnerId)).eq(owner))
        .and_where(change().gt(after))
        .and_where(change().lte(last))
        .order_by((note::Entity, note::Column::ChangeSeq), Order::Asc)
}
