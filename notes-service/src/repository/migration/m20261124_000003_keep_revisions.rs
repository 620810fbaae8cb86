//! The versions of a note that were kept when others took their place.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use super::dialect::{create_table, in_dialect};

/// `revision`, `digest`: those of the version, as in its etag. `update_us`: when it was written. `create_us`: when it was
/// kept. `content` is compressed; it is the last column, so that what does not name it reads none of a long one.
/// `expire_us`: set when enough newer ones are kept.
const NOTE_REVISIONS: &str = "
    CREATE TABLE note_revisions (
        owner_id      {uuid}     NOT NULL,
        note_id       {uuid}     NOT NULL,
        revision      {bigint}   NOT NULL CHECK (revision >= 1),
        digest        {bigint}   NOT NULL,
        reason        {smallint} NOT NULL CHECK (reason BETWEEN 1 AND 3),
        title         {text}     NOT NULL CHECK (length(title) <= 300),
        snippet       {text}     NOT NULL CHECK (length(snippet) <= 200),
        content_bytes {bigint}   NOT NULL CHECK (content_bytes BETWEEN 0 AND 1048576),
        pinned        {bool}     NOT NULL,
        archived      {bool}     NOT NULL,
        color         {smallint} NOT NULL CHECK (color BETWEEN 0 AND 10),
        update_us     {bigint}   NOT NULL,
        create_us     {bigint}   NOT NULL CHECK (create_us >= update_us),
        expire_us     {bigint}   NULL,
        content       {bytes}    NOT NULL,
        PRIMARY KEY (owner_id, note_id, revision),
        FOREIGN KEY (owner_id, note_id) REFERENCES notes (owner_id, note_id) ON DELETE CASCADE
    ) {heap}";

/// `notes.kept_us`, `notes.kept_session`: when a version of the note was last kept, and which session's write that was.
const ALTERATIONS: [&str; 6] = [
    "ALTER TABLE notes ADD COLUMN kept_us {bigint} NULL",
    "ALTER TABLE notes ADD COLUMN kept_session {uuid} NULL",
    "ALTER TABLE notes ADD COLUMN revision_count {bigint} NOT NULL DEFAULT 0 CHECK (revision_count >= 0)",
    "ALTER TABLE notes ADD COLUMN revision_bytes {bigint} NOT NULL DEFAULT 0 CHECK (revision_bytes >= 0)",
    "ALTER TABLE owner_state ADD COLUMN revision_bytes {bigint} NOT NULL DEFAULT 0 CHECK (revision_bytes >= 0)",
    "CREATE INDEX note_revisions_by_expire_time ON note_revisions (owner_id, expire_us) WHERE expire_us IS NOT NULL",
];

/// Makes room for revisions and counts them.
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
    let mut statements = create_table(backend, "note_revisions", NOTE_REVISIONS);
    statements.extend(ALTERATIONS.map(|statement| in_dialect(backend, statement)));
    statements
}
