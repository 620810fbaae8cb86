use std::time::{Duration, SystemTime};

use runtime::database::{DatabaseError, Outcome, from_micros, to_micros};
use sea_orm::sea_query::{DeleteStatement, Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::entity::note;
use super::notes::{COLUMNS, NO_TRASH, from_row, remove};
use super::owners::DueOwner;
use super::tombstones::Tombstone;
use super::{NoteRepository, history, owner_state, rows, search, tombstones};
use crate::domain::{History, Note, OwnerState, View};

/// What to remove for good, and how much of it at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The present.
    pub now: SystemTime,
    /// How long the ids of removed notes are remembered.
    pub tombstone_retention: Duration,
    /// Most rows of each kind that one transaction removes.
    pub batch: u16,
}

/// What one transaction removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Notes whose time had come or whose trash was emptied.
    pub notes: usize,
    /// Whether there is more.
    pub more: bool,
}

impl NoteRepository {
    /// Removes what is due of one owner, a batch of it: notes of emptied trashes, notes whose purge time has come, expired
    /// revisions, tombstones and requests, terms of notes that are gone. Adds notes to the index that were there before it.
    /// Short transactions, so that nobody waits long for this.
    ///
    /// # Errors
    /// If the store fails; nothing is removed then.
    pub async fn purge(&self, owner: DueOwner, purge: Purge) -> Result<Purged, DatabaseError> {
        let owner = owner.id();
        let work = self
            .write([owner], move |transaction| Box::pin(async move { purge_batch(transaction, owner, purge).await }));
        work.await
    }
}

async fn purge_batch(transaction: &impl ConnectionTrait, owner: Uuid, purge: Purge) -> Result<Outcome<Purged>, DbErr> {
    let Some(mut state) = owner_state::lock(transaction, [owner]).await?.remove(&owner) else {
        return Ok(Outcome::Rollback(Purged::default()));
    };
    let (notes, more_notes) = purge_notes(transaction, owner, &mut state, purge).await?;
    let more_tombstones = purge_tombstones(transaction, owner, Forgetful::Tombstones, &mut state, purge).await?;
    let more_tag_tombstones = purge_tombstones(transaction, owner, Forgetful::TagTombstones, &mut state, purge).await?;
    let more_requests = purge_requests(transaction, owner, purge).await?;
    let more_revisions = history::purge(transaction, owner, &mut state, purge).await?;
    // After the notes, so that a segment is rewritten once and not with each batch.
    let more_terms = !more_notes && search::maintain(transaction, owner, purge.batch).await?;
    let more = more_terms || more_notes || more_tombstones || more_tag_tombstones || more_requests || more_revisions;
    state.purge_due = if more { Some(purge.now) } else { next_due(transaction, owner).await? };
    owner_state::save(transaction, [(owner, &state)]).await?;
    Ok(Outcome::Commit(Purged { notes, more }))
}

/// A note to be removed, and what is counted of its revisions, which go with it.
struct Doomed {
    note: Note,
    history: History,
}

/// Removes notes and says how many, and whether there may be more.
async fn purge_notes(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    state: &mut OwnerState,
    purge: Purge,
) -> Result<(usize, bool), DbErr> {
    let batch = usize::from(purge.batch);
    let emptied = read(transaction, emptied(owner, state.trash_epoch, purge.batch)).await?;
    let expired = if emptied.len() < batch {
        read(transaction, expired(owner, state.trash_epoch, purge)).await?
    } else {
        Vec::new()
    };
    let full = emptied.len() == batch || expired.len() == batch;
    let (emptied, expired, cut) = within(batch, emptied, expired);
    let expire_time = purge.now + purge.tombstone_retention;
    let mut removed = Vec::with_capacity(emptied.len() + expired.len());
    for Doomed { note, history } in &emptied {
        // They ceased to count when their trash was emptied.
        removed.push(Tombstone { id: note.id, change_seq: state.stamp(purge.now).change_seq, expire_time });
        state.forget_revisions(history.bytes);
    }
    for Doomed { note, history } in &expired {
        let change_seq = state.expunge(note.bytes(), purge.now, expire_time).change_seq;
        state.digest(Some(note), None);
        removed.push(Tombstone { id: note.id, change_seq, expire_time });
        state.forget_revisions(history.bytes);
    }
    if !removed.is_empty() {
        let ids: Vec<_> = removed.iter().map(|tombstone| tombstone.id).collect();
        search::forget(transaction, owner, &ids).await?;
        remove(transaction, owner, ids).await?;
        tombstones::save(transaction, owner, removed).await?;
    }
    Ok((emptied.len() + expired.len(), full || cut))
}

