//! A schema of one table, for tests of the store.

use runtime::database::Database;
use sea_orm::{ConnectionTrait, DbErr, Statement};
use sea_orm_migration::prelude::*;

mod m0001_things;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_things::Migration)]
    }
}

pub(crate) async fn insert<C: ConnectionTrait>(connection: &C, id: i64, title: &str) -> Result<(), DbErr> {
    let sql = "INSERT INTO things (id, title) VALUES ($1, $2)";
    let insert = Statement::from_sql_and_values(connection.get_database_backend(), sql, [id.into(), title.into()]);
    connection.execute_raw(insert).await.map(|_| ())
}

/// The titles of all things, in the order of their ids.
pub(crate) async fn titles(database: &Database) -> Vec<String> {
    let rows = database.read(|connection| {
        Box::pin(async move {
            let sql = "SELECT title FROM things ORDER BY id";
            let select = Statement::from_string(connection.get_database_backend(), sql);
            connection.query_all_raw(select).await?.iter().map(|row| row.try_get_by_index(0)).collect()
        })
    });
    rows.await.expect("reads")
}
