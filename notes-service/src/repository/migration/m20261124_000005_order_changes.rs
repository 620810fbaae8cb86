//! What a copy of an owner's notes needs to follow them: changes and removals in their order, and a digest of the whole.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;
use uuid::Uuid;

use super::dialect::in_dialect;
use crate::domain::{Etag, NoteId, SetDigest};

/// `emptied_seq`: the change that emptied the trash last. `forgotten_seq`: the last removal whose tombstone is gone.
const ALTERATIONS: [&str; 6] = [
    "ALTER TABLE owner_state ADD COLUMN notes_digest {bytes} NOT NULL DEFAULT {zeros} CHECK (length(notes_digest) = 32)",
    "ALTER TABLE owner_state ADD COLUMN deleted_notes_digest {bytes} NOT NULL DEFAULT {zeros}
         CHECK (length(deleted_notes_digest) = 32)",
    "ALTER TABLE owner_state ADD COLUMN emptied_seq {bigint} NOT NULL DEFAULT 0 CHECK (emptied_seq >= 0)",
    "ALTER TABLE owner_state ADD COLUMN forgotten_seq {bigint} NOT NULL DEFAULT 0 CHECK (forgotten_seq >= 0)",
    "CREATE INDEX notes_by_change ON notes (owner_id, change_seq)",
    "CREATE INDEX tombstones_by_change ON tombstones (owner_id, change_seq)",
];

/// How many notes are digested at a time.
const STEP: u64 = 1_000;

/// Orders changes and digests what is there.
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
        digest_all(connection).await
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

/// The digests of one owner, as far as his notes were read.
struct Digests {
    owner: Uuid,
    notes: SetDigest,
    deleted_notes: SetDigest,
}

/// Digests the notes of every owner, in the order of their keys.
async fn digest_all(connection: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let (mut digests, mut last): (Option<Digests>, Option<(Uuid, Uuid)>) = (None, None);
    loop {
        let rows = connection.query_all(&notes_after(last)).await?;
        for row in &rows {
            let (owner, id): (Uuid, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let etag = Etag { revision: row.try_get_by_index(2)?, digest: row.try_get_by_index(3)? };
            let (trash, present): (i64, i64) = (row.try_get_by_index(4)?, row.try_get_by_index(5)?);
            if let Some(done) = digests.take_if(|digests| digests.owner != owner) {
                save(connection, &done).await?;
            }
            let digests = digests.get_or_insert_with(|| Digests {
                owner,
                notes: SetDigest::default(),
                deleted_notes: SetDigest::default(),
            });
            let id = NoteId::from_uuid(id);
            if trash == 0 {
                digests.notes = digests.notes.toggled(id, etag);
            } else if trash == present {
                digests.deleted_notes = digests.deleted_notes.toggled(id, etag);
            }
        }
        last =
            rows.last().map(|row| Ok::<_, DbErr>((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).transpose()?;
        if last.is_none() {
            break;
        }
    }
    match digests {
        Some(done) => save(connection, &done).await,
        None => Ok(()),
    }
}

fn notes_after(last: Option<(Uuid, Uuid)>) -> SelectStatement {
    let note = |column: &'static str| Expr::col(("notes", column));
    let mut select = Query::select();
    for column in ["owner_id", "note_id", "revision", "digest", "trash_epoch"] {
        select.column(("notes", column));
    }
    select
        .column(("owner_state", "trash_epoch"))
        .from("notes")
        .inner_join("owner_state", note("owner_id").equals(("owner_state", "owner_id")))
        .order_by(("notes", "owner_id"), Order::Asc)
        .order_by(("notes", "note_id"), Order::Asc)
        .limit(STEP);
    if let Some((owner, id)) = last {
        let key = Expr::tuple([note("owner_id"), note("note_id")]);
        select.and_where(key.gt(Expr::tuple([owner.into(), id.into()])));
    }
    select
}

async fn save(connection: &SchemaManagerConnection<'_>, digests: &Digests) -> Result<(), DbErr> {
    let update = Query::update()
        .table("owner_state")
        .value("notes_digest", digests.notes.as_bytes().to_vec())
        .value("deleted_notes_digest", digests.deleted_notes.as_bytes().to_vec())
        .and_where(Expr::col("owner_id").eq(digests.owner))
        .to_owned();
    connection.execute(&update).await?;
    Ok(())
}
