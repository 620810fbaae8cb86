//! The embedded engine: one file, one process, one writer, several readers.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait;

use super::connection::Connection;
use super::error::connecting;
use super::guard::{Guard, Tables};
use super::lane::Lane;
use super::owned::Reach;
use super::pool::{Around, Bounds, Connect, Pool, Probe};
use super::schema::{self, Standing};
use super::{DatabaseConfig, DatabaseError, Outcome};
use crate::detached::detached;

/// A file is read through once at start if it is no larger than this: below a second on a slow disk.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;
/// The log is cut back to this size after a checkpoint.
const WAL_BYTES: &str = "67108864";

/// A checkpoint takes the log into the file when it holds this many pages, 16 MiB: a page that many commits touched is
/// then written once for all of them.
const WAL_PAGES: &str = "4096";

/// A transaction that only reads sees one state.
pub(super) const SNAPSHOT: Around = Around::Kept { before: "BEGIN", after: "COMMIT" };
/// Work that reads may take this long to end when the store is closed.
const READERS_END: Duration = Duration::from_secs(5);

/// An open file.
#[derive(Debug)]
pub(super) struct Sqlite {
    readers: Arc<Pool>,
    probe: Probe,
    lane: Lane,
    statements: Arc<AtomicU64>,
    /// Kept while the file is open; the last field, for it goes last.
    lock: Mutex<Option<File>>,
}

impl Sqlite {
    pub(super) async fn open<M: MigratorTrait + 'static>(
        config: &DatabaseConfig,
        migrate: bool,
    ) -> Result<Self, DatabaseError> {
        let path = prepare_folder(&config.sqlite_path()?)?;
        let lock = lock(&path)?;
        make_file(&path).await?;
        prepare::<M>(config, &path, migrate).await?;
        Self::connect(config, &path, Some(lock)).await
    }

    /// Opens a file that another process may have open, without its lock, and changes nothing about the file itself.
    pub(super) async fn join<M: MigratorTrait + 'static>(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let path = config.sqlite_path()?;
        let named = |error: std::io::Error| DatabaseError::fault(format!("{}: {error}", path.display()));
        let path = path.canonicalize().map_err(named)?;
        let first = mapper(options(config, &path)).await.map_err(|error| damaged(&path, error))?;
        let checked = match check_engine(&first).await {
            Ok(()) => schema::check::<M>(&first).await.and_then(|standing| standing.check()),
            Err(error) => Err(error),
        };
        first.close().await.map_err(DatabaseError::from_db_err)?;
        checked?;
        Self::connect(config, &path, None).await
    }

    async fn connect(config: &DatabaseConfig, path: &Path, lock: Option<File>) -> Result<Self, DatabaseError> {
        let reading = options(config, path).pragma("query_only", "on");
        let statements = Arc::default();
        let guarded = guarded(config, path).await.map_err(DatabaseError::from_db_err)?;
        let readers = Pool::new(bounds(config), connector(reading.clone(), guarded.clone(), &statements));
        let probe = Probe::new(connector(reading, None, &Arc::default()));
        readers.fill().await.map_err(DatabaseError::from_db_err)?;
        let connect = connector(options(config, path), guarded, &statements);
        let writer = connect().await.map_err(DatabaseError::from_db_err)?;
        let lane =
            Lane::start(writer, connect, config).map_err(|error| DatabaseError::unavailable(error.to_string()))?;
        Ok(Self { readers, probe, lane, statements, lock: Mutex::new(lock) })
    }

    pub(super) async fn read<T, W>(&self, reach: Reach, around: Option<Around>, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
    {
        let work = entered_once(move |connection| {
            connection.enter(&reach);
            work(connection)
        });
        let result = detached(Arc::clone(&self.readers).run(around, work)).await;
        result.map_err(|panicked| DatabaseError::fault(panicked.to_string()))?.map_err(DatabaseError::from_db_err)
    }

    pub(super) async fn write<T, W>(&self, reach: Reach, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        let work = entered(move |connection| {
            connection.enter(&reach);
            work(connection)
        });
        self.lane.write(work).await
    }

    pub(super) async fn is_ready(&self, within: Duration) -> bool {
        self.lane.is_open() && self.probe.ask(within).await.is_ok()
    }

    pub(super) fn commits(&self) -> u64 {
        self.lane.commits()
    }

    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        self.readers.close(READERS_END).await;
        self.probe.close(READERS_END).await;
        self.lane.close().await;
        self.lock.lock().expect("nobody panics while holding the lock").take();
    }
}

/// Says of a closure that it takes a connection of any lifetime.
const fn entered_once<T, W>(work: W) -> W
where
    W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
{
    work
}

