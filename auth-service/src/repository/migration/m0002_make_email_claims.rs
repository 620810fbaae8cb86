use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Whose an address is. The key is what makes it unique; the row is written in the transaction that makes the account.
const SQL: &str = "
CREATE TABLE email_claims (
    email_key text PRIMARY KEY NOT NULL CHECK (octet_length(email_key) BETWEEN 3 AND 254),
    account_id uuid NOT NULL,
    state text NOT NULL CHECK (length(state) BETWEEN 1 AND 16)
)";

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(SQL).await.map(|_| ())
    }
}
