use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// One row per session, changed in place at each rotation; no row per token, so nothing grows with use. The times of
/// the last four rotations, whether the current child was seen in use, and the generation below which no token yields
/// one above it are what a rotation needs to tell an honest repetition from a theft.
const SQL: &str = "
CREATE TABLE sessions (
    account_id uuid NOT NULL,
    sid uuid NOT NULL,
    nonce bytea NOT NULL CHECK (octet_length(nonce) = 32),
    generation bigint NOT NULL CHECK (generation >= 1),
    rotated_at_1 bigint,
    rotated_at_2 bigint,
    rotated_at_3 bigint,
    rotated_at_4 bigint,
    child_confirmed boolean NOT NULL DEFAULT FALSE,
    barrier_generation bigint NOT NULL DEFAULT 0 CHECK (barrier_generation BETWEEN 0 AND generation),
    created_at bigint NOT NULL,
    last_used_at bigint NOT NULL CHECK (last_used_at >= created_at),
    idle_expires_at bigint NOT NULL,
    absolute_expires_at bigint NOT NULL,
    auth_time bigint NOT NULL,
    amr text NOT NULL CHECK (length(amr) BETWEEN 2 AND 256),
    client_label text NOT NULL CHECK (length(client_label) <= 100),
    user_agent text NOT NULL CHECK (octet_length(user_agent) <= 256),
    ip_prefix text NOT NULL CHECK (length(ip_prefix) <= 64),
    revoked_at bigint,
    revoke_reason text CHECK (length(revoke_reason) BETWEEN 1 AND 16),
    PRIMARY KEY (account_id, sid),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id) ON DELETE CASCADE,
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
)";

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A rotation changes no indexed column; room on the page lets it stay where it is.
        let storage = match manager.get_database_backend() {
            DatabaseBackend::Postgres => " WITH (fillfactor = 70)",
            _ => "",
        };
        manager.get_connection().execute_unprepared(&format!("{SQL}{storage}")).await.map(|_| ())
    }
}
