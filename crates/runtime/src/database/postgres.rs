//! The shared engine: a bounded pool, and a watch over the server that is behind it.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement,
    TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::error::{Class, from_sqlx};
use super::schema::{self, Standing};
use super::{DatabaseConfig, DatabaseError, Outcome};
use crate::detached::detached;

/// Times that a transaction is tried when others win.
const TRIES: u32 = 4;
/// The first wait between two tries is drawn from zero to this, the next from twice as much.
const FIRST_WAIT: Duration = Duration::from_millis(5);
/// Waits between two looks at a server that is down.
const LOOK_AGAIN: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(1);
/// "Idle" connections are asked whether they live before they are used again.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// Which lock keeps replicas from migrating at the same time; a number of our own, the same in every version.
const MIGRATION_LOCK: i64 = 0x6d69_6772_6174_6521;

const STARTING: u8 = 0;
const READY: u8 = 1;
const DOWN: u8 = 2;
const CLOSED: u8 = 3;

/// A store on a server.
#[derive(Debug)]
pub(super) struct Postgres {
    config: DatabaseConfig,
    options: PgConnectOptions,
    pool: RwLock<DatabaseConnection>,
    state: AtomicU8,
    suspect: Notify,
    closed: CancellationToken,
    commits: Arc<AtomicU64>,
}

impl Postgres {
    pub(super) async fn open<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<Arc<Self>, DatabaseError> {
        let options = options(config)?;
        let pool = pool(config, &options).await?;
        let store = Arc::new(Self {
            config: config.clone(),
            options,
            pool: RwLock::new(pool),
            state: AtomicU8::new(STARTING),
            suspect: Notify::new(),
            closed: CancellationToken::new(),
            commits: Arc::default(),
        });
        match store.look::<M>().await {
            Ok(()) => {}
            Err(error @ DatabaseError::Fault(_)) if !matches!(error, DatabaseError::Fault(DbErr::Migration(_))) => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the database cannot be used yet, trying again"
                );
                store.suspect.notify_one();
            }
        }
        tokio::spawn(Arc::clone(&store).watch::<M>());
        Ok(store)
    }

    pub(super) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseConnection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        let pool = self.usable()?;
        let result = detached(async move { work(&pool).await }).await;
        self.judge(result.map_err(|panicked| DatabaseError::fault(panicked.to_string()))?)
    }

    pub(super) async fn write<T, W>(self: &Arc<Self>, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a DatabaseTransaction) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        let pool = self.usable()?;
        let commits = Arc::clone(&self.commits);
        let result = detached(async move { transact_until_won(&pool, &work, &commits).await }).await;
        self.judge(result.map_err(|panicked| DatabaseError::fault(panicked.to_string()))?)
    }

    pub(super) async fn is_ready(&self, within: Duration) -> bool {
        let Ok(pool) = self.usable() else { return false };
        let answered = timeout(within, pool.execute_unprepared("SELECT 1")).await;
        if let Ok(Err(error)) = &answered {
            self.suspect_if_lost(error);
        }
        matches!(answered, Ok(Ok(_)))
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    pub(super) async fn close(&self) {
        self.state.store(CLOSED, Ordering::Release);
        self.closed.cancel();
        let pool = self.pool();
        pool.close_by_ref().await.ok();
    }

    fn pool(&self) -> DatabaseConnection {
        self.pool.read().expect("nobody panics while holding the pool").clone()
    }

    fn usable(&self) -> Result<DatabaseConnection, DatabaseError> {
        match self.state.load(Ordering::Acquire) {
            READY => Ok(self.pool()),
            STARTING => {
                Err(DatabaseError::unavailable("the database was not reached yet, or its schema is not in place"))
            }
            DOWN => Err(DatabaseError::unavailable("the database is down")),
            _ => Err(DatabaseError::unavailable("the store is closed")),
        }
    }

    fn judge<T>(&self, result: Result<T, DbErr>) -> Result<T, DatabaseError> {
        result.map_err(|error| {
            self.suspect_if_lost(&error);
            DatabaseError::from_db_err(error)
        })
    }

    fn suspect_if_lost(&self, error: &DbErr) {
        if Class::of(error) == Class::Lost {
            self.suspect.notify_one();
        }
    }

    /// Looks at the server whenever somebody lost a connection, and again until it answers.
    async fn watch<M: MigratorTrait + 'static>(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.closed.cancelled() => return,
                () = self.suspect.notified() => {}
            }
            let mut wait = *LOOK_AGAIN.start();
            while let Err(error) = self.look::<M>().await {
                let was = self.state.compare_exchange(READY, DOWN, Ordering::AcqRel, Ordering::Acquire);
                if was.is_ok() {
                    tracing::error!(error = &error as &dyn std::error::Error, "the database is down");
                }
                tokio::select! {
                    () = self.closed.cancelled() => return,
                    () = sleep(jittered(wait)) => {}
                }
                wait = (wait * 2).min(*LOOK_AGAIN.end());
            }
        }
    }

    /// Asks the server whether it can be used, and begins with new connections if so: the old ones may be dead.
    async fn look<M: MigratorTrait + 'static>(&self) -> Result<(), DatabaseError> {
        let reached = timeout(self.config.connect_timeout, self.options.connect()).await;
        let reached = reached.map_err(|_| DatabaseError::unavailable("no connection to the database in time"))?;
        reached.map_err(from_sqlx)?.close().await.ok();
        let pool = pool(&self.config, &self.options).await?;
        bring_up::<M>(&pool, self.config.migrate_on_start).await?;
        let old = std::mem::replace(&mut *self.pool.write().expect("nobody panics while holding the pool"), pool);
        tokio::spawn(async move { old.close_by_ref().await });
        let was = self.state.swap(READY, Ordering::AcqRel);
        if was == CLOSED {
            self.state.store(CLOSED, Ordering::Release);
        } else if was != READY {
            tracing::info!("the database is up");
        }
        Ok(())
    }
}

