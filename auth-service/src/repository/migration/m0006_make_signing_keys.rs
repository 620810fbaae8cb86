use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// The keys that sign access tokens. A private half is here only while its key signs or will, and encrypted under a key
/// that is not in the store. `due_at` is when the key that stands by is to sign though it is not its turn.
const KEYS: &str = "
CREATE TABLE signing_keys (
    kid text PRIMARY KEY CHECK (length(kid) = 43),
    state text NOT NULL CHECK (state IN ('standby', 'current', 'retired', 'revoked')),
    modulus text NOT NULL CHECK (length(modulus) BETWEEN 342 AND 1366),
    exponent text NOT NULL CHECK (length(exponent) BETWEEN 2 AND 6),
    sealed_private_key bytea CHECK (octet_length(sealed_private_key) BETWEEN 1 AND 16384),
    created_at bigint NOT NULL,
    due_at bigint,
    activated_at bigint,
    retired_at bigint,
    revoked_at bigint,
    CHECK ((state IN ('standby', 'current')) = (sealed_private_key IS NOT NULL)),
    CHECK (state <> 'current' OR activated_at IS NOT NULL),
    CHECK (state <> 'retired' OR retired_at IS NOT NULL),
    CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))
)";

/// One key signs and one stands by, at most.
const ALONE: &str =
    "CREATE UNIQUE INDEX signing_keys_alone ON signing_keys (state) WHERE state IN ('standby', 'current')";

/// The one row that is locked by whoever changes keys: the first change finds no key that could be.
const TURNS: [&str; 2] = [
    "CREATE TABLE signing_key_turns (turn_id bigint PRIMARY KEY CHECK (turn_id = 1), turn bigint NOT NULL)",
    "INSERT INTO signing_key_turns (turn_id, turn) VALUES (1, 0)",
];

/// Which key an event is about.
const AUDIT: &str = "ALTER TABLE audit_events ADD COLUMN kid text CHECK (length(kid) BETWEEN 1 AND 128)";

#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and a named one does not match")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for statement in [KEYS, ALONE].into_iter().chain(TURNS).chain([AUDIT]) {
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
