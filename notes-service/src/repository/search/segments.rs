use std::collections::BTreeSet;

use sea_orm::sea_query::{
    Alias, Asterisk, Expr, ExprTrait as _, Frame, FrameType, Func, Order, Query, SelectStatement, WindowStatement,
};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::super::entity::note;
use super::super::rows::{self, Column, Row};
use super::{BACKLOG, BLOCKS, RECENT, SEGMENTS};
use crate::domain::search::{Document, SEGMENT_DOCUMENTS, Segment, SegmentBuilder, stored_sequence};

/// Entries of so many bytes are gathered though they are few.
const GATHER_BYTES: i64 = 512 * 1_024;

/// Most segments that are rewritten as one.
const RUN: usize = 8;

/// Most blocks of one statement.
const BLOCKS_AT_ONCE: usize = 64;

/// What is known of a segment without its terms.
struct Outline {
    first_seq: i64,
    last_seq: i64,
    live: i64,
}

/// Makes segments of the entries of an owner, when there are enough, and rewrites what has become sparse. Rows of notes have
/// yet to get the numbers from `pending` on.
pub(super) async fn gather(transaction: &impl ConnectionTrait, owner: Uuid, pending: i64) -> Result<(), DbErr> {
    let mut gathered = false;
    while is_due(transaction, owner).await? {
        let entries = rows::fetch_all(transaction, oldest_entries(owner), &ENTRY).await?;
        let mut builder = SegmentBuilder::default();
        for row in &entries {
            builder.add(row.integer(0)?, &Document::stored(row.bytes(1)?));
        }
        let Some(segment) = builder.build() else { break };
        let taken = Query::delete()
            .from_table(RECENT)
            .and_where(Expr::col("owner_id").eq(owner))
            .and_where(Expr::col("change_seq").lte(segment.last_seq()))
            .to_owned();
        transaction.execute(&taken).await?;
        store(transaction, owner, segment).await?;
        gathered = true;
    }
    if gathered && !has_backlog(transaction, owner).await? {
        compact(transaction, owner, pending).await?;
    }
    Ok(())
}

const ENTRY: [Column; 2] = [Column::Plain("change_seq"), Column::Binary("terms")];

async fn is_due(transaction: &impl ConnectionTrait, owner: Uuid) -> Result<bool, DbErr> {
    let size = Query::select()
        .expr(Func::count(Expr::col(Asterisk)))
        .expr(Func::coalesce([Expr::from(Func::sum(Func::cust("length").arg(Expr::col("terms")))), Expr::value(0_i64)]))
        .from(RECENT)
        .and_where(Expr::col("owner_id").eq(owner))
        .to_owned();
    let Some(row) = transaction.query_one(&size).await? else { return Ok(false) };
    let (entries, bytes): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(usize::try_from(entries).is_ok_and(|entries| entries >= SEGMENT_DOCUMENTS) || bytes >= GATHER_BYTES)
}

/// The entries of a segment to make.
pub(in super::super) fn oldest_entries(owner: Uuid) -> SelectStatement {
    let entries = Query::select()
        .columns(["change_seq", "terms"])
        .from(RECENT)
        .and_where(Expr::col("owner_id").eq(owner))
        .order_by("change_seq", Order::Asc)
        .limit(u64::try_from(SEGMENT_DOCUMENTS).expect("few"))
        .to_owned();
    within_bytes(entries, Order::Asc, GATHER_BYTES)
}

/// The first of these entries, as long as those before are not of so many bytes.
pub(super) fn within_bytes(entries: SelectStatement, order: Order, bytes: i64) -> SelectStatement {
    let size = || Expr::from(Func::cust("length").arg(Expr::col("terms")));
    let mut running = WindowStatement::new();
    running.order_by("change_seq", order.clone()).frame_start(FrameType::Rows, Frame::UnboundedPreceding);
    let weighed = Query::select()
        .columns(["change_seq", "terms"])
        .expr_window_as(Func::sum(size()), running, Alias::new("running_bytes"))
        .from_subquery(entries, Alias::new("entries"))
        .to_owned();
    Query::select()
        .columns(["change_seq", "terms"])
        .from_subquery(weighed, Alias::new("weighed"))
        .and_where(Expr::col("running_bytes").sub(size()).lt(bytes))
        .order_by("change_seq", order)
        .to_owned()
}

