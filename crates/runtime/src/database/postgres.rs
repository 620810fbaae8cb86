//! The shared engine: a bounded pool, and a watch over the server that is behind it.
//!
//! Connections carry settings of their session and prepared statements: a pooler between here and the server must work
//! per session, not per transaction.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{ConnectOptions as _, Executor as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::error::{Class, connecting};
use super::owned::Reach;
use super::pool::{Around, Bounds, Connect, Pool, Probe, overdue};
use super::row_security;
use super::schema::{self, Standing};
use super::transactions::{Transactions, jittered};
use super::{DatabaseConfig, DatabaseError, Outcome};
use crate::causes::Causes;
use crate::detached::detached;

/// All statements see the state at the first one.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Waits between two looks at a server that is down, drawn from half of it to all.
const LOOK_AGAIN: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(1);
/// A connection that was unused for this long may have lost its server.
const DOUBT_AFTER: Duration = Duration::from_secs(1);
/// Keeps replicas from migrating at the same time; a number of our own, the same in every version.
pub(super) const MIGRATION_LOCK: i64 = 0x6d69_6772_6174_6521;

/// A store on a server.
#[derive(Debug)]
pub(super) struct Postgres {
    config: DatabaseConfig,
    options: PgConnectOptions,
    pool: Arc<Pool>,
    probe: Probe,
    state: watch::Sender<State>,
    /// Somebody lost a connection.
    suspect: Arc<Notify>,
    closed: CancellationToken,
    commits: Arc<AtomicU64>,
    statements: Arc<AtomicU64>,
}

/// Where the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not reached yet, or its schema is not in place.
    Starting,
    Ready,
    Down,
    Closed,
}

impl Postgres {
    pub(super) async fn open<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<Arc<Self>, DatabaseError> {
        let store = Self::new(config)?;
        if let Err(error) = store.look::<M>().await {
            if matches!(error, DatabaseError::Fault(_)) {
                return Err(error);
            }
            tracing::warn!(
                error = %Causes(&error),
                "the database cannot be used yet: trying again in the background"
            );
            store.suspect.notify_one();
        }
        tokio::spawn(watch::<M>(Arc::downgrade(&store), Arc::clone(&store.suspect), store.closed.clone()));
        Ok(store)
    }

    /// Opens a store that is there and in order now, or says why not.
    pub(super) async fn join<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<Arc<Self>, DatabaseError> {
        let store = Self::new(config)?;
        bring_up::<M>(&store.config, &store.options, false).await?;
        store.goes([State::Starting], State::Ready);
        Ok(store)
    }

    fn new(config: &DatabaseConfig) -> Result<Arc<Self>, DatabaseError> {
        let options = options(config)?;
        let bounds = Bounds {
            size: config.connections,
            wait: config.acquire_timeout,
            lifetime: config.max_lifetime,
            doubt_after: DOUBT_AFTER,
            work: config.work_timeout,
        };
        let statements = Arc::default();
        Ok(Arc::new(Self {
            config: config.clone(),
            pool: Pool::new(bounds, connector(config, sessions(config, &options), &statements)),
            probe: Probe::new(connector(config, options.clone(), &Arc::default())),
            statements,
            options,
            state: watch::Sender::new(State::Starting),
            suspect: Arc::default(),
            closed: CancellationToken::new(),
            commits: Arc::default(),
        }))
    }

    /// Reads; a statement by itself needs no transaction but to tell the engine whose rows it is about.
    pub(super) async fn read<T, W>(&self, reach: &Reach, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        let admission = self.admission(reach);
        let around = (!admission.is_empty()).then(|| Around::Made { before: format!("BEGIN READ ONLY{admission}") });
        self.read_around(around, work).await
    }

    pub(super) async fn snapshot<T, W>(&self, reach: &Reach, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        let before = format!("{SNAPSHOT}{}", self.admission(reach));
        self.read_around(Some(Around::Made { before }), work).await
    }

    fn admission(&self, reach: &Reach) -> String {
        self.config.row_security.as_ref().map(|security| security.admission(reach)).unwrap_or_default()
    }

    async fn read_around<T, W>(&self, around: Option<Around>, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        self.usable()?;
        let result = detached(Arc::clone(&self.pool).run(around, work)).await;
        self.judge(result.map_err(|panicked| DatabaseError::fault(panicked.to_string()))?)
    }