pub(super) async fn migrate<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<(), DatabaseError> {
    let pool = pool(config, &options(config)?).await?;
    let done = bring_up::<M>(&pool, true).await;
    pool.close().await.ok();
    done
}

async fn bring_up<M: MigratorTrait + 'static>(pool: &DatabaseConnection, migrate: bool) -> Result<(), DatabaseError> {
    let standing = schema::check::<M>(pool).await?;
    if !matches!(standing, Standing::Older(_)) {
        return standing.check();
    }
    if !migrate {
        return match standing.check() {
            Err(DatabaseError::Fault(source)) => Err(DatabaseError::Unavailable(source)),
            other => other,
        };
    }
    let transaction = pool.begin().await.map_err(DatabaseError::from_db_err)?;
    // Migrations may take long; whoever waits for another replica's waits at most a minute, then looks again.
    transaction
        .execute_unprepared("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'")
        .await
        .map_err(DatabaseError::from_db_err)?;
    let lock = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT pg_advisory_xact_lock($1)",
        [MIGRATION_LOCK.into()],
    );
    transaction.query_one_raw(lock).await.map_err(DatabaseError::from_db_err)?;
    schema::upgrade::<M>(&transaction).await?;
    transaction.commit().await.map_err(DatabaseError::from_db_err)
}

/// Tries again while others win.
async fn transact_until_won<T, W>(pool: &DatabaseConnection, work: &W, commits: &AtomicU64) -> Result<T, DbErr>
where
    W: for<'a> Fn(&'a DatabaseTransaction) -> BoxFuture<'a, Result<Outcome<T>, DbErr>>,
{
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match transact(pool, work, commits).await {
            Err(error) if Class::of(&error) == Class::Contended => sleep(jittered(wait)).await,
            result => return result,
        }
        wait *= 2;
    }
    transact(pool, work, commits).await
}

async fn transact<T, W>(pool: &DatabaseConnection, work: &W, commits: &AtomicU64) -> Result<T, DbErr>
where
    W: for<'a> Fn(&'a DatabaseTransaction) -> BoxFuture<'a, Result<Outcome<T>, DbErr>>,
{
    let transaction = pool.begin().await?;
    match work(&transaction).await {
        Ok(Outcome::Commit(value)) => {
            transaction.commit().await?;
            commits.fetch_add(1, Ordering::AcqRel);
            Ok(value)
        }
        Ok(Outcome::Rollback(value)) => transaction.rollback().await.map(|()| value),
        Err(error) => {
            transaction.rollback().await.ok();
            Err(error)
        }
    }
}

/// A wait drawn from zero to `most`, so that those who met once do not meet again.
fn jittered(most: Duration) -> Duration {
    let drawn = u32::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff).unwrap_or(0);
    most * drawn / 0xffff
}

fn options(config: &DatabaseConfig) -> Result<PgConnectOptions, DatabaseError> {
    // The error is not passed on: it may hold what it could not parse.
    let options = PgConnectOptions::from_str(config.url.expose())
        .map_err(|_| DatabaseError::fault("the database URL is not a postgres:// URL"))?;
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_stem()).map(|name| name.to_string_lossy().into_owned());
    Ok(options
        .application_name(program.as_deref().unwrap_or("service"))
        .options([("statement_timeout", config.statement_timeout.as_millis().to_string())])
        .statement_cache_capacity(256)
        .disable_statement_logging())
}

async fn pool(config: &DatabaseConfig, options: &PgConnectOptions) -> Result<DatabaseConnection, DatabaseError> {
    let options = options.clone();
    // The real options come in below: those that are given here are printed at level TRACE, password and all.
    let mut pool = ConnectOptions::new("postgres://server");
    pool.max_connections(config.connections)
        .acquire_timeout(config.acquire_timeout)
        .max_lifetime(config.max_lifetime)
        .idle_timeout(Duration::from_secs(600))
        .test_before_acquire_if_idle_for(ASK_AFTER)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .connect_lazy(true)
        .map_sqlx_postgres_opts(move |_| options.clone())
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|connection, _| {
                Box::pin(async move {
                    // What was acknowledged must be on disk, whatever the server's default is.
                    let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                                   WHERE current_setting('synchronous_commit') = 'off'";
                    sqlx::Executor::execute(connection, durable).await.map(|_| ())
                })
            })
        });
    sea_orm::Database::connect(pool).await.map_err(DatabaseError::from_db_err)
}