/// As [`entered_once`].
const fn entered<T, W>(work: W) -> W
where
    W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
{
    work
}

/// Checks the library, the settings and the file, and brings the schema up to date, on a connection of its own.
async fn prepare<M: MigratorTrait + 'static>(
    config: &DatabaseConfig,
    path: &Path,
    migrate: bool,
) -> Result<(), DatabaseError> {
    let first = mapper(options(config, path)).await.map_err(|error| damaged(path, error))?;
    check_engine(&first).await?;
    check_file(&first, path).await?;
    let done = bring_up::<M>(&first, migrate).await;
    first.close().await.map_err(DatabaseError::from_db_err)?;
    done
}

/// Makes the folder, for this user alone, and returns the file's own name, so that two names of one file share a lock.
fn prepare_folder(path: &Path) -> Result<PathBuf, DatabaseError> {
    let named = |error: std::io::Error| DatabaseError::fault(format!("{}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(named)?;
    if path.exists() {
        return path.canonicalize().map_err(named);
    }
    let name = path.file_name().ok_or_else(|| DatabaseError::fault("the database URL names a folder"))?;
    Ok(folder.canonicalize().map_err(named)?.join(name))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Keeps other processes out as long as the returned file is open. The system lets go of it when the process ends,
/// however it ends.
fn lock(path: &Path) -> Result<File, DatabaseError> {
    let path = beside(path, ".lock");
    let named = |error: std::io::Error| DatabaseError::fault(format!("{}: {error}", path.display()));
    let file = private().create(true).truncate(false).open(&path).map_err(named)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DatabaseError::fault(format!(
            "another process has this store open ({} is locked): stop it first, or use PostgreSQL for several processes",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(named(error)),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a new store under another name and moves it into place, so that an empty file is never a store that was
/// just being made: it is one that lost its content, and is refused.
async fn make_file(path: &Path) -> Result<(), DatabaseError> {
    let named = |error: std::io::Error| DatabaseError::fault(format!("{}: {error}", path.display()));
    if path.exists() {
        let size = path.metadata().map_err(named)?.len();
        return if size > 0 { Ok(()) } else { Err(damaged(path, DbErr::Custom("it is empty".to_owned()))) };
    }
    if let Some(left) = ["-wal", "-journal"].map(|suffix| beside(path, suffix)).into_iter().find(|left| left.exists()) {
        return Err(DatabaseError::fault(format!(
            "{} is missing, but its log {} is there: restore the file, or move the log away to begin anew",
            path.display(),
            left.display()
        )));
    }
    let new = beside(path, ".new");
    drop(private().create(true).truncate(true).open(&new).map_err(named)?);
    // Sets the journal mode, which writes the file's first page.
    let made = SqliteConnectOptions::new().filename(&new).journal_mode(SqliteJournalMode::Wal).connect().await;
    let closed = match made {
        Ok(made) => made.close().await,
        Err(error) => Err(error),
    };
    closed.map_err(|error| DatabaseError::from_db_err(connecting(error)))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(named)?;
    std::fs::rename(&new, path).map_err(named)?;
    #[cfg(unix)]
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()).map_err(named)?;
    Ok(())
}

fn damaged(path: &Path, error: DbErr) -> DatabaseError {
    match DatabaseError::from_db_err(error) {
        DatabaseError::Fault(source) => DatabaseError::fault(format!(
            "{} is damaged, or no SQLite database, and is left as it is: restore a backup, or move it away to begin anew ({source})",
            path.display()
        )),
        other => other,
    }
}

fn options(config: &DatabaseConfig, path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", format!("-{}", config.cache_bytes / 1024))
        .pragma("mmap_size", config.mmap_bytes.to_string())
        .pragma("journal_size_limit", WAL_BYTES)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        // A statement that writes several rows keeps what it replaces until it ends: in memory, not in a file of its own.
        .pragma("temp_store", "memory")
        .pragma("trusted_schema", "off")
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

fn bounds(config: &DatabaseConfig) -> Bounds {
    Bounds {
        size: config.readers,
        wait: config.acquire_timeout,
        lifetime: Duration::MAX,
        doubt_after: Duration::MAX,
        work: config.work_timeout,
    }
}

fn connector(options: SqliteConnectOptions, guarded: Option<Guarded>, statements: &Arc<AtomicU64>) -> Connect {
    let statements = Arc::clone(statements);
    Box::new(move || {
        let (options, statements) = (options.clone(), Arc::clone(&statements));
        let guard = guarded.as_ref().map(|Guarded { tables, walked }| Guard::new(Arc::clone(tables), walked));
        Box::pin(async move {
            let link = options.connect().await.map_err(connecting)?;
            Ok(Connection::from(link).guarded(guard).counted(statements))
        })
    })
}

/// What is guarded in debug builds.
#[derive(Clone)]
struct Guarded {
    tables: Tables,
    /// The table that a walk may read.
    walked: &'static str,
}

/// Looks which tables have owners, if statements are to be looked at.
async fn guarded(config: &DatabaseConfig, path: &Path) -> Result<Option<Guarded>, DbErr> {
    const OWNED: &str = "SELECT t.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c \
                         WHERE t.type = 'table' AND c.name = 'owner_id'";
    let Some(security) = config.row_security.as_ref().filter(|_| cfg!(debug_assertions)) else { return Ok(None) };
    let connection = connector(options(config, path), None, &Arc::default())().await?;
    let rows = connection.query_all_raw(Statement::from_string(DbBackend::Sqlite, OWNED)).await?;
    let tables: Result<Vec<String>, DbErr> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
    connection.close().await;
    Ok(Some(Guarded { tables: tables?.into(), walked: security.walked }))
}

/// The mapper's own handle on the file, which its migrations need.
async fn mapper(options: SqliteConnectOptions) -> Result<DatabaseConnection, DbErr> {
    // The real options come in below: those that are given here are printed at level TRACE.
    let mut pool = ConnectOptions::new("sqlite://store");
    pool.max_connections(1)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_opts(move |_| options.clone());
    sea_orm::Database::connect(pool).await
}

/// Refuses libraries that lose data with several connections, and settings that did not take.
async fn check_engine(store: &DatabaseConnection) -> Result<(), DatabaseError> {
    let version: String = ask(store, "SELECT sqlite_version()").await?;
    if !is_sound(&version) {
        return Err(DatabaseError::fault(format!(
            "SQLite {version} may lose commits: at least 3.51.3 is needed, and not 3.52.0"
        )));
    }
    let synchronous: i64 = ask(store, "PRAGMA synchronous").await?;
    let journal: String = ask(store, "PRAGMA journal_mode").await?;
    if synchronous < 2 || journal != "wal" {
        return Err(DatabaseError::fault(format!(
            "the file does not take synchronous=FULL and the write-ahead log (got {synchronous} and {journal})"
        )));
    }
    Ok(())
}

/// Source: the WAL-reset bug of <https://sqlite.org/wal.html>, repaired in 3.51.3; 3.52.0 was withdrawn.
fn is_sound(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    parts >= vec![3, 51, 3] && parts != [3, 52, 0]
}

async fn check_file(store: &DatabaseConnection, path: &Path) -> Result<(), DatabaseError> {
    let small = path.metadata().is_ok_and(|metadata| metadata.len() <= CHECKED_BYTES);
    let question =
        if small { "PRAGMA quick_check(1)" } else { "SELECT 'ok' FROM (SELECT count(*) FROM sqlite_schema)" };
    let answer: String = match ask(store, question).await {
        Ok(answer) => answer,
        Err(DatabaseError::Fault(source)) => return Err(damaged(path, source)),
        Err(other) => return Err(other),
    };
    if answer == "ok" { Ok(()) } else { Err(damaged(path, DbErr::Custom(answer))) }
}

async fn ask<T: sea_orm::TryGetable>(connection: &DatabaseConnection, sql: &str) -> Result<T, DatabaseError> {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await;
    let row = row.map_err(DatabaseError::from_db_err)?;
    let row = row.ok_or_else(|| DatabaseError::fault(format!("no answer to {sql}")))?;
    row.try_get_by_index(0).map_err(DatabaseError::from_db_err)
}

/// The lock on the file keeps others out meanwhile.
async fn bring_up<M: MigratorTrait + 'static>(store: &DatabaseConnection, migrate: bool) -> Result<(), DatabaseError> {
    let standing = schema::check::<M>(store).await?;
    if !(migrate && matches!(standing, Standing::Older(_))) {
        return standing.check();
    }
    let transaction = store.begin().await.map_err(DatabaseError::from_db_err)?;
    schema::upgrade::<M>(&transaction).await?;
    transaction.commit().await.map_err(DatabaseError::from_db_err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_loses_commits_is_refused() {
        for (version, sound) in [
            ("3.51.2", false),
            ("3.51.3", true),
            ("3.52.0", false),
            ("3.52.1", true),
            ("3.46.0", false),
            ("4.0.0", true),
        ] {
            assert_eq!(is_sound(version), sound, "{version}");
        }
    }
}