    pub(super) async fn write<T, W>(&self, reach: Reach, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        self.usable()?;
        let transactions = Transactions {
            pool: Arc::clone(&self.pool),
            within: self.config.work_timeout,
            security: self.config.row_security.clone(),
            reach,
            commits: Arc::clone(&self.commits),
        };
        let result = detached(async move { transactions.until_won(&work).await }).await;
        self.judge(result.map_err(|panicked| DatabaseError::fault(panicked.to_string()))?)
    }

    pub(super) async fn is_ready(&self, within: Duration) -> bool {
        self.usable().is_ok() && self.judge(self.probe.ask(within).await).is_ok()
    }

    /// Returns when it can be used, or never will be.
    pub(super) async fn ready(&self) {
        self.state.subscribe().wait_for(|state| matches!(state, State::Ready | State::Closed)).await.ok();
    }

    /// What a connection beside the pool is opened with, and how long that may take.
    pub(super) fn to_listen(&self) -> (PgConnectOptions, Duration) {
        (self.options.clone(), self.config.connect_timeout)
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        self.state.send_replace(State::Closed);
        self.closed.cancel();
        self.pool.close(self.config.work_timeout).await;
        self.probe.close(self.config.connect_timeout).await;
    }

    fn usable(&self) -> Result<(), DatabaseError> {
        let state = *self.state.borrow();
        Err(DatabaseError::unavailable(match state {
            State::Ready => return Ok(()),
            State::Starting => "the database was not reached yet, or its schema is not in place",
            State::Down => "the database is down",
            State::Closed => "the store is closed",
        }))
    }

    fn judge<T>(&self, result: Result<T, DbErr>) -> Result<T, DatabaseError> {
        result.map_err(|error| {
            if Class::of(&error) == Class::Lost {
                self.suspect.notify_one();
            }
            DatabaseError::from_db_err(error)
        })
    }

    /// Asks the server whether it can be used, and begins with new connections if so, for the old ones may be dead.
    async fn look<M: MigratorTrait + 'static>(&self) -> Result<(), DatabaseError> {
        bring_up::<M>(&self.config, &self.options, self.config.migrate_on_start).await?;
        self.pool.renew();
        if self.goes([State::Starting, State::Down], State::Ready) {
            tracing::info!("the database can be used");
        }
        Ok(())
    }

    /// Goes to `to` if it is in one of `from`, and says whether it did.
    fn goes<const N: usize>(&self, from: [State; N], to: State) -> bool {
        self.state.send_if_modified(|state| {
            let goes = from.contains(state);
            if goes {
                *state = to;
            }
            goes
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// Looks at the server whenever somebody lost a connection, and again until it can be used. Does not keep the store.
async fn watch<M: MigratorTrait + 'static>(store: Weak<Postgres>, suspect: Arc<Notify>, closed: CancellationToken) {
    while closed.run_until_cancelled(suspect.notified()).await.is_some() {
        let mut wait = *LOOK_AGAIN.start();
        loop {
            let Some(store) = store.upgrade() else { return };
            let Some(Err(error)) = closed.run_until_cancelled(store.look::<M>()).await else { break };
            if store.goes([State::Ready], State::Down) {
                tracing::error!(error = %Causes(&error), "the database is down: trying again in the background");
            } else {
                tracing::debug!(error = %Causes(&error), "the database still cannot be used");
            }
            drop(store);
            if closed.run_until_cancelled(sleep(wait / 2 + jittered(wait / 2))).await.is_none() {
                return;
            }
            wait = (wait * 2).min(*LOOK_AGAIN.end());
        }
    }
}

/// Brings the schema up to date, whatever the settings say about it.
pub(super) async fn migrate<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<(), DatabaseError> {
    bring_up::<M>(config, &options(config)?, true).await
}

async fn bring_up<M: MigratorTrait + 'static>(
    config: &DatabaseConfig,
    options: &PgConnectOptions,
    migrate: bool,
) -> Result<(), DatabaseError> {
    reach(config, options).await.map_err(DatabaseError::from_db_err)?;
    let store = mapper(config, options).await.map_err(DatabaseError::from_db_err)?;
    let done = match schema::check::<M>(&store).await {
        Ok(Standing::Older(_)) if migrate => upgrade_alone::<M>(&store).await,
        // Somebody else will bring it up; until then the store waits.
        Ok(standing @ Standing::Older(_)) => standing.check().map_err(|error| match error {
            DatabaseError::Fault(source) => DatabaseError::Unavailable(source),
            other => other,
        }),
        Ok(standing) => standing.check(),
        Err(error) => Err(error),
    };
    let done = match &config.row_security {
        Some(security) if done.is_ok() => security.stand(&store, migrate).await,
        _ => done,
    };
    store.close().await.ok();
    done
}

/// Whether the server lets us in. The mapper's pool waits for one that refuses, and does not say why; this returns at
/// once.
async fn reach(config: &DatabaseConfig, options: &PgConnectOptions) -> Result<(), DbErr> {
    let first = timeout(config.connect_timeout, options.connect()).await.map_err(|_| overdue())?;
    Connection::from(first.map_err(connecting)?).close().await;
    Ok(())
}

/// Applies what is missing under a lock that a crash releases; every migration is in the one transaction.
async fn upgrade_alone<M: MigratorTrait + 'static>(store: &DatabaseConnection) -> Result<(), DatabaseError> {
    let transaction = store.begin().await.map_err(DatabaseError::from_db_err)?;
    let lock = "SELECT pg_advisory_xact_lock($1)";
    let lock = Statement::from_sql_and_values(DbBackend::Postgres, lock, [MIGRATION_LOCK.into()]);
    transaction.query_one_raw(lock).await.map_err(DatabaseError::from_db_err)?;
    schema::upgrade::<M>(&transaction).await?;
    transaction.commit().await.map_err(DatabaseError::from_db_err)
}

