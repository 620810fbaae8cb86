//! What emptying the trash at once and removing notes for good need.
//!
//! Each trash of an owner has a number, and a note says in which it lies. Emptying begins the next: notes of the ones
//! before are out of every range that is read, however many they are, until they are removed. So `trash_epoch` takes the
//! place of `state` in the indexes; `state` stays for its checks.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use super::dialect::{create_table, in_dialect};

/// What is left of a note that was removed: nothing of what its owner wrote.
const TOMBSTONES: &str = "
    CREATE TABLE tombstones (
        owner_id   {uuid}   NOT NULL,
        note_id    {uuid}   NOT NULL,
        change_seq {bigint} NOT NULL CHECK (change_seq >= 1),
        expire_us  {bigint} NOT NULL,
        PRIMARY KEY (owner_id, note_id)
    ) {clustered}";

/// `notes.trash_epoch`: 0 for a live note. `purge_due_us`: nothing of the owner is to be removed before; for owners who
/// were here before this step it is not known, so they are looked at once.
const ALTERATIONS: [&str; 15] = [
    "ALTER TABLE notes ADD COLUMN trash_epoch {bigint} NOT NULL DEFAULT 0 CHECK (trash_epoch >= 0)",
    "ALTER TABLE owner_state ADD COLUMN trash_epoch {bigint} NOT NULL DEFAULT 1 CHECK (trash_epoch >= 1)",
    "ALTER TABLE owner_state ADD COLUMN deleted_bytes {bigint} NOT NULL DEFAULT 0 CHECK (deleted_bytes >= 0)",
    "ALTER TABLE owner_state ADD COLUMN purge_due_us {bigint} NULL DEFAULT 0",
    "UPDATE notes SET trash_epoch = 1 WHERE state = 1",
    "UPDATE owner_state SET deleted_bytes = coalesce((
         SELECT sum(octet_length(title) + content_bytes) FROM notes
         WHERE notes.owner_id = owner_state.owner_id AND notes.state = 1), 0)",
    "DROP INDEX notes_by_create_time",
    "DROP INDEX notes_by_update_time",
    "DROP INDEX notes_by_title",
    "CREATE INDEX notes_by_create_time ON notes (owner_id, trash_epoch, create_us, note_id)",
    "CREATE INDEX notes_by_update_time ON notes (owner_id, trash_epoch, update_us, note_id)",
    "CREATE INDEX notes_by_title ON notes (owner_id, trash_epoch, title_key, note_id)",
    "CREATE INDEX notes_by_purge_time ON notes (owner_id, purge_us) WHERE purge_us IS NOT NULL",
    "CREATE INDEX create_requests_by_expire_time ON create_requests (owner_id, expire_us)",
    "CREATE INDEX tombstones_by_expire_time ON tombstones (owner_id, expire_us)",
];

/// Numbers the trashes and makes room for tombstones.
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
    let mut statements = create_table(backend, "tombstones", TOMBSTONES);
    statements.extend(ALTERATIONS.map(|statement| in_dialect(backend, statement)));
    statements
}