/// Stores a segment of which all notes are as it has them.
pub(super) async fn store(transaction: &impl ConnectionTrait, owner: Uuid, segment: Segment) -> Result<(), DbErr> {
    let last_seq = segment.last_seq();
    let insert = Query::insert()
        .into_table(SEGMENTS)
        .columns(["owner_id", "last_seq", "first_seq", "live", "stale", "sequence"])
        .values_panic([
            owner.into(),
            last_seq.into(),
            segment.first_seq().into(),
            i64::try_from(segment.note_count()).expect("few").into(),
            false.into(),
            segment.sequence().into(),
        ])
        .to_owned();
    transaction.execute(&insert).await?;
    for blocks in segment.into_blocks().chunks(BLOCKS_AT_ONCE) {
        let mut insert = Query::insert();
        insert.into_table(BLOCKS).columns(["owner_id", "last_seq", "first_term", "data"]);
        for block in blocks {
            let (first_term, data) = (block.first_term.clone(), block.data.clone());
            insert.values_panic([owner.into(), last_seq.into(), first_term.into(), data.into()]);
        }
        transaction.execute(&insert).await?;
    }
    Ok(())
}

/// Rewrites neighbours that together have no more notes than one segment may: the first such run, which is as much as one
/// more segment can make necessary.
async fn compact(transaction: &impl ConnectionTrait, owner: Uuid, pending: i64) -> Result<(), DbErr> {
    let outlines = outlines(transaction, owner).await?;
    let capacity = i64::try_from(SEGMENT_DOCUMENTS).expect("few");
    for begin in 0..outlines.len() {
        let mut live = 0;
        let run = outlines[begin..].iter().take(RUN).take_while(|outline| {
            live += outline.live;
            live <= capacity
        });
        let run = run.count();
        if run > 1 {
            return rewrite(transaction, owner, &outlines[begin..begin + run], pending).await;
        }
    }
    Ok(())
}

/// Rewrites the segments from which notes were removed for good, some of them; says whether there may be more.
pub(super) async fn rewrite_stale(transaction: &impl ConnectionTrait, owner: Uuid) -> Result<bool, DbErr> {
    let stale = select_outlines(owner).and_where(Expr::col("stale").eq(true)).limit(1).to_owned();
    let stale = read_outlines(transaction, stale).await?;
    if stale.is_empty() {
        return Ok(false);
    }
    rewrite(transaction, owner, &stale, i64::MAX).await?;
    Ok(true)
}

/// Marks the segments that have one of these changes; says whether there are any.
pub(super) async fn mark_stale(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    changes: &[i64],
) -> Result<bool, DbErr> {
    let holds = |outline: &Outline| changes.iter().any(|seq| (outline.first_seq..=outline.last_seq).contains(seq));
    let mut stale = outlines(transaction, owner).await?;
    stale.retain(holds);
    if stale.is_empty() {
        return Ok(false);
    }
    let mark = Query::update()
        .table(SEGMENTS)
        .value("stale", true)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("last_seq").is_in(stale.iter().map(|outline| outline.last_seq)))
        .to_owned();
    transaction.execute(&mark).await?;
    Ok(true)
}

