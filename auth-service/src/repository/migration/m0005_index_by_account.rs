use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// For what is done to all of an account: its claims when it is deleted, and its sessions that were not ended by
/// decision, which stay few however many have ended. A rotation changes neither of the columns.
const SQL: [&str; 2] = [
    "CREATE INDEX email_claims_of_account ON email_claims (account_id)",
    "CREATE INDEX sessions_of_account ON sessions (account_id) WHERE revoked_at IS NULL",
];

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in SQL {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
