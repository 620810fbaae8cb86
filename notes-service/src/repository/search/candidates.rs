use std::collections::BTreeMap;

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, JoinType, Order, Query, SelectStatement, UnionType};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::super::rows::{self, Column};
use super::segments::within_bytes;
use super::{BLOCKS, RECENT, SEGMENTS};
use crate::domain::search::{Document, Lookup, Plan, Score, stored_sequence};

/// How many entries are read first; ten times as many each time after.
const ENTRIES_FIRST: u64 = 32;
/// Entries of so many bytes are read at a time.
const ENTRIES_BYTES: i64 = 1_048_576;
/// How many segments are read first; twice as many each time after.
const SEGMENTS_FIRST: u64 = 2;
/// Most segments of one statement.
const SEGMENTS_MOST: u64 = 64;
/// Most segments of one statement when many blocks of each may be read.
const SEGMENTS_MOST_PREFIX: u64 = 8;
/// In the place of the number of a lookup: the row is the sequence of the segment.
const SEQUENCE: i64 = -1;

/// What the index finds of one owner, the last change first.
pub(super) struct Candidates<'a> {
    owner: Uuid,
    plan: &'a Plan,
    /// Nothing from here on is found any more.
    before: i64,
    stage: Stage,
    bytes: usize,
}

#[derive(Clone, Copy)]
enum Stage {
    Entries(u64),
    Segments(u64),
    End,
}

impl<'a> Candidates<'a> {
    pub(super) const fn new(owner: Uuid, plan: &'a Plan, before: i64) -> Self {
        Self { owner, plan, before, stage: Stage::Entries(ENTRIES_FIRST), bytes: 0 }
    }

    /// Everything from here on was looked at.
    pub(super) const fn before(&self) -> i64 {
        self.before
    }

    /// How much of the index was read, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Some more candidates, perhaps none; nothing at the end.
    pub(super) async fn next(&mut self, connection: &impl ConnectionTrait) -> Result<Option<Vec<(i64, Score)>>, DbErr> {
        match self.stage {
            Stage::Entries(limit) => self.entries(connection, limit).await.map(Some),
            Stage::Segments(limit) => self.segments(connection, limit).await.map(Some),
            Stage::End => Ok(None),
        }
    }

    async fn entries(&mut self, connection: &impl ConnectionTrait, limit: u64) -> Result<Vec<(i64, Score)>, DbErr> {
        let columns = [Column::Plain("change_seq"), Column::Binary("terms")];
        let rows = rows::fetch_all(connection, newest_entries(self.owner, self.before, limit), &columns).await?;
        let (mut candidates, mut bytes) = (Vec::new(), 0);
        for row in &rows {
            let (change_seq, terms) = (row.integer(0)?, row.bytes(1)?);
            (self.before, bytes) = (change_seq, bytes + terms.len());
            let score = self.plan.judge(&Document::stored(terms));
            candidates.extend(score.map(|score| (change_seq, score)));
        }
        // Fewer than asked for are the last ones, unless their size is why.
        let end = u64::try_from(rows.len()).is_ok_and(|read| read < limit)
            && i64::try_from(bytes).is_ok_and(|bytes| bytes < ENTRIES_BYTES);
        self.stage = if end { Stage::Segments(SEGMENTS_FIRST) } else { Stage::Entries(limit * 10) };
        self.bytes += bytes;
        Ok(candidates)
    }

    async fn segments(&mut self, connection: &impl ConnectionTrait, limit: u64) -> Result<Vec<(i64, Score)>, DbErr> {
        let lookups = self.plan.lookups();
        let columns =
            [Column::Plain("last_seq"), Column::Plain("first_seq"), Column::Plain("lookup"), Column::Binary("data")];
        let rows =
            rows::fetch_all(connection, newest_segments(self.owner, self.before, limit, lookups), &columns).await?;
        let mut segments: BTreeMap<i64, Read> = BTreeMap::new();
        for row in &rows {
            let (last_seq, first_seq, lookup, data) =
                (row.integer(0)?, row.integer(1)?, row.integer(2)?, row.bytes(3)?);
            self.bytes += data.len();
            let segment = segments.entry(last_seq).or_insert_with(|| Read { first_seq, ..Read::default() });
            match usize::try_from(lookup) {
                Ok(lookup) => segment.blocks.push((lookup, data)),
                Err(_) => segment.sequence = stored_sequence(&data),
            }
        }
        let mut candidates = Vec::new();
        for segment in segments.values().rev() {
            let found = self.plan.judge_segment(&segment.sequence, &segment.blocks);
            let before = self.before;
            candidates.extend(found.into_iter().filter(|(change_seq, _)| *change_seq < before));
            self.before = segment.first_seq;
        }
        let most = if lookups.iter().any(|lookup| lookup.prefix) { SEGMENTS_MOST_PREFIX } else { SEGMENTS_MOST };
        let end = u64::try_from(segments.len()).is_ok_and(|read| read < limit);
        self.stage = if end { Stage::End } else { Stage::Segments(Ord::min(limit * 2, most)) };
        Ok(candidates)
    }
}

