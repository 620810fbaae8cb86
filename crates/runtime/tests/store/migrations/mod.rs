//! A schema of one table, and the words in which the specifications speak of it.

use runtime::database::{Connection, Database, DatabaseError, Outcome};
use runtime::testing::Store;
use sea_orm::{ConnectionTrait as _, DbErr, Statement};
use sea_orm_migration::prelude::*;

mod m0001_things;
mod m0002_more;

/// The program of today.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_things::Migration)]
    }
}

/// The program of tomorrow.
pub(crate) struct Newer;

impl MigratorTrait for Newer {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_things::Migration), Box::new(m0002_more::Migration)]
    }
}

pub(crate) async fn open(store: &Store) -> Database {
    Database::open::<Migrator>(&store.config()).await.expect("the store opens")
}

/// The number that `sql` selects.
pub(crate) async fn number(connection: &Connection, sql: &str) -> Result<i64, DbErr> {
    let sql = format!("SELECT CAST(({sql}) AS bigint)");
    let question = Statement::from_string(connection.get_database_backend(), sql);
    connection.query_one_raw(question).await?.expect("one row").try_get_by_index(0)
}

pub(crate) async fn insert(connection: &Connection, id: i64, title: &str) -> Result<(), DbErr> {
    let sql = "INSERT INTO things (id, title) VALUES ($1, $2)";
    let insert = Statement::from_sql_and_values(connection.get_database_backend(), sql, [id.into(), title.into()]);
    connection.execute_raw(insert).await.map(|_| ())
}

/// Writes one thing.
pub(crate) async fn write(database: &Database, id: i64) -> Result<(), DatabaseError> {
    database.write(move |c| Box::pin(async move { insert(c, id, "thing").await.map(Outcome::Commit) })).await
}

/// The ids of all things, in order.
pub(crate) async fn ids(database: &Database) -> Vec<i64> {
    let rows = database.read(|connection| {
        Box::pin(async move {
            let sql = "SELECT id FROM things ORDER BY id";
            let select = Statement::from_string(connection.get_database_backend(), sql);
            connection.query_all_raw(select).await?.iter().map(|row| row.try_get_by_index(0)).collect()
        })
    });
    rows.await.expect("reads")
}
