use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// What verifiers must refuse although it has not expired. A row is written in the transaction that revokes, and lives
/// until the last token that it covers has expired. Its number only grows and never comes back, so that a reader can
/// go on after the last one it has seen; on PostgreSQL a lower one may become visible after a higher one.
fn table(key: &str) -> String {
    format!(
        "
CREATE TABLE revocations (
    revocation_id {key},
    kind text NOT NULL,
    account_id uuid,
    sid uuid,
    minimum_version bigint CHECK (minimum_version >= 1),
    kid text CHECK (length(kid) BETWEEN 1 AND 128),
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL CHECK (expires_at >= created_at),
    CHECK (kind IN ('session', 'subject', 'key', 'all')),
    CHECK ((kind IN ('session', 'subject')) = (account_id IS NOT NULL)),
    CHECK ((kind = 'session') = (sid IS NOT NULL)),
    CHECK ((kind = 'subject') = (minimum_version IS NOT NULL)),
    CHECK ((kind = 'key') = (kid IS NOT NULL))
)"
    )
}

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let key = match manager.get_database_backend() {
            DatabaseBackend::Postgres => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            _ => "integer PRIMARY KEY AUTOINCREMENT NOT NULL",
        };
        let connection = manager.get_connection();
        connection.execute_unprepared(&table(key)).await?;
        connection.execute_unprepared("CREATE INDEX revocations_by_end ON revocations (expires_at)").await.map(|_| ())
    }
}
