use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// What happened to whose security. A change writes its row in its own transaction; what changed nothing is written a
/// few seconds later, `times` of it in one row. Nothing that a person typed is in here, and the account of a row may be
/// gone.
fn table(key: &str) -> String {
    format!(
        "
CREATE TABLE audit_events (
    event_id {key},
    at bigint NOT NULL,
    event text NOT NULL CHECK (length(event) BETWEEN 1 AND 64),
    account_id uuid,
    sid uuid,
    generation bigint CHECK (generation >= 1),
    reason text CHECK (length(reason) BETWEEN 1 AND 32),
    sessions bigint CHECK (sessions >= 0),
    times bigint NOT NULL CHECK (times >= 1)
)"
    )
}

/// For what an operator asks, and for the removal of what is old enough.
const INDEXES: [&str; 2] = [
    "CREATE INDEX audit_events_by_time ON audit_events (at, event_id)",
    "CREATE INDEX audit_events_of_account ON audit_events (account_id, at, event_id) WHERE account_id IS NOT NULL",
];

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
        for index in INDEXES {
            connection.execute_unprepared(index).await?;
        }
        Ok(())
    }
}
