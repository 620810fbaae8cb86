use std::collections::HashMap;

use runtime::database::DatabaseError;
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::super::entity::{note, note_body};
use super::super::notes::{COLUMNS, CONTENT, from_row};
use super::super::rows::{self, Column};
use super::super::{OwnedNotes, notes};
use super::candidates::Candidates;
use super::sieve::Sieve;
use crate::domain::search::{
    Excerpt, Highlight, Plan, Query as Sought, RANKED_MAX, Score, SearchOrder, SearchPlace, SearchQuery,
};
use crate::domain::{Content, Note, View};

/// Contents up to so many bytes come with their notes; others are read one by one.
const SMALL_CONTENT: i64 = 16 * 1_024;
/// Contents of so many bytes are read for a page.
const TEXT_BYTES: usize = 4 * 1_048_576;
/// So much of the index is read for a page, in bytes.
const INDEX_BYTES: usize = 8 * 1_048_576;
/// So many notes that the index found are looked at for a page.
const CANDIDATES: usize = 2_000;
/// Most notes of one statement.
const NOTES_AT_ONCE: usize = 100;
/// Most notes of one statement that only looks whether they are there.
const CHECKED_AT_ONCE: usize = 500;

/// A page of what was found.
#[derive(Debug)]
pub struct SearchPage {
    /// The notes in their order.
    pub found: Vec<Found>,
    /// Where the next page begins, if there is one.
    pub next: Option<SearchPlace>,
}

/// A note that was found.
#[derive(Debug)]
pub struct Found {
    /// The note, without its content.
    pub note: Note,
    /// What was found in the title.
    pub title_highlights: Vec<Highlight>,
    /// The piece of the content around what was found first.
    pub excerpt: Excerpt,
}

impl OwnedNotes<'_> {
    /// Finds notes by their words. What it costs is bounded by the page: it ends early, with a place to go on from, when
    /// 2,000 notes were looked at, 4 MiB of contents or 8 MiB of the index were read.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn search(self, query: SearchQuery) -> Result<SearchPage, DatabaseError> {
        let owner = self.owner_id();
        self.repository
            .database
            .for_owner(owner)
            .read(move |connection| Box::pin(async move { read(connection, owner, &query).await }))
            .await
    }
}

async fn read(connection: &impl ConnectionTrait, owner: Uuid, query: &SearchQuery) -> Result<SearchPage, DbErr> {
    let Some(sieve) = Sieve::of(connection, owner, query).await? else {
        return Ok(SearchPage { found: Vec::new(), next: None });
    };
    match query.order {
        SearchOrder::UpdateTime => newest(connection, owner, query, &sieve).await,
        SearchOrder::Relevance => best(connection, owner, query, &sieve).await,
    }
}

/// What is left of the bounds of a page.
struct Budget {
    candidates: usize,
    text_bytes: usize,
}

impl Budget {
    const fn new() -> Self {
        Self { candidates: CANDIDATES, text_bytes: TEXT_BYTES }
    }

    fn is_spent(&self, candidates: &Candidates<'_>) -> bool {
        self.candidates == 0 || self.text_bytes == 0 || candidates.bytes() >= INDEX_BYTES
    }
}

async fn newest(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    query: &SearchQuery,
    sieve: &Sieve,
) -> Result<SearchPage, DbErr> {
    let plan = Plan::of(&query.query);
    let mut candidates = Candidates::new(owner, &plan, query.place.before);
    let (mut budget, mut found) = (Budget::new(), Vec::new());
    let place = |before| Some(SearchPlace { before, ..SearchPlace::BEGINNING });
    while let Some(batch) = candidates.next(connection).await? {
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            // One more than the page, to know whether there is a next one.
            let wanted = (query.size.get() + 1 - found.len()).min(NOTES_AT_ONCE).min(budget.candidates.max(1));
            let (chunk, after) = rest.split_at(wanted.min(rest.len()));
            rest = after;
            budget.candidates = budget.candidates.saturating_sub(chunk.len());
            let seqs: Vec<_> = chunk.iter().map(|(seq, _)| *seq).collect();
            let mut notes = read_notes(connection, owner, sieve, &seqs).await?;
            for seq in seqs {
                let Some(note) = notes.remove(&seq) else { continue };
                let note = with_content(connection, owner, note).await?;
                budget.text_bytes = budget.text_bytes.saturating_sub(note.content_bytes);
                if plan.reads_texts() && !fits(&query.query, &note) {
                    if budget.text_bytes == 0 {
                        return Ok(SearchPage { found: shown(found), next: place(seq) });
                    }
                    continue;
                }
                if found.len() == query.size.get() {
                    let next = found.last().and_then(|(last, _)| place(*last));
                    return Ok(SearchPage { found: shown(found), next });
                }
                found.push((seq, show(&query.query, note)));
                if budget.text_bytes == 0 {
                    return Ok(SearchPage { found: shown(found), next: place(seq) });
                }
            }
            if budget.candidates == 0
                && let Some((last, _)) = chunk.last()
            {
                return Ok(SearchPage { found: shown(found), next: place(*last) });
            }
        }
        if budget.is_spent(&candidates) {
            return Ok(SearchPage { found: shown(found), next: place(candidates.before()) });
        }
    }
    Ok(SearchPage { found: shown(found), next: None })
}

