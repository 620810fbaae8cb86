//! Notes, their bodies, the state of their owners, and the requests that may be repeated.
//!
//! Every key and every index begins with `owner_id`: a note is only ever looked up inside its owner, a page costs what it
//! holds, and an engine that distributes tables by a column (Citus and its like) takes these as they are. On PostgreSQL
//! they are hash-partitioned from the beginning, since partitioning later would rewrite them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use super::dialect::create_table;

/// `change_seq`: number of the last change. `epoch`: tells this life of the data from one before a restored backup.
const OWNER_STATE: &str = "
    CREATE TABLE owner_state (
        owner_id           {uuid}   NOT NULL PRIMARY KEY,
        change_seq         {bigint} NOT NULL CHECK (change_seq >= 0),
        epoch              {bigint} NOT NULL,
        note_count         {bigint} NOT NULL CHECK (note_count >= 0),
        deleted_note_count {bigint} NOT NULL CHECK (deleted_note_count BETWEEN 0 AND note_count),
        bytes              {bigint} NOT NULL CHECK (bytes >= 0),
        last_update_us     {bigint} NOT NULL
    ) {clustered}";

/// Small columns only, so that a list reads no bodies. `state`: 0 live, 1 in the trash.
const NOTES: &str = "
    CREATE TABLE notes (
        owner_id      {uuid}     NOT NULL,
        note_id       {uuid}     NOT NULL,
        title         {text}     NOT NULL CHECK (length(title) <= 300),
        title_key     {bytes}    NOT NULL CHECK (length(title_key) <= 64),
        snippet       {text}     NOT NULL CHECK (length(snippet) <= 200),
        content_bytes {bigint}   NOT NULL CHECK (content_bytes BETWEEN 0 AND 1048576),
        pinned        {bool}     NOT NULL,
        archived      {bool}     NOT NULL,
        color         {smallint} NOT NULL CHECK (color BETWEEN 0 AND 10),
        state         {smallint} NOT NULL CHECK (state IN (0, 1)),
        create_us     {bigint}   NOT NULL,
        update_us     {bigint}   NOT NULL CHECK (update_us >= create_us),
        delete_us     {bigint}   NULL,
        purge_us      {bigint}   NULL,
        revision      {bigint}   NOT NULL CHECK (revision >= 1),
        digest        {bigint}   NOT NULL,
        change_seq    {bigint}   NOT NULL CHECK (change_seq >= 1),
        PRIMARY KEY (owner_id, note_id),
        CHECK ((state = 1) = (delete_us IS NOT NULL)),
        CHECK ((delete_us IS NULL) = (purge_us IS NULL))
    ) {clustered}";

/// Not clustered: large rows make a clustered tree deep.
const NOTE_BODIES: &str = "
    CREATE TABLE note_bodies (
        owner_id {uuid} NOT NULL,
        note_id  {uuid} NOT NULL,
        content  {text} NOT NULL CHECK (length(content) <= 262144 AND octet_length(content) <= 1048576),
        PRIMARY KEY (owner_id, note_id),
        FOREIGN KEY (owner_id, note_id) REFERENCES notes (owner_id, note_id) ON DELETE CASCADE
    ) {heap}";

const CREATE_REQUESTS: &str = "
    CREATE TABLE create_requests (
        owner_id    {uuid}   NOT NULL,
        request_id  {uuid}   NOT NULL,
        fingerprint {bytes}  NOT NULL CHECK (length(fingerprint) = 32),
        note_id     {uuid}   NOT NULL,
        expire_us   {bigint} NOT NULL,
        PRIMARY KEY (owner_id, request_id)
    ) {clustered}";

/// One index per order; each serves both directions.
const INDEXES: [&str; 3] = [
    "CREATE INDEX notes_by_create_time ON notes (owner_id, state, create_us, note_id)",
    "CREATE INDEX notes_by_update_time ON notes (owner_id, state, update_us, note_id)",
    "CREATE INDEX notes_by_title ON notes (owner_id, state, title_key, note_id)",
];

/// Creates the tables.
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
    let tables = [OWNER_STATE, NOTES, NOTE_BODIES, CREATE_REQUESTS];
    let names = ["owner_state", "notes", "note_bodies", "create_requests"];
    let tables = names.into_iter().zip(tables).flat_map(|(name, definition)| create_table(backend, name, definition));
    tables.chain(INDEXES.map(str::to_owned)).collect()
}
