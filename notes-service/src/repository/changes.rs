use runtime::database::DatabaseError;
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::contents::with_contents;
use super::entity::note::{Column as Field, Entity};
use super::notes::{COLUMNS, CONTENT, NO_TRASH, from_row};
use super::rows::{self, Column};
use super::{OwnedNotes, owner_state, tags, tombstones};
use crate::domain::{Change, ChangesQuery, NoteId, NotesDigest, OwnerState, PageBudget, Resumption, SyncPoint, View};

/// The columns after those of a note, and its content in the full view.
const PLACE: [Column; 2] = [Column::Plain("change_seq"), Column::Plain("trash_epoch")];

/// What changed of an owner's notes and tags.
#[derive(Debug)]
pub enum Changes {
    /// A page of it.
    Page(ChangesPage),
    /// The copy must be begun again.
    Expired,
}

/// A page of changes, in their order.
#[derive(Debug)]
pub struct ChangesPage {
    /// What changed.
    pub changes: Vec<Change>,
    /// How far a copy has come that has this page.
    pub next: SyncPoint,
    /// What such a copy comes to, if there is no more now.
    pub digest: Option<NotesDigest>,
}

impl OwnedNotes<'_> {
    /// Reads one page of changes, at one moment, whose cost depends on the size of the page alone.
    ///
    /// Notes, tags and tombstones are the log: each has the number of its last change, so the log is as long as there are
    /// notes and tags, however often these change. An emptied trash is one entry: whoever heard of its notes before it knows which they
    /// were, and to whoever did not each note is as good as removed, though its row is still there.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn changes(self, query: ChangesQuery) -> Result<Changes, DatabaseError> {
        let owner = self.owner_id();
        self.repository
            .database
            .for_owner(owner)
            .snapshot(move |connection| Box::pin(async move { read(connection, owner, query).await }))
            .await
    }
}

async fn read(connection: &impl ConnectionTrait, owner: Uuid, query: ChangesQuery) -> Result<Changes, DbErr> {
    let state = owner_state::find(connection, owner).await?;
    let page = match (query.after.resume(state.as_ref()), &state) {
        (Resumption::Expired, _) => return Ok(Changes::Expired),
        (Resumption::After(after), Some(state)) => {
            read_after(connection, owner, state, ChangesQuery { after, ..query }).await?
        }
        (Resumption::After(next) | Resumption::UpToDate(next), _) => {
            ChangesPage { changes: Vec::new(), next, digest: Some(NotesDigest::of(state.as_ref())) }
        }
    };
    Ok(Changes::Page(page))
}

/// Merges notes and tags that were changed, what was removed and the emptying of the trash by their numbers.
async fn read_after(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    state: &OwnerState,
    query: ChangesQuery,
) -> Result<ChangesPage, DbErr> {
    let ChangesQuery { after, size, .. } = query;
    // One more than the page, to know whether there is a next one.
    let (heard, most) = (after.heard_of_removals(), u64::from(size) + 1);
    let (mut entries, cut) = changed(connection, owner, state, query).await?;
    if state.tag_count > 0 {
        let tags = tags::changed_after(connection, owner, after.change_seq, most).await?;
        entries.extend(tags.into_iter().map(|(change_seq, tag)| (change_seq, Change::Tag(tag))));
    }
    entries.extend(tombstones::after(connection, owner, heard, most).await?);
    if state.emptied_seq > heard {
        entries.push((state.emptied_seq, Change::TrashEmptied));
    }
    entries.sort_unstable_by_key(|(change_seq, _)| *change_seq);
    let mut budget = PageBudget::of(query.bytes);
    let fitting = entries.iter().take(size.into()).take_while(|(change_seq, change)| {
        cut.is_none_or(|cut| *change_seq < cut) && budget.fits_bytes(change.answer_bytes())
    });
    let fitting = fitting.count();
    let is_whole = fitting == entries.len() && cut.is_none();
    entries.truncate(fitting);
    let last = entries.last().map_or(after.change_seq, |(change_seq, _)| *change_seq);
    let change_seq = if is_whole { state.change_seq } else { last };
    let is_news = |(change_seq, change): &(i64, Change)| !matches!(change, Change::Removed(_)) || *change_seq > heard;
    Ok(ChangesPage {
        changes: entries.into_iter().filter(is_news).map(|(_, change)| change).collect(),
        next: SyncPoint { change_seq, ..after },
        digest: is_whole.then(|| NotesDigest::of(Some(state))),
    })
}

/// The next notes that changed, with the numbers of their changes, and the number of the first one whose content was not
/// read; beyond it nothing is known of notes.
async fn changed(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    state: &OwnerState,
    query: ChangesQuery,
) -> Result<(Vec<(i64, Change)>, Option<i64>), DbErr> {
    let columns = columns(query.view);
    let place = columns.len() - PLACE.len();
    let mut rows = rows::fetch_all(connection, select(owner, query), &columns).await?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in &mut rows {
        let (change_seq, trash) = (row.integer(place)?, row.integer(place + 1)?);
        if trash != NO_TRASH && trash < state.trash_epoch {
            changes.push((change_seq, Change::Removed(NoteId::from_uuid(row.uuid(0)?))));
            continue;
        }
        let note = from_row(row, query.view)?;
        if query.view == View::Full && note.content.is_none() {
            return Ok((changes, Some(change_seq)));
        }
        changes.push((change_seq, Change::Note(note)));
    }
    Ok((changes, None))
}

fn columns(view: View) -> Vec<Column> {
    let content = (view == View::Full).then_some(CONTENT);
    COLUMNS.into_iter().chain(content).chain(PLACE).collect()
}

/// The statement for the notes of a page and the first one after it.
pub(super) fn select(owner: Uuid, query: ChangesQuery) -> SelectStatement {
    let mut page = Query::select();
    for column in columns(View::Basic) {
        page.column(column.name());
    }
    page.from(Entity)
        .and_where(Expr::col(Field::OwnerId).eq(owner))
        .and_where(Expr::col(Field::ChangeSeq).gt(query.after.change_seq))
        .order_by(Field::ChangeSeq, Order::Asc)
        .limit(u64::from(query.size) + 1);
    match query.view {
        View::Basic => page,
        View::Full => with_contents(owner, page, &columns(View::Full), &[(Field::ChangeSeq, Order::Asc)], query.bytes),
    }
}
