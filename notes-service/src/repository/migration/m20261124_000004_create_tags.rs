//! Tags, and which notes have them.
//!
//! A note's row holds the ids of its tags, in the order of its owner, so that reading a note or a page of notes costs
//! nothing for them. `note_tags` says the same the other way round, for lists of the notes of one tag: it repeats what
//! notes are ordered by, so that such a list is a range of an index too.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use super::dialect::{create_table, in_dialect};

/// `name_key`: the display name after NFC and full case folding; one owner has no two tags of the same.
/// `note_count`: live notes; those in a trash do not count, so that emptying it need not look for their tags.
const TAGS: &str = "
    CREATE TABLE tags (
        owner_id     {uuid}     NOT NULL,
        tag_id       {uuid}     NOT NULL,
        display_name {text}     NOT NULL CHECK (length(display_name) BETWEEN 1 AND 63),
        name_key     {bytes}    NOT NULL,
        color        {smallint} NOT NULL CHECK (color BETWEEN 0 AND 10),
        note_count   {bigint}   NOT NULL CHECK (note_count >= 0),
        create_us    {bigint}   NOT NULL,
        update_us    {bigint}   NOT NULL CHECK (update_us >= create_us),
        revision     {bigint}   NOT NULL CHECK (revision >= 1),
        digest       {bigint}   NOT NULL,
        change_seq   {bigint}   NOT NULL CHECK (change_seq >= 1),
        PRIMARY KEY (owner_id, tag_id)
    ) {clustered}";

const NOTE_TAGS: &str = "
    CREATE TABLE note_tags (
        owner_id    {uuid}   NOT NULL,
        note_id     {uuid}   NOT NULL,
        tag_id      {uuid}   NOT NULL,
        trash_epoch {bigint} NOT NULL,
        create_us   {bigint} NOT NULL,
        update_us   {bigint} NOT NULL,
        title_key   {bytes}  NOT NULL,
        PRIMARY KEY (owner_id, note_id, tag_id),
        FOREIGN KEY (owner_id, note_id) REFERENCES notes (owner_id, note_id) ON DELETE CASCADE,
        FOREIGN KEY (owner_id, tag_id) REFERENCES tags (owner_id, tag_id)
    ) {clustered}";

/// What is left of a tag that was deleted, so that clients which follow the changes hear of it.
const TAG_TOMBSTONES: &str = "
    CREATE TABLE tag_tombstones (
        owner_id   {uuid}   NOT NULL,
        tag_id     {uuid}   NOT NULL,
        change_seq {bigint} NOT NULL CHECK (change_seq >= 1),
        expire_us  {bigint} NOT NULL,
        PRIMARY KEY (owner_id, tag_id)
    ) {clustered}";

/// `notes.tag_ids`: sixteen bytes a tag, at most fifty; null without tags.
const ALTERATIONS: [&str; 7] = [
    "ALTER TABLE notes ADD COLUMN tag_ids {bytes} NULL CHECK (length(tag_ids) BETWEEN 16 AND 800)",
    "ALTER TABLE owner_state ADD COLUMN tag_count {bigint} NOT NULL DEFAULT 0 CHECK (tag_count >= 0)",
    "CREATE UNIQUE INDEX tags_by_name ON tags (owner_id, name_key)",
    "CREATE INDEX note_tags_by_create_time ON note_tags (owner_id, tag_id, trash_epoch, create_us, note_id)",
    "CREATE INDEX note_tags_by_update_time ON note_tags (owner_id, tag_id, trash_epoch, update_us, note_id)",
    "CREATE INDEX note_tags_by_title ON note_tags (owner_id, tag_id, trash_epoch, title_key, note_id)",
    "CREATE INDEX tag_tombstones_by_expire_time ON tag_tombstones (owner_id, expire_us)",
];

/// Creates the tables and makes room for tags in notes.
#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "the macro names the lifetimes in its own way")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for statement in statements(connection.get_database_backend()) {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn statements(backend: DbBackend) -> Vec<String> {
    let tables = [("tags", TAGS), ("note_tags", NOTE_TAGS), ("tag_tombstones", TAG_TOMBSTONES)];
    let tables = tables.into_iter().flat_map(|(name, definition)| create_table(backend, name, definition));
    tables.chain(ALTERATIONS.map(|statement| in_dialect(backend, statement))).collect()
}
