//! Brings a store's schema up to date, or says why not.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use sea_orm_migration::{IntoSchemaManagerConnection, MigratorTrait, SchemaManager};

use super::DatabaseError;

/// A store's schema, seen from this program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Every migration of this program was applied, and no other.
    Current,
    /// These are missing, in order.
    Older(Vec<String>),
    /// These were applied by a newer program.
    Newer(Vec<String>),
}

impl Standing {
    /// Compares the applied migrations with those of this program; changes nothing.
    pub(super) async fn of<'c, M, C>(connection: &'c C) -> Result<Self, DbErr>
    where
        M: MigratorTrait,
        C: ConnectionTrait,
        &'c C: IntoSchemaManagerConnection<'c>,
    {
        let applied = applied::<M, C>(connection).await?;
        let known: Vec<String> = M::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let newer: Vec<String> = applied.iter().filter(|name| !known.contains(name)).cloned().collect();
        if !newer.is_empty() {
            return Ok(Self::Newer(newer));
        }
        let missing: Vec<String> = known.into_iter().filter(|name| !applied.contains(name)).collect();
        Ok(if missing.is_empty() { Self::Current } else { Self::Older(missing) })
    }

    /// # Errors
    /// If the schema is not the one that this program needs, in words for an operator.
    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Current => Ok(()),
            Self::Older(missing) => Err(DatabaseError::fault(format!(
                "the schema is older than this program: run `migrate`, or set database.migrate_on_start; missing: {}",
                missing.join(", ")
            ))),
            Self::Newer(unknown) => Err(DatabaseError::fault(format!(
                "the schema is newer than this program, which will not touch it; unknown: {}",
                unknown.join(", ")
            ))),
        }
    }
}

async fn applied<'c, M, C>(connection: &'c C) -> Result<Vec<String>, DbErr>
where
    M: MigratorTrait,
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let table = M::migration_table_name();
    if !SchemaManager::new(connection).has_table(table.to_string()).await? {
        return Ok(Vec::new());
    }
    let query = Query::select().expr(Expr::col("version")).from(table).take();
    connection.query_all(&query).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Applies what is missing inside `transaction`: all of it or nothing is kept, also after a crash in between.
///
/// The caller holds the lock that keeps others from doing the same.
pub(super) async fn upgrade<M: MigratorTrait + 'static>(
    transaction: &DatabaseTransaction,
) -> Result<(), DatabaseError> {
    let standing = Standing::of::<M, _>(transaction).await.map_err(DatabaseError::from_db_err)?;
    if let Standing::Older(missing) = &standing {
        M::up(transaction, None).await.map_err(DatabaseError::from_db_err)?;
        tracing::info!(migrations = missing.len(), "brought the schema up to date");
        return Ok(());
    }
    standing.check()
}

/// Whether the schema is the one that this program needs.
pub(super) async fn check<M: MigratorTrait + 'static>(
    connection: &DatabaseConnection,
) -> Result<Standing, DatabaseError> {
    Standing::of::<M, _>(connection).await.map_err(DatabaseError::from_db_err)
}
