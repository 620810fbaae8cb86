use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// What other services are to learn of accounts. A row is written in the transaction that makes it true. `token_version`
/// is the least `ver` of an access token of the account that would still be good: of a deleted one there is none.
const SQL: &str = "
CREATE TABLE outbox (
    event_id uuid PRIMARY KEY NOT NULL,
    kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 32),
    account_id uuid NOT NULL,
    token_version bigint NOT NULL CHECK (token_version >= 1),
    created_at bigint NOT NULL
)";

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(SQL).await.map(|_| ())
    }
}