fn shown(found: Vec<(i64, Found)>) -> Vec<Found> {
    found.into_iter().map(|(_, found)| found).collect()
}

/// Ranks some notes, the ones that changed last, and shows those of the page. The notes that were ranked for the page
/// before are ranked again; their number is bounded.
async fn best(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    query: &SearchQuery,
    sieve: &Sieve,
) -> Result<SearchPage, DbErr> {
    let plan = Plan::of(&query.query);
    let SearchPlace { before, ranked, after } = query.place;
    let window = rank(connection, owner, query, sieve, &plan).await?;
    let place = |before, ranked, after| Some(SearchPlace { before, ranked, after });
    // What was written since the first page is left to another search, as it would move the others.
    let top = window.matches.iter().map(|(seq, _)| seq + 1).max().map_or(before, |top| Ord::min(top, before));
    let mut matches = window.matches;
    let count = matches.len();
    matches.sort_unstable_by_key(|(seq, score)| std::cmp::Reverse((*score, *seq)));
    if let Some((score, seq)) = after {
        matches.retain(|(other, rank)| (*rank, *other) < (score, seq));
    }
    let (mut found, mut text_bytes) = (Vec::new(), TEXT_BYTES);
    let page = &matches[..matches.len().min(query.size.get())];
    let seqs: Vec<_> = page.iter().map(|(seq, _)| *seq).collect();
    let mut notes = read_notes(connection, owner, sieve, &seqs).await?;
    let mut last = after;
    for (seq, score) in page {
        if text_bytes == 0 {
            return Ok(SearchPage { found, next: place(top, ranked, last) });
        }
        last = Some((*score, *seq));
        let Some(note) = notes.remove(seq) else { continue };
        let note = with_content(connection, owner, note).await?;
        text_bytes = text_bytes.saturating_sub(note.content_bytes);
        found.push(show(&query.query, note));
    }
    let next = if page.len() < matches.len() {
        place(top, ranked, last)
    } else {
        // All of these notes were shown; there are more to rank if the bounds of a page were in the way.
        window.next.and_then(|before| place(before, ranked + count, None))
    };
    Ok(SearchPage { found, next })
}

/// Notes to rank, and where to go on if not all were reached.
struct Window {
    matches: Vec<(i64, Score)>,
    next: Option<i64>,
}

async fn rank(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    query: &SearchQuery,
    sieve: &Sieve,
    plan: &Plan,
) -> Result<Window, DbErr> {
    let mut candidates = Candidates::new(owner, plan, query.place.before);
    let (mut budget, mut matches) = (Budget::new(), Vec::new());
    let wanted = RANKED_MAX.saturating_sub(query.place.ranked);
    while let Some(batch) = candidates.next(connection).await? {
        let at_once = if plan.reads_texts() { NOTES_AT_ONCE } else { CHECKED_AT_ONCE };
        for chunk in batch.chunks(at_once) {
            budget.candidates = budget.candidates.saturating_sub(chunk.len());
            let reached = if plan.reads_texts() {
                read_matches(connection, owner, (&query.query, sieve), chunk, &mut budget, &mut matches).await?
            } else {
                let seqs: Vec<_> = chunk.iter().map(|(seq, _)| *seq).collect();
                let present = present(connection, owner, sieve, &seqs).await?;
                matches.extend(chunk.iter().filter(|(seq, _)| present.contains_key(seq)));
                chunk.last().map(|(seq, _)| *seq)
            };
            if matches.len() >= wanted {
                matches.truncate(wanted);
                return Ok(Window { matches, next: None });
            }
            if budget.candidates == 0 || budget.text_bytes == 0 {
                return Ok(Window { matches, next: reached });
            }
        }
        if budget.is_spent(&candidates) {
            return Ok(Window { matches, next: Some(candidates.before()) });
        }
    }
    Ok(Window { matches, next: None })
}