fn options(config: &DatabaseConfig) -> Result<PgConnectOptions, DatabaseError> {
    // The error is not passed on: it may hold what it could not parse.
    let options = PgConnectOptions::from_str(config.url.expose())
        .map_err(|_| DatabaseError::fault("the database URL is not a postgres:// URL"))?;
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_stem()).map(|name| name.to_string_lossy().into_owned());
    Ok(options
        .application_name(program.as_deref().unwrap_or("service"))
        .statement_cache_capacity(256)
        .disable_statement_logging())
}

/// Sessions of the pool: what reads cannot write, and nothing stays for ever.
fn sessions(config: &DatabaseConfig, options: &PgConnectOptions) -> PgConnectOptions {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let mut sessions = vec![
        ("default_transaction_read_only", "on".to_owned()),
        ("statement_timeout", milliseconds(config.statement_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(config.work_timeout)),
    ];
    match &config.row_security {
        // A plan that is made without the owner locks the partitions of all.
        Some(security) => sessions
            .extend([("role", security.role.as_str().to_owned()), ("plan_cache_mode", "force_custom_plan".to_owned())]),
        None => sessions.push((row_security::UPKEEP.0, row_security::UPKEEP.1.to_owned())),
    }
    options.clone().options(sessions)
}

fn connector(config: &DatabaseConfig, options: PgConnectOptions, statements: &Arc<AtomicU64>) -> Connect {
    let (within, statements) = (config.connect_timeout, Arc::clone(statements));
    Box::new(move || {
        let (options, statements) = (options.clone(), Arc::clone(&statements));
        Box::pin(async move {
            let connected = timeout(within, async {
                let mut connection = options.connect().await?;
                // What was acknowledged must be on disk, whatever the server's or the role's default is.
                let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                               WHERE current_setting('synchronous_commit') = 'off'";
                connection.execute(durable).await?;
                Ok(connection)
            });
            let connected = connected.await.map_err(|_| overdue())?;
            connected.map(|link| Connection::from(link).counted(statements)).map_err(connecting)
        })
    })
}

/// The mapper's own handle on the server, which its migrations need. They may take long; who waits for those of
/// another replica gives up after a minute and looks again.
async fn mapper(config: &DatabaseConfig, options: &PgConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let options = options.clone().options([("statement_timeout", "0"), ("lock_timeout", "60s"), row_security::UPKEEP]);
    // The real options come in below: those that are given here are printed at level TRACE, password and all.
    let mut pool = ConnectOptions::new("postgres://server");
    pool.max_connections(1)
        .acquire_timeout(config.connect_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_postgres_opts(move |_| options.clone());
    sea_orm::Database::connect(pool).await
}
