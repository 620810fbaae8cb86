//! One connection to the store, on which the mapper's queries run.
//!
//! The mapper's own pool handles are not used for work: they take a connection for each statement and ask it whether
//! it lives when they give it back, which on SQLite is two more hops between threads and on PostgreSQL one more round
//! trip than the statement itself needs; and a `BEGIN` that is dropped half-way goes back into their pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use sea_orm::error::RuntimeErr;
use sea_orm::sea_query::{Value, Values};
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteQueryResult};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, Executor as _};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sea_orm_migration::async_trait::async_trait;
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;

use super::guard::Guard;
use super::owned::Reach;

/// A connection to the store that one unit of work has for itself: every query of the mapper takes a reference to it.
pub struct Connection {
    backend: DbBackend,
    link: Mutex<Link>,
    /// In debug builds on SQLite.
    guard: Option<Guard>,
    /// How many statements of work it was given, with others of the store.
    statements: Arc<AtomicU64>,
}

/// A connection on which nobody waits for what statements have changed: on SQLite they go to the engine together with the
/// next query or with the end of the transaction, which fails in their place if they fail. Their results are empty there.
#[derive(Debug)]
pub struct Unanswered<'a>(&'a Connection);

enum Link {
    Sqlite(Box<Embedded>),
    Postgres(Box<PgConnection>),
}

/// The embedded engine runs each connection on a thread of its own, and the way there and back takes longer than most
/// statements. So what need not be answered by itself goes there together with what follows.
struct Embedded {
    link: SqliteConnection,
    /// A statement of ours that goes before the next.
    before: Option<&'static str>,
    /// Statements whose results do not matter, which go before the next, too.
    waiting: Vec<Statement>,
}

impl From<SqliteConnection> for Connection {
    fn from(link: SqliteConnection) -> Self {
        Self {
            backend: DbBackend::Sqlite,
            link: Mutex::new(Link::Sqlite(Box::new(link.into()))),
            guard: None,
            statements: Arc::default(),
        }
    }
}

impl From<PgConnection> for Connection {
    fn from(link: PgConnection) -> Self {
        Self {
            backend: DbBackend::Postgres,
            link: Mutex::new(Link::Postgres(Box::new(link))),
            guard: None,
            statements: Arc::default(),
        }
    }
}

impl Connection {
    /// The same connection, for statements that change something and whose results do not matter.
    #[must_use]
    pub const fn unanswered(&self) -> Unanswered<'_> {
        Unanswered(self)
    }

    /// With a guard who looks at its statements.
    pub(super) fn guarded(self, guard: Option<Guard>) -> Self {
        Self { guard, ..self }
    }

    /// Tells the guard whose rows the next work is about.
    pub(super) fn enter(&self, reach: &Reach) {
        if let Some(guard) = &self.guard {
            guard.enter(reach);
        }
    }

    /// Counts its statements by this, too.
    pub(super) fn counted(self, statements: Arc<AtomicU64>) -> Self {
        Self { statements, ..self }
    }

    fn look_at(&self, statement: &Statement) -> Result<(), DbErr> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.guard.as_ref().map_or(Ok(()), |guard| guard.check(statement))
    }

    /// Begins a transaction by a statement of ours; on SQLite together with the next statement.
    pub(super) async fn begin(&mut self, sql: &'static str) -> Result<(), DbErr> {
        match self.link.get_mut() {
            Link::Sqlite(link) => {
                link.before = Some(sql);
                Ok(())
            }
            Link::Postgres(_) => self.control(sql).await,
        }
    }

    /// Forgets what waits for the end of a transaction that is to be rolled back.
    pub(super) fn forget(&mut self) {
        if let Link::Sqlite(link) = self.link.get_mut() {
            link.waiting.clear();
        }
    }

    /// Runs statements of ours that have no values and whose results do not matter. On SQLite they stay prepared.
    pub(super) async fn control(&mut self, sql: &'static str) -> Result<(), DbErr> {
        match self.link.get_mut() {
            Link::Sqlite(link) => match link.with_waiting() {
                None => sqlx::query(sql).execute(&mut link.link).await,
                Some((before, values)) => {
                    sqlx::query_with(AssertSqlSafe(before + sql), values).execute(&mut link.link).await
                }
            }
            .map(|_| ()),
            // The simple protocol takes several statements in one round trip.
            Link::Postgres(link) => link.as_mut().execute(sql).await.map(|_| ()),
        }
        .map_err(executing)
    }

    /// As [`Connection::control`], on PostgreSQL, for statements that are made for the occasion.
    pub(super) async fn order(&mut self, sql: String) -> Result<(), DbErr> {
        match self.link.get_mut() {
            Link::Sqlite(_) => Err(DbErr::Custom("SQLite is given its statements as they are kept".to_owned())),
            Link::Postgres(link) => link.as_mut().execute(AssertSqlSafe(sql)).await.map(|_| ()).map_err(executing),
        }
    }

    /// Ends a transaction that has written nothing, and does not wait for the answer, which cannot matter: the driver
    /// takes it off the connection before the next statement.
    pub(super) fn let_go(&mut self) {
        if let Link::Postgres(link) = self.link.get_mut() {
            link.as_mut().execute("COMMIT").now_or_never();
        }
    }

    /// Asks whether the other side lives.
    pub(super) async fn ping(&mut self) -> Result<(), DbErr> {
        match self.link.get_mut() {
            Link::Sqlite(link) => link.link.ping().await,
            Link::Postgres(link) => link.ping().await,
        }
        .map_err(querying)
    }

    /// Says good-bye. Dropping a connection only hangs up.
    pub(super) async fn close(self) {
        let closed = match self.link.into_inner() {
            Link::Sqlite(link) => link.link.close().await,
            Link::Postgres(link) => link.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!(error = %error, "a connection did not close well");
        }
    }
}

