use std::collections::BTreeMap;

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Func, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::super::entity::note;
use super::super::notes;
use super::super::rows::{self, Column};
use super::segments::{gather, mark_stale};
use super::{RECENT, SEGMENTS};
use crate::domain::search::Document;
use crate::domain::{Content, Note, NoteId, OwnerState, View};

/// Every so many changes of an owner it is looked whether entries are to be gathered.
const GATHER_EVERY: i64 = 128;

/// A note as it is found.
#[derive(Clone, Debug)]
pub(in super::super) struct Entry {
    pub(in super::super) owner: Uuid,
    /// The number of its last change.
    pub(in super::super) change_seq: i64,
    pub(in super::super) document: Document,
}

/// Adds new notes to the index, with one statement in most cases. Their owners are locked.
pub(in super::super) async fn add(transaction: &impl ConnectionTrait, entries: &[Entry]) -> Result<(), DbErr> {
    insert(transaction, entries, i64::MAX).await
}

/// Adds entries; rows of notes have yet to get the numbers from `pending` on.
async fn insert(transaction: &impl ConnectionTrait, entries: &[Entry], pending: i64) -> Result<(), DbErr> {
    let mut insert = Query::insert().into_table(RECENT).columns(["owner_id", "change_seq", "terms"]).to_owned();
    let mut changes: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    for Entry { owner, change_seq, document } in entries {
        insert.values_panic([(*owner).into(), (*change_seq).into(), document.as_bytes().to_vec().into()]);
        let (first, last) = changes.entry(*owner).or_insert((*change_seq, *change_seq));
        (*first, *last) = (Ord::min(*first, *change_seq), Ord::max(*last, *change_seq));
    }
    transaction.execute(&insert).await?;
    for (owner, (first, last)) in changes {
        if (first - 1) / GATHER_EVERY != last / GATHER_EVERY {
            gather(transaction, owner, pending).await?;
        }
    }
    Ok(())
}

/// Puts a note that changes in the place of what it was. Its row still has the number of the change before.
pub(in super::super) async fn replace(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    before: &Note,
    after: &Note,
    state: &OwnerState,
) -> Result<(), DbErr> {
    let change_seq = state.change_seq;
    // The terms are those that are there, if they are.
    let same = before.title == after.title && before.content == after.content;
    if same && renumber(transaction, owner, before.id, change_seq, change_seq).await? {
        return Ok(());
    }
    let taken = Query::delete().from_table(RECENT).cond_where(entry_of(owner, before.id)).to_owned();
    if transaction.execute(&taken).await?.rows_affected() == 0 {
        leave_segment(transaction, owner, before.id).await?;
    }
    insert(transaction, &[Entry { owner, change_seq, document: document_of(after) }], change_seq).await
}

/// Follows notes that get other numbers, ascending ones, and keep their texts. Their rows still have the numbers of the changes before.
pub(in super::super) async fn follow(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    changes: &[(NoteId, i64)],
) -> Result<(), DbErr> {
    let pending = changes.first().map_or(i64::MAX, |(_, change_seq)| *change_seq);
    // One after the other, so that only one content is in memory.
    for (id, change_seq) in changes.iter().copied() {
        if !renumber(transaction, owner, id, change_seq, pending).await?
            && let Some(note) = notes::find(transaction, owner, id, View::Full).await?
        {
            leave_segment(transaction, owner, id).await?;
            insert(transaction, &[Entry { owner, change_seq, document: document_of(&note) }], pending).await?;
        }
    }
    Ok(())
}

fn document_of(note: &Note) -> Document {
    Document::of(note.title.as_str(), note.content.as_ref().map_or("", Content::as_str))
}

/// Gives the entry of a note another number; says whether there was one.
async fn renumber(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    id: NoteId,
    change_seq: i64,
    pending: i64,
) -> Result<bool, DbErr> {
    let renumber =
        Query::update().table(RECENT).value("change_seq", change_seq).cond_where(entry_of(owner, id)).to_owned();
    if transaction.execute(&renumber).await?.rows_affected() == 0 {
        return Ok(false);
    }
    if change_seq % GATHER_EVERY == 0 {
        gather(transaction, owner, pending).await?;
    }
    Ok(true)
}

/// The entry that a note has while its row has the number of the change before.
fn entry_of(owner: Uuid, id: NoteId) -> Condition {
    let change_seq = Expr::col("change_seq").eq(Expr::from(last_change(owner, id)));
    Condition::all().add(Expr::col("owner_id").eq(owner)).add(change_seq)
}

/// Forgets the terms of notes that are about to be removed for good: at once, or, where they stand in a segment, when that
/// is rewritten. Says whether one is to be.
pub(in super::super) async fn forget(
    transaction: &impl ConnectionTrait,
    owner: Uuid,
    ids: &[NoteId],
) -> Result<bool, DbErr> {
    let changes = Query::select()
        .column(note::Column::ChangeSeq)
        .from(note::Entity)
        .and_where(Expr::col(note::Column::OwnerId).eq(owner))
        .and_where(Expr::col(note::Column::NoteId).is_in(ids.iter().map(|id| id.as_uuid())))
        .to_owned();
    let rows = rows::fetch_all(transaction, changes, &[Column::Plain("change_seq")]).await?;
    let changes: Vec<_> = rows.iter().map(|row| row.integer(0)).collect::<Result<_, _>>()?;
    let taken = Query::delete()
        .from_table(RECENT)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("change_seq").is_in(changes.iter().copied()))
        .to_owned();
    let taken = transaction.execute(&taken).await?.rows_affected();
    if taken == u64::try_from(changes.len()).expect("few") {
        return Ok(false);
    }
    mark_stale(transaction, owner, &changes).await
}

/// Counts that a note is no longer what its segment has of it.
async fn leave_segment(transaction: &impl ConnectionTrait, owner: Uuid, id: NoteId) -> Result<(), DbErr> {
    let segment = Query::select()
        .expr(Func::min(Expr::col("last_seq")))
        .from(SEGMENTS)
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("last_seq").gte(Expr::from(last_change(owner, id))))
        .to_owned();
    let left = Query::update()
        .table(SEGMENTS)
        .value("live", Expr::col("live").sub(1))
        .and_where(Expr::col("owner_id").eq(owner))
        .and_where(Expr::col("last_seq").eq(Expr::from(segment)))
        .to_owned();
    transaction.execute(&left).await?;
    Ok(())
}

/// The number of the last change of a note.
fn last_change(owner: Uuid, id: NoteId) -> SelectStatement {
    Query::select()
        .column(note::Column::ChangeSeq)
        .from(note::Entity)
        .and_where(Expr::col(note::Column::OwnerId).eq(owner))
        .and_where(Expr::col(note::Column::NoteId).eq(id.as_uuid()))
        .to_owned()
}