/// As many of the notes as have at most `batch` revisions together, the first one in any case; says whether some are
/// left out.
fn within(batch: usize, mut emptied: Vec<Doomed>, mut expired: Vec<Doomed>) -> (Vec<Doomed>, Vec<Doomed>, bool) {
    let most = u64::try_from(batch).expect("a batch is small");
    let counts = emptied.iter().chain(&expired).map(|doomed| doomed.history.count);
    let sums = counts.scan(0, |sum, count| {
        *sum += count;
        Some(*sum)
    });
    let fitting = sums.take_while(|sum| *sum <= most).count().max(1);
    let cut = fitting < emptied.len() + expired.len();
    expired.truncate(fitting.saturating_sub(emptied.len()));
    emptied.truncate(fitting);
    (emptied, expired, cut)
}

async fn read(connection: &impl ConnectionTrait, select: SelectStatement) -> Result<Vec<Doomed>, DbErr> {
    let columns = [COLUMNS.as_slice(), &history::COLUMNS].concat();
    let mut rows = rows::fetch_all(connection, select, &columns).await?;
    let doomed = rows
        .iter_mut()
        .map(|row| Ok(Doomed { note: from_row(row, View::Basic)?, history: history::from_row(row, COLUMNS.len())? }));
    doomed.collect()
}

/// Notes of the trashes before the present one.
pub(super) fn emptied(owner: Uuid, present_trash: i64, limit: u16) -> SelectStatement {
    let trash = || Expr::col(note::Column::TrashEpoch);
    notes_of(owner)
        .and_where(trash().gt(NO_TRASH))
        .and_where(trash().lt(present_trash))
        .order_by(note::Column::TrashEpoch, Order::Asc)
        .limit(limit.into())
        .to_owned()
}

/// Notes of the present trash whose time has come.
pub(super) fn expired(owner: Uuid, present_trash: i64, purge: Purge) -> SelectStatement {
    notes_of(owner)
        .and_where(Expr::col(note::Column::PurgeUs).lte(to_micros(purge.now)))
        .and_where(Expr::col(note::Column::TrashEpoch).eq(present_trash))
        .order_by(note::Column::PurgeUs, Order::Asc)
        .limit(purge.batch.into())
        .to_owned()
}

fn notes_of(owner: Uuid) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS.into_iter().chain(history::COLUMNS) {
        select.column(column.name());
    }
    select.from(note::Entity).and_where(Expr::col(note::Column::OwnerId).eq(owner)).to_owned()
}

/// A table whose rows are forgotten at their `expire_us`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forgetful {
    Tombstones,
    TagTombstones,
    CreateRequests,
}

/// Removes tombstones of a table that have expired, and remembers of which removals nobody can be told any more; says whether there
/// may be more.
async fn purge_tombstones(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    table: Forgetful,
    state: &mut OwnerState,
    purge: Purge,
) -> Result<bool, DbErr> {
    let mut forget = forget(owner, table, purge);
    let removed = transaction.query_all(forget.returning_col("change_seq")).await?;
    for row in &removed {
        state.forget(row.try_get_by_index(0)?);
    }
    Ok(removed.len() == usize::from(purge.batch))
}

/// Removes requests that have expired; says whether there may be more.
async fn purge_requests(transaction: &impl ConnectionTrait, owner: Uuid, purge: Purge) -> Result<bool, DbErr> {
    let removed = transaction.execute(&forget(owner, Forgetful::CreateRequests, purge)).await?;
    Ok(removed.rows_affected() == u64::from(purge.batch))
}

pub(super) fn forget(owner: Uuid, table: Forgetful, purge: Purge) -> DeleteStatement {
    let (name, id) = table.name_and_id();
    let oldest = Query::select()
        .column(id)
        .from(name)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("expire_us").lte(to_micros(purge.now)))
        .order_by("expire_us", Order::Asc)
        .limit(purge.batch.into())
        .to_owned();
    Query::delete()
        .from_table(name)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col(id).in_subquery(oldest))
        .to_owned()
}

impl Forgetful {
    const fn name_and_id(self) -> (&'static str, &'static str) {
        match self {
            Self::Tombstones => ("tombstones", "note_id"),
            Self::TagTombstones => ("tag_tombstones", "tag_id"),
            Self::CreateRequests => ("create_requests", "request_id"),
        }
    }
}

/// The indexed times at which rows are to be removed.
const TIMES: [(&str, &str); 5] = [
    ("notes", "purge_us"),
    ("tombstones", "expire_us"),
    ("tag_tombstones", "expire_us"),
    ("create_requests", "expire_us"),
    ("note_revisions", "expire_us"),
];

/// When something of the owner is to be removed next, now that nothing is left of emptied trashes.
async fn next_due(connection: &impl ConnectionTrait, owner: Uuid) -> Result<Option<SystemTime>, DbErr> {
    let mut earliest = None;
    for (table, time) in TIMES {
        let row = connection.query_one(&first(owner, table, time)).await?;
        let micros: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        earliest = [earliest, micros].into_iter().flatten().min();
    }
    Ok(earliest.map(from_micros))
}

/// The first time in an index of times.
pub(super) fn first(owner: Uuid, table: &'static str, time: &'static str) -> SelectStatement {
    Query::select()
        .column(time)
        .from(table)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col(time).is_not_null())
        .order_by(time, Order::Asc)
        .limit(1)
        .to_owned()
}