/// Makes one segment of neighbours, with what their notes still are; as many of them as one may have.
async fn rewrite(transaction: &impl ConnectionTrait, owner: Uuid, run: &[Outline], pending: i64) -> Result<(), DbErr> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
    let present = present_changes(transaction, owner, first.first_seq, last.last_seq).await?;
    let keep = |seq: i64| seq >= pending || present.contains(&seq);
    let (mut builder, mut kept, mut replaced) = (SegmentBuilder::default(), 0, Vec::new());
    for outline in run {
        let (sequence, blocks) = read(transaction, owner, outline.last_seq).await?;
        kept += sequence.iter().filter(|seq| keep(**seq)).count();
        if kept > SEGMENT_DOCUMENTS {
            break;
        }
        builder.merge(&sequence, &blocks, keep);
        replaced.push(outline.last_seq);
    }
    for table in [SEGMENTS, BLOCKS] {
        let removed = Query::delete()
            .from_table(table)
            .and_where(Expr::col("owner_id").eq(owner))
            .and_where(Expr::col("last_seq").is_in(replaced.iter().copied()))
            .to_owned();
        transaction.execute(&removed).await?;
    }
    match builder.build() {
        Some(segment) => store(transaction, owner, segment).await,
        None => Ok(()),
    }
}

/// Which of the changes of a range are the last ones of notes.
async fn present_changes(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    first: i64,
    last: i64,
) -> Result<BTreeSet<i64>, DbErr> {
    let present = Query::select()
        .column(note::Column::ChangeSeq)
        .from(note::Entity)
        .and_where(Expr::col(note::Column::OwnerId).eq(owner))
        .and_where(Expr::col(note::Column::ChangeSeq).between(first, last))
        .to_owned();
    let rows = rows::fetch_all(transaction, present, &[Column::Plain("change_seq")]).await?;
    rows.iter().map(|row| row.integer(0)).collect()
}

/// The notes and the blocks of a segment.
async fn read(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    last_seq: i64,
) -> Result<(Vec<i64>, Vec<Vec<u8>>), DbErr> {
    let of_segment = |column: &'static str, table: &'static str| {
        Query::select()
            .column(column)
            .from(table)
            .and_where(Expr::col("owner_id").eq(owner))
            .and_where(Expr::col("last_seq").eq(last_seq))
            .to_owned()
    };
    let sequence =
        rows::fetch_all(transaction, of_segment("sequence", SEGMENTS), &[Column::Binary("sequence")]).await?;
    let sequence = sequence.first().map(|row| row.bytes(0)).transpose()?.unwrap_or_default();
    let blocks = of_segment("data", BLOCKS).order_by("first_term", Order::Asc).to_owned();
    let blocks = rows::fetch_all(transaction, blocks, &[Column::Binary("data")]).await?;
    let blocks: Result<_, _> = blocks.iter().map(|row| row.bytes(0)).collect();
    Ok((stored_sequence(&sequence), blocks?))
}

async fn has_backlog(transaction: &impl ConnectionTrait, owner: Uuid) -> Result<bool, DbErr> {
    let backlog =
        Query::select().column("owner_id").from(BACKLOG).and_where(Expr::col("owner_id").eq(owner)).to_owned();
    Ok(transaction.query_one(&backlog).await?.is_some())
}

const OUTLINE: [Column; 3] = [Column::Plain("first_seq"), Column::Plain("last_seq"), Column::Plain("live")];

async fn outlines(transaction: &impl ConnectionTrait, owner: Uuid) -> Result<Vec<Outline>, DbErr> {
    read_outlines(transaction, select_outlines(owner)).await
}

fn select_outlines(owner: Uuid) -> SelectStatement {
    Query::select()
        .columns(["first_seq", "last_seq", "live"])
        .from(SEGMENTS)
        .and_where(Expr::col("owner_id").eq(owner))
        .order_by("last_seq", Order::Asc)
        .to_owned()
}

async fn read_outlines(transaction: &impl ConnectionTrait, select: SelectStatement) -> Result<Vec<Outline>, DbErr> {
    let rows = rows::fetch_all(transaction, select, &OUTLINE).await?;
    let outline = |row: &Row| {
        Ok(Outline { first_seq: row.integer(0)?, last_seq: row.integer(1)?, live: Ord::max(row.integer(2)?, 0) })
    };
    rows.iter().map(outline).collect()
}
