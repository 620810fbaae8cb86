use std::collections::HashMap;

use runtime::database::DatabaseError;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::OwnedNotes;
use super::entity::{note, note_body};
use super::notes::{COLUMNS, CONTENT, NO_TRASH, from_row, in_trash, present_trash};
use super::rows::{self, Column};
use crate::domain::{Content, Note, NoteId, View, fits_an_answer};

/// What became of a search for several notes.
#[derive(Debug)]
pub enum FoundAll {
    /// All of them, in the order asked for.
    Found(Vec<Note>),
    /// The owner has none at this place.
    Missing(usize),
    /// They would not fit one answer.
    TooLarge,
}

impl OwnedNotes<'_> {
    /// Finds several notes, live or in the trash, as they were at one moment. Contents are read only of notes that are all
    /// there and fit one answer.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_all(self, ids: Vec<NoteId>, view: View) -> Result<FoundAll, DatabaseError> {
        let owner = self.owner_id();
        let read = self
            .repository
            .database
            .for_owner(owner)
            .snapshot(move |connection| Box::pin(async move { find_all(connection, owner, &ids, view).await }));
        read.await
    }
}

async fn find_all(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    ids: &[NoteId],
    view: View,
) -> Result<FoundAll, DbErr> {
    let mut rows = rows::fetch_all(connection, by_keys(owner, ids), &COLUMNS).await?;
    let found: Result<HashMap<_, _>, DbErr> =
        rows.iter_mut().map(|row| from_row(row, View::Basic).map(|note| (note.id, note))).collect();
    let mut found = found?;
    let mut notes = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        match found.remove(id) {
            Some(note) => notes.push(note),
            None => return Ok(FoundAll::Missing(index)),
        }
    }
    if view == View::Full {
        if !fits_an_answer(notes.iter().map(|note| note.content_bytes)) {
            return Ok(FoundAll::TooLarge);
        }
        let columns = [Column::Binary("note_id"), CONTENT];
        let mut contents = HashMap::with_capacity(ids.len());
        for row in &mut rows::fetch_all(connection, contents_by_keys(owner, ids), &columns).await? {
            contents.insert(NoteId::from_uuid(row.uuid(0)?), Content::stored(row.text(1)?));
        }
        notes.iter_mut().for_each(|note| note.content = contents.remove(&note.id));
    }
    Ok(FoundAll::Found(notes))
}

pub(super) fn by_keys(owner: Uuid, ids: &[NoteId]) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS {
        select.column((note::Entity, column.name()));
    }
    select
        .from(note::Entity)
        .and_where(Expr::col((note::Entity, note::Column::OwnerId)).eq(owner))
        .and_where(Expr::col((note::Entity, note::Column::NoteId)).is_in(ids.iter().map(|id| id.as_uuid())))
        .cond_where(in_trash([NO_TRASH.into(), present_trash(owner)]))
        .to_owned()
}

pub(super) fn contents_by_keys(owner: Uuid, ids: &[NoteId]) -> SelectStatement {
    Query::select()
        .columns([note_body::Column::NoteId, note_body::Column::Content])
        .from(note_body::Entity)
        .and_where(Expr::col(note_body::Column::OwnerId).eq(owner))
        .and_where(Expr::col(note_body::Column::NoteId).is_in(ids.iter().map(|id| id.as_uuid())))
        .to_owned()
}
