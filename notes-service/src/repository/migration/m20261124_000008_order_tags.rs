//! What a copy of an owner's tags needs to follow them: changes and removals in their order, and a digest of the whole.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;
use uuid::Uuid;

use super::dialect::in_dialect;
use crate::domain::{Etag, SetDigest, TagId};

const ALTERATIONS: [&str; 3] = [
    "ALTER TABLE owner_state ADD COLUMN tags_digest {bytes} NOT NULL DEFAULT {zeros} CHECK (length(tags_digest) = 32)",
    "CREATE INDEX tags_by_change ON tags (owner_id, change_seq)",
    "CREATE INDEX tag_tombstones_by_change ON tag_tombstones (owner_id, change_seq)",
];

/// The tables that are read and written here.
const TABLES: [&str; 2] = ["tags", "owner_state"];

/// How many tags are digested at a time.
const STEP: u64 = 1_000;

/// Orders changes of tags and digests what is there.
#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "the macro names the lifetimes in its own way")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for statement in statements(connection.get_database_backend()) {
            connection.execute_unprepared(&statement).await?;
        }
        let secured = secured(connection).await?;
        secure(connection, &secured, "NO FORCE").await?;
        digest_all(connection).await?;
        secure(connection, &secured, "FORCE").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn statements(backend: DbBackend) -> Vec<String> {
    let digits = "00".repeat(SetDigest::BYTES);
    let zeros = match backend {
        DbBackend::Postgres => format!("'\\x{digits}'"),
        _ => format!("x'{digits}'"),
    };
    ALTERATIONS.map(|statement| in_dialect(backend, statement).replace("{zeros}", &zeros)).to_vec()
}

/// The tables whose rows are hidden from the role that owns them, where row-level security is in place already: it would
/// hide the tags that are to be digested.
async fn secured(connection: &SchemaManagerConnection<'_>) -> Result<Vec<String>, DbErr> {
    if connection.get_database_backend() != DbBackend::Postgres {
        return Ok(Vec::new());
    }
    let forced = Query::select()
        .expr(Expr::col("relname").cast_as("text"))
        .from("pg_class")
        .and_where(Expr::cust("relnamespace = current_schema()::regnamespace"))
        .and_where(Expr::col("relforcerowsecurity"))
        .and_where(Expr::col("relname").is_in(TABLES))
        .to_owned();
    connection.query_all(&forced).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Lets the owner of the tables see their rows, or hides them again. Others wait for the end of this step.
async fn secure(connection: &SchemaManagerConnection<'_>, tables: &[String], force: &str) -> Result<(), DbErr> {
    for table in tables {
        connection.execute_unprepared(&format!("ALTER TABLE {table} {force} ROW LEVEL SECURITY")).await?;
    }
    Ok(())
}

/// Digests the tags of every owner, in the order of their keys.
async fn digest_all(connection: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let mut digest: Option<(Uuid, SetDigest)> = None;
    let mut last: Option<(Uuid, Uuid)> = None;
    loop {
        let rows = connection.query_all(&tags_after(last)).await?;
        for row in &rows {
            let (owner, id): (Uuid, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let etag = Etag { revision: row.try_get_by_index(2)?, digest: row.try_get_by_index(3)? };
            if let Some(done) = digest.take_if(|(of, _)| *of != owner) {
                save(connection, done).await?;
            }
            let (_, digest) = digest.get_or_insert_with(|| (owner, SetDigest::default()));
            *digest = digest.tag_toggled(TagId::from_uuid(id), etag);
            last = Some((owner, id));
        }
        if rows.is_empty() {
            break;
        }
    }
    match digest {
        Some(done) => save(connection, done).await,
        None => Ok(()),
    }
}

fn tags_after(last: Option<(Uuid, Uuid)>) -> SelectStatement {
    let mut select = Query::select();
    select
        .columns(["owner_id", "tag_id", "revision", "digest"])
        .from("tags")
        .order_by("owner_id", Order::Asc)
        .order_by("tag_id", Order::Asc)
        .limit(STEP);
    if let Some((owner, id)) = last {
        let key = Expr::tuple([Expr::col("owner_id"), Expr::col("tag_id")]);
        select.and_where(key.gt(Expr::tuple([owner.into(), id.into()])));
    }
    select
}

async fn save(connection: &SchemaManagerConnection<'_>, (owner, digest): (Uuid, SetDigest)) -> Result<(), DbErr> {
    let update = Query::update()
        .table("owner_state")
        .value("tags_digest", digest.as_bytes().to_vec())
        .and_where(Expr::col("owner_id").eq(owner))
        .to_owned();
    connection.execute(&update).await?;
    Ok(())
}
