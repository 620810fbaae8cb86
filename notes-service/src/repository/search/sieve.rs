use std::collections::HashMap;

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::super::entity::{note, note_tag, tag};
use super::super::notes::{NO_TRASH, in_trash, present_trash};
use super::super::ranges;
use super::super::rows::{self, Column};
use crate::domain::search::SearchQuery;
use crate::domain::{NoteFilter, TagId, TagNameKey};

/// What a note must be beside what the index finds it by.
#[derive(Clone, Debug)]
pub(in super::super) struct Sieve(Condition);

impl Sieve {
    /// That of a search; none if it asks for a tag that the owner does not have. Takes a statement if it names tags.
    pub(super) async fn of(
        connection: &impl ConnectionTrait,
        owner: Uuid,
        query: &SearchQuery,
    ) -> Result<Option<Self>, DbErr> {
        let (required, excluded) = (query.query.required_tags(), query.query.excluded_tags());
        let mut known = HashMap::new();
        if !required.is_empty() || !excluded.is_empty() {
            let columns = [Column::Binary("name_key"), Column::Binary("tag_id")];
            for row in rows::fetch_all(connection, by_names(owner, required.iter().chain(excluded)), &columns).await? {
                known.insert(row.bytes(0)?, TagId::from_uuid(row.uuid(1)?));
            }
        }
        let id = |name: &TagNameKey| known.get(name.as_bytes()).copied();
        let Some(required) = required.iter().map(id).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let excluded: Vec<_> = excluded.iter().filter_map(id).collect();
        Ok(Some(Self::new(owner, query.show_deleted, &query.filter, &required, &excluded)))
    }

    /// That of these conditions.
    pub(in super::super) fn new(
        owner: Uuid,
        show_deleted: bool,
        filter: &NoteFilter,
        required: &[TagId],
        excluded: &[TagId],
    ) -> Self {
        let trash =
            if show_deleted { in_trash([NO_TRASH.into(), present_trash(owner)]) } else { in_trash([NO_TRASH.into()]) };
        let required = filter.tag.iter().chain(required).map(|tag| has_tag(owner, *tag).is_not_null());
        let excluded = excluded.iter().map(|tag| has_tag(owner, *tag).is_null());
        let all = Condition::all().add(trash).add(ranges::conditions(filter));
        Self(required.chain(excluded).fold(all, Condition::add))
    }

    /// What lets notes through.
    pub(super) fn condition(&self) -> Condition {
        self.0.clone()
    }
}

/// The tags of these names.
pub(in super::super) fn by_names<'a>(owner: Uuid, names: impl Iterator<Item = &'a TagNameKey>) -> SelectStatement {
    Query::select()
        .columns([tag::Column::NameKey, tag::Column::TagId])
        .from(tag::Entity)
        .and_where(Expr::col(tag::Column::OwnerId).eq(owner))
        .and_where(Expr::col(tag::Column::NameKey).is_in(names.map(|name| name.as_bytes().to_vec())))
        .to_owned()
}

/// The tag, if the note has it: looked up by its key for each note, where a join might read all notes that have it.
fn has_tag(owner: Uuid, tag: TagId) -> Expr {
    let column = |column| Expr::col((note_tag::Entity, column));
    Query::select()
        .column((note_tag::Entity, note_tag::Column::TagId))
        .from(note_tag::Entity)
        .and_where(column(note_tag::Column::OwnerId).eq(owner))
        .and_where(column(note_tag::Column::NoteId).equals((note::Entity, note::Column::NoteId)))
        .and_where(column(note_tag::Column::TagId).eq(tag.as_uuid()))
        .to_owned()
        .into()
}