/// Reads the texts of candidates and keeps those that fit; says which was read last.
async fn read_matches(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    (query, sieve): (&Sought, &Sieve),
    chunk: &[(i64, Score)],
    budget: &mut Budget,
    matches: &mut Vec<(i64, Score)>,
) -> Result<Option<i64>, DbErr> {
    let seqs: Vec<_> = chunk.iter().map(|(seq, _)| *seq).collect();
    let mut notes = read_notes(connection, owner, sieve, &seqs).await?;
    for (seq, score) in chunk {
        let Some(note) = notes.remove(seq) else { continue };
        let note = with_content(connection, owner, note).await?;
        budget.text_bytes = budget.text_bytes.saturating_sub(note.content_bytes);
        if fits(query, &note) {
            matches.push((*seq, *score));
        }
        if budget.text_bytes == 0 {
            return Ok(Some(*seq));
        }
    }
    Ok(seqs.last().copied())
}

fn fits(query: &Sought, note: &Note) -> bool {
    query.fits(note.title.as_str(), note.content.as_ref().map_or("", Content::as_str))
}

fn show(query: &Sought, note: Note) -> Found {
    Found {
        title_highlights: query.highlights(note.title.as_str()),
        excerpt: query.excerpt(note.content.as_ref().map_or("", Content::as_str)),
        note: Note { content: None, ..note },
    }
}

/// The note with its content, which is read if it was too large to come along.
async fn with_content(connection: &impl ConnectionTrait, owner: Uuid, note: Note) -> Result<Note, DbErr> {
    if note.content.is_some() {
        return Ok(note);
    }
    let whole = notes::find(connection, owner, note.id, View::Full).await?;
    // It may have changed since; what was found is shown then, with nothing of the content.
    let content = whole.filter(|whole| whole.etag == note.etag).and_then(|whole| whole.content);
    Ok(Note { content, ..note })
}

async fn read_notes(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    sieve: &Sieve,
    seqs: &[i64],
) -> Result<HashMap<i64, Note>, DbErr> {
    if seqs.is_empty() {
        return Ok(HashMap::new());
    }
    let mut columns = COLUMNS.to_vec();
    columns.extend([CONTENT, Column::Plain("change_seq")]);
    let mut rows = rows::fetch_all(connection, notes_by_changes(owner, sieve, seqs), &columns).await?;
    rows.iter_mut().map(|row| Ok((row.integer(COLUMNS.len() + 1)?, from_row(row, View::Full)?))).collect()
}

/// Which of these changes are the last ones of notes.
async fn present(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    sieve: &Sieve,
    seqs: &[i64],
) -> Result<HashMap<i64, ()>, DbErr> {
    let select = by_changes(owner, sieve, seqs).column((note::Entity, note::Column::ChangeSeq)).to_owned();
    let rows = rows::fetch_all(connection, select, &[Column::Plain("change_seq")]).await?;
    rows.iter().map(|row| Ok((row.integer(0)?, ()))).collect()
}

/// The notes whose last changes these are, with contents that are small.
pub(in super::super) fn notes_by_changes(owner: Uuid, sieve: &Sieve, seqs: &[i64]) -> SelectStatement {
    let content = Query::select()
        .column((note_body::Entity, note_body::Column::Content))
        .from(note_body::Entity)
        .and_where(Expr::col((note_body::Entity, note_body::Column::OwnerId)).eq(owner))
        .and_where(
            Expr::col((note_body::Entity, note_body::Column::NoteId)).equals((note::Entity, note::Column::NoteId)),
        )
        .to_owned();
    let small = CaseStatement::new()
        .case(Expr::col((note::Entity, note::Column::ContentBytes)).lte(SMALL_CONTENT), Expr::from(content));
    let mut select = by_changes(owner, sieve, seqs);
    for column in COLUMNS {
        select.column((note::Entity, column.name()));
    }
    select.expr_as(small, CONTENT.name()).column((note::Entity, note::Column::ChangeSeq)).to_owned()
}

/// Looks each change up by its number. Without the order, and with one number alone, SQLite would rather read all notes of
/// the owner; so there is a number more, which no change has.
fn by_changes(owner: Uuid, sieve: &Sieve, seqs: &[i64]) -> SelectStatement {
    let change = || Expr::col((note::Entity, note::Column::ChangeSeq));
    Query::select()
        .from(note::Entity)
        .and_where(Expr::col((note::Entity, note::Column::OwnerId)).eq(owner))
        .and_where(change().is_in(seqs.iter().copied().chain([0])))
        .cond_where(sieve.condition())
        .order_by_expr(change(), Order::Desc)
        .to_owned()
}
