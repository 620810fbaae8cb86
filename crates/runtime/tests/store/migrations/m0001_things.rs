use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "CREATE TABLE things (id bigint PRIMARY KEY NOT NULL, title text NOT NULL)";
        manager.get_connection().execute_unprepared(sql).await.map(|_| ())
    }
}