impl From<SqliteConnection> for Embedded {
    fn from(link: SqliteConnection) -> Self {
        Self { link, before: None, waiting: Vec::new() }
    }
}

impl Embedded {
    /// The text of what waits, ready for more behind it, and its values.
    fn with_waiting(&mut self) -> Option<(String, SqlxValues)> {
        if self.before.is_none() && self.waiting.is_empty() {
            return None;
        }
        let (mut text, mut all) = (String::new(), Vec::new());
        if let Some(before) = self.before.take() {
            text.push_str(before);
            text.push_str("; ");
        }
        for statement in self.waiting.drain(..) {
            let (AssertSqlSafe(sql), SqlxValues(Values(values))) = parts(statement);
            text.push_str(&sql);
            text.push_str("; ");
            all.extend(values);
        }
        Some((text, SqlxValues(Values(all))))
    }

    /// A query with what waits before it: that has no rows.
    fn joined(&mut self, statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
        let (AssertSqlSafe(sql), SqlxValues(Values(values))) = parts(statement);
        match self.with_waiting() {
            None => (AssertSqlSafe(sql), SqlxValues(Values(values))),
            Some((before, SqlxValues(Values(mut all)))) => {
                all.extend(values);
                (AssertSqlSafe(before + &sql), SqlxValues(Values(all)))
            }
        }
    }

    /// Runs what waits by itself: what a statement changed would be counted together with it.
    async fn run_waiting(&mut self) -> Result<(), sqlx::Error> {
        match self.with_waiting() {
            None => Ok(()),
            Some((sql, values)) => {
                sqlx::query_with(AssertSqlSafe(sql), values).execute(&mut self.link).await.map(|_| ())
            }
        }
    }

    async fn execute(&mut self, statement: Statement) -> Result<ExecResult, sqlx::Error> {
        self.run_waiting().await?;
        let (sql, values) = parts(statement);
        sqlx::query_with(sql, values).execute(&mut self.link).await.map(ExecResult::from)
    }
}

#[async_trait]
impl ConnectionTrait for Connection {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.look_at(&statement)?;
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => link.execute(statement).await,
            Link::Postgres(link) => {
                let (sql, values) = parts(statement);
                sqlx::query_with(sql, values).execute(link.as_mut()).await.map(ExecResult::from)
            }
        }
        .map_err(executing)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.look_at(&Statement::from_string(self.backend, sql))?;
        let sql = AssertSqlSafe(sql.to_owned());
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => {
                link.run_waiting().await.map_err(executing)?;
                link.link.execute(sql).await.map(ExecResult::from)
            }
            Link::Postgres(link) => link.as_mut().execute(sql).await.map(ExecResult::from),
        }
        .map_err(executing)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.look_at(&statement)?;
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => {
                let (sql, values) = link.joined(statement);
                let row = sqlx::query_with(sql, values).fetch_optional(&mut link.link).await;
                row.map(|row| row.map(QueryResult::from))
            }
            Link::Postgres(link) => {
                let (sql, values) = parts(statement);
                let row = sqlx::query_with(sql, values).fetch_optional(link.as_mut()).await;
                row.map(|row| row.map(QueryResult::from))
            }
        }
        .map_err(querying)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.look_at(&statement)?;
        match &mut *self.link.lock().await {
            Link::Sqlite(link) => {
                let (sql, values) = link.joined(statement);
                let rows = sqlx::query_with(sql, values).fetch_all(&mut link.link).await;
                rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
            }
            Link::Postgres(link) => {
                let (sql, values) = parts(statement);
                let rows = sqlx::query_with(sql, values).fetch_all(link.as_mut()).await;
                rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
            }
        }
        .map_err(querying)
    }
}

#[async_trait]
impl ConnectionTrait for Unanswered<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.0.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        if let Link::Sqlite(link) = &mut *self.0.link.lock().await {
            self.0.look_at(&statement)?;
            link.waiting.push(statement);
            return Ok(SqliteQueryResult::default().into());
        }
        self.0.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all_raw(statement).await
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