/// What was read of a segment.
#[derive(Default)]
struct Read {
    first_seq: i64,
    sequence: Vec<i64>,
    blocks: Vec<(usize, Vec<u8>)>,
}

/// The entries before a change, the last one first.
pub(in super::super) fn newest_entries(owner: Uuid, before: i64, limit: u64) -> SelectStatement {
    let entries = Query::select()
        .columns(["change_seq", "terms"])
        .from(RECENT)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("change_seq").lt(before))
        .order_by("change_seq", Order::Desc)
        .limit(limit)
        .to_owned();
    within_bytes(entries, Order::Desc, ENTRIES_BYTES)
}

/// The segments before a change, the last one first: their sequences, and the blocks in which each lookup may be found.
/// One statement, since a segment may be rewritten between two.
pub(in super::super) fn newest_segments(owner: Uuid, before: i64, limit: u64, lookups: &[Lookup]) -> SelectStatement {
    let mut select = Query::select()
        .columns(["last_seq", "first_seq"])
        .expr_as(Expr::value(SEQUENCE), "lookup")
        .expr_as(Expr::col("sequence"), "data")
        .from_subquery(newest(owner, before, limit), Alias::new("newest"))
        .to_owned();
    for (number, lookup) in (0_i64..).zip(lookups) {
        select.union(UnionType::All, block_of(owner, newest(owner, before, limit), number, &lookup.term));
        if lookup.prefix {
            select.union(UnionType::All, blocks_after(owner, newest(owner, before, limit), number, &lookup.term));
        }
    }
    select
}

fn newest(owner: Uuid, before: i64, limit: u64) -> SelectStatement {
    Query::select()
        .columns(["last_seq", "first_seq", "sequence"])
        .from(SEGMENTS)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("first_seq").lt(before))
        .order_by("last_seq", Order::Desc)
        .limit(limit)
        .to_owned()
}

/// Of each segment the block in which a term is, if it is there.
fn block_of(owner: Uuid, newest: SelectStatement, number: i64, term: &str) -> SelectStatement {
    let block = Query::select()
        .column("data")
        .from(BLOCKS)
        .and_where(Expr::col((BLOCKS, "owner_id")).eq(owner))
        .and_where(Expr::col((BLOCKS, "last_seq")).equals((Alias::new("newest"), Alias::new("last_seq"))))
        .and_where(Expr::col((BLOCKS, "first_term")).lte(term.as_bytes().to_vec()))
        .order_by((BLOCKS, "first_term"), Order::Desc)
        .limit(1)
        .to_owned();
    Query::select()
        .columns(["last_seq", "first_seq"])
        .expr_as(Expr::value(number), "lookup")
        .expr_as(block, "data")
        .from_subquery(newest, Alias::new("newest"))
        .to_owned()
}

/// Of each segment the blocks that begin with a term that begins so.
fn blocks_after(owner: Uuid, newest: SelectStatement, number: i64, prefix: &str) -> SelectStatement {
    let mut end = prefix.as_bytes().to_vec();
    // The last byte of a text is never the highest one.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    let newest_column = |name: &'static str| Expr::col((Alias::new("newest"), Alias::new(name)));
    Query::select()
        .expr(newest_column("last_seq"))
        .expr(newest_column("first_seq"))
        .expr_as(Expr::value(number), "lookup")
        .column((BLOCKS, "data"))
        .from_subquery(newest, Alias::new("newest"))
        .join(
            JoinType::InnerJoin,
            BLOCKS,
            Expr::col((BLOCKS, "owner_id"))
                .eq(owner)
                .and(Expr::col((BLOCKS, "last_seq")).equals((Alias::new("newest"), Alias::new("last_seq"))))
                .and(Expr::col((BLOCKS, "first_term")).gt(prefix.as_bytes().to_vec()))
                .and(Expr::col((BLOCKS, "first_term")).lt(end)),
        )
        .to_owned()
}
