//! The index of the terms of notes, bounded by the owner like every table.
//!
//! A row for each term of each note is the obvious index, and cost twenty times what a note costs to write. So a note's
//! terms are one row, and many of them become a segment, in which each term stands once: `domain::search` says how.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use super::dialect::create_table;

/// The terms of notes that changed not long ago, by the number of the change.
const SEARCH_RECENT: &str = "
    CREATE TABLE search_recent (
        owner_id   {uuid}   NOT NULL,
        change_seq {bigint} NOT NULL CHECK (change_seq >= 1),
        terms      {bytes}  NOT NULL,
        PRIMARY KEY (owner_id, change_seq)
    ) {clustered}";

/// Segments: the changes that they hold, in `sequence` one by one. `live`: how many of these notes have not changed since.
/// `stale`: whether one of them was removed for good, and its terms are to be forgotten.
const SEARCH_SEGMENTS: &str = "
    CREATE TABLE search_segments (
        owner_id  {uuid}   NOT NULL,
        last_seq  {bigint} NOT NULL,
        first_seq {bigint} NOT NULL CHECK (first_seq BETWEEN 1 AND last_seq),
        live      {bigint} NOT NULL,
        stale     {bool}   NOT NULL,
        sequence  {bytes}  NOT NULL,
        PRIMARY KEY (owner_id, last_seq)
    ) {clustered}";

/// Blocks of terms of segments. Not clustered: large rows make a clustered tree deep.
const SEARCH_BLOCKS: &str = "
    CREATE TABLE search_blocks (
        owner_id   {uuid}   NOT NULL,
        last_seq   {bigint} NOT NULL,
        first_term {bytes}  NOT NULL CHECK (length(first_term) <= 64),
        data       {bytes}  NOT NULL,
        PRIMARY KEY (owner_id, last_seq, first_term)
    ) {heap}";

/// Owners with notes from before there was an index: those that changed after `after_seq` and not after `last_seq`.
const SEARCH_BACKLOG: &str = "
    CREATE TABLE search_backlog (
        owner_id  {uuid}   NOT NULL PRIMARY KEY,
        after_seq {bigint} NOT NULL,
        last_seq  {bigint} NOT NULL
    ) {clustered}";

/// Owners of the backlog are looked at when what is due is removed next, and their notes are added to the index then.
const BACKLOG: [&str; 2] = [
    "INSERT INTO search_backlog (owner_id, after_seq, last_seq)
         SELECT owner_id, 0, change_seq FROM owner_state WHERE note_count > 0",
    "UPDATE owner_state SET purge_due_us = 0 WHERE note_count > 0",
];

/// Makes room for the index.
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
    let tables = [SEARCH_RECENT, SEARCH_SEGMENTS, SEARCH_BLOCKS, SEARCH_BACKLOG];
    let names = ["search_recent", "search_segments", "search_blocks", "search_backlog"];
    let tables = names.into_iter().zip(tables).flat_map(|(name, definition)| create_table(backend, name, definition));
    tables.chain(BACKLOG.map(str::to_owned)).collect()
}
