//! One connection to the store, on which the mapper's queries run.
//!
//! The mapper's own pool handles are not used for work: they take a connection for each statement and ask it whether
//! it lives when they give it back, which on SQLite is two more hops between threads and on PostgreSQL one more round
//! trip than the statement itself needs; and a `BEGIN` that is dropped half-way goes back into their pool.

use std::sync::Arc;

use sea_orm::error::RuntimeErr;
use sea_orm::sea_query::{Value, Values};
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::sqlite::SqliteConnection;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, Executor as _};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sea_orm_migration::async_trait::async_trait;
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;

/// A connection to the store that one unit of work has for itself: every query of the mapper takes a reference to it.
pub struct Connection {
    backend: DbBackend,
    link: Mutex<Link>,
}

enum Link {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl From<SqliteConnection> for Connection {
    fn from(link: SqliteConnection) -> Self {
        Self { backend: DbBackend::Sqlite, link: Mutex::new(Link::Sqlite(link)) }
    }
}

impl From<PgConnection> for Connection {
    fn from(link: PgConnection) -> Self {
        Self { backend: DbBackend::Postgres, link: Mutex::new(Link::Postgres(link)) }
    }
}

impl Connection {
    /// Runs statements of ours that have no values and whose results do not matter. On SQLite they stay prepared.
    pub(super) async fn control(&mut self, sql: &'static str) -> Result<(), DbErr> {
        match self.link.get_mut() {
            Link::Sqlite(link) => sqlx::query(sql).execute(link).await.map(|_| ()),
            // The simple protocol takes several statements in one round trip.
            Link::Postgres(link) => link.execute(sql).await.map(|_| ()),
        }
        .map_err(executing)
    }

    /// Asks whether the other side lives.
    pub(super) async fn ping(&mut self) -> Result<(), DbErr> {
        match self.link.get_mut() {
            Link::Sqlite(link) => link.ping().await,
            Link::Postgres(link) => link.ping().await,
        }
        .map_err(querying)
    }

    /// Says good-bye. Dropping a connection only hangs up.
    pub(super) async fn close(self) {
        let closed = match self.link.into_inner() {
            Link::Sqlite(link) => link.close().await,
            Link::Postgres(link) => link.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!(error = %error, "a connection did not close well");
        }
    }
}

#[async_trait]
impl ConnectionTrait for Connection {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (sql, values) = parts(statement);
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => sqlx::query_with(sql, values).execute(link).await.map(ExecResult::from),
            Link::Postgres(link) => sqlx::query_with(sql, values).execute(link).await.map(ExecResult::from),
        }
        .map_err(executing)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql = AssertSqlSafe(sql.to_owned());
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => link.execute(sql).await.map(ExecResult::from),
            Link::Postgres(link) => link.execute(sql).await.map(ExecResult::from),
        }
        .map_err(executing)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (sql, values) = parts(statement);
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => {
                sqlx::query_with(sql, values).fetch_optional(link).await.map(|row| row.map(QueryResult::from))
            }
            Link::Postgres(link) => {
                sqlx::query_with(sql, values).fetch_optional(link).await.map(|row| row.map(QueryResult::from))
            }
        }
        .map_err(querying)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (sql, values) = parts(statement);
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => {
                let rows = sqlx::query_with(sql, values).fetch_all(link).await;
                rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
            }
            Link::Postgres(link) => {
                let rows = sqlx::query_with(sql, values).fetch_all(link).await;
                rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
            }
        }
        .map_err(querying)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// The text comes from the mapper or from a statement that the caller built; values are bound, never put into it,
/// but for one number: SQLite plans by the value of a bound LIMIT, and so prepares the statement again each time that
/// it is bound, which costs more than a read by primary key. The mapper ends every query for one row with it.
fn parts(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    let Statement { mut sql, values, db_backend } = statement;
    let mut values = values.unwrap_or(Values(Vec::new()));
    if db_backend == DbBackend::Sqlite
        && let (Some(before), Some(Value::BigUnsigned(Some(limit)))) = (sql.strip_suffix(" LIMIT ?"), values.0.last())
    {
        sql = format!("{before} LIMIT {limit}");
        values.0.pop();
    }
    (AssertSqlSafe(sql), SqlxValues(values))
}

fn executing(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

fn querying(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
    use sea_orm::sqlx::AssertSqlSafe;

    use super::*;

    /// What reaches the driver of `backend` for a query with a limit.
    fn sent(backend: DbBackend) -> (String, usize) {
        let query = Query::select().column("id").from("notes").and_where(Expr::col("owner").eq(7)).limit(1).take();
        let (AssertSqlSafe(sql), SqlxValues(values)) = parts(backend.build(&query));
        (sql, values.0.len())
    }

    #[test]
    fn a_limit_is_part_of_the_text_on_sqlite_alone() {
        let sqlite = r#"SELECT "id" FROM "notes" WHERE "owner" = ? LIMIT 1"#;
        assert_eq!(sent(DbBackend::Sqlite), (sqlite.to_owned(), 1));
        let postgres = r#"SELECT "id" FROM "notes" WHERE "owner" = $1 LIMIT $2"#;
        assert_eq!(sent(DbBackend::Postgres), (postgres.to_owned(), 2));
    }
}
