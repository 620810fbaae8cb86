use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Times are microseconds since 1970, `roles` is a JSON array, `password_hash` a PHC string. Uniqueness of the address
/// is not a matter of this table: it is sharded by `account_id`, and a unique index on anything else is not to be had
/// there.
const SQL: &str = "
CREATE TABLE accounts (
    account_id uuid PRIMARY KEY NOT NULL,
    email text NOT NULL CHECK (octet_length(email) BETWEEN 3 AND 254),
    display_name text NOT NULL CHECK (length(display_name) <= 100),
    email_verified boolean NOT NULL,
    roles text NOT NULL CHECK (length(roles) BETWEEN 2 AND 4096),
    state text NOT NULL CHECK (length(state) BETWEEN 1 AND 16),
    password_hash text NOT NULL CHECK (length(password_hash) BETWEEN 1 AND 512),
    token_version bigint NOT NULL CHECK (token_version >= 1),
    revision bigint NOT NULL CHECK (revision >= 1),
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL CHECK (updated_at >= created_at),
    last_login_at bigint
)";

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(SQL).await.map(|_| ())
    }
}
