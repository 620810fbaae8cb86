//! How a table is written on both engines.

use sea_orm_migration::sea_orm::DbBackend;

/// Partitions per table. Enough to spread vacuum and locks; each costs every schema change and every new database.
const PARTITIONS: u32 = 16;

/// The statements that create a table, on PostgreSQL with its partitions.
pub(super) fn create_table(backend: DbBackend, name: &str, definition: &str) -> Vec<String> {
    let mut statements = vec![in_dialect(backend, definition)];
    if backend == DbBackend::Postgres {
        statements.extend((0..PARTITIONS).map(|remainder| partition(name, remainder)));
    }
    statements
}

/// The statement with the types of the engine in place of their `{words}`.
pub(super) fn in_dialect(backend: DbBackend, definition: &str) -> String {
    let words: [(&str, &str); 8] = match backend {
        DbBackend::Postgres => [
            ("{uuid}", "uuid"),
            ("{bigint}", "bigint"),
            ("{smallint}", "smallint"),
            ("{bool}", "boolean"),
            ("{text}", "text"),
            ("{bytes}", "bytea"),
            ("{clustered}", "PARTITION BY HASH (owner_id)"),
            ("{heap}", "PARTITION BY HASH (owner_id)"),
        ],
        _ => [
            ("{uuid}", "BLOB"),
            ("{bigint}", "INTEGER"),
            ("{smallint}", "INTEGER"),
            ("{bool}", "INTEGER"),
            ("{text}", "TEXT"),
            ("{bytes}", "BLOB"),
            ("{clustered}", "WITHOUT ROWID, STRICT"),
            ("{heap}", "STRICT"),
        ],
    };
    words.into_iter().fold(definition.to_owned(), |sql, (word, meaning)| sql.replace(word, meaning))
}

/// The free space in each page lets a changed row stay beside its old version.
fn partition(table: &str, remainder: u32) -> String {
    format!(
        "CREATE TABLE {table}_{remainder:02} PARTITION OF {table} \
         FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {remainder}) WITH (fillfactor = 85)"
    )
}
