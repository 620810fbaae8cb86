//! The one writer of a SQLite file: whatever waits shares the next commit, each unit of work in its own savepoint.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
};
use tokio::sync::{mpsc, oneshot};

use super::error::Class;
use super::{DatabaseError, Outcome};

/// The door to the writer.
#[derive(Debug)]
pub(super) struct Lane {
    queue: mpsc::Sender<Request>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Set when the disk failed to keep what it was told to keep; see [`Class::Untrusted`].
    stopped: AtomicBool,
    commits: AtomicU64,
}

enum Request {
    Work(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// Opens a new writer connection.
pub(super) type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<DatabaseConnection, DbErr>> + Send + Sync>;

impl Lane {
    /// Starts the writer. It ends with [`Lane::close`], or when the last door is dropped.
    pub(super) fn start(writer: DatabaseConnection, connect: Connect, queue: usize, group: usize) -> Self {
        let (sender, receiver) = mpsc::channel(queue);
        let state = Arc::new(State::default());
        let lane = Writer { writer, connect, state: Arc::clone(&state), broken: false };
        tokio::spawn(lane.run(receiver, group));
        Self { queue: sender, state }
    }

    /// Runs `work` and returns after its commit is durable. Goes on though the caller has gone.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a DatabaseTransaction) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        if self.is_stopped() {
            return Err(DatabaseError::unavailable("writing stopped after the disk failed"));
        }
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Unit { work, value: None, answer });
        self.queue.try_send(Request::Work(job)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DatabaseError::unavailable("too much work waits for the writer"),
            mpsc::error::TrySendError::Closed(_) => DatabaseError::unavailable("the store is closed"),
        })?;
        answered.await.unwrap_or_else(|_| Err(DatabaseError::unavailable("the writer ended")))
    }

    /// Runs what waits, checkpoints the log into the file and ends.
    pub(super) async fn close(&self) {
        let (closed, wait) = oneshot::channel();
        if self.queue.send(Request::Close(closed)).await.is_ok() {
            wait.await.ok();
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.stopped.load(Ordering::Acquire)
    }

    /// How many transactions were committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.state.commits.load(Ordering::Acquire)
    }
}

/// A unit of work whose type of result the writer need not know.
trait Job: Send {
    fn run<'a>(&'a mut self, transaction: &'a DatabaseTransaction) -> BoxFuture<'a, Result<Decision, DbErr>>;
    fn finish(self: Box<Self>, result: Result<(), DatabaseError>);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Commit,
    Rollback,
}

struct Unit<T, W> {
    work: W,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, DatabaseError>>,
}

impl<T, W> Job for Unit<T, W>
where
    T: Send + 'static,
    W: for<'a> Fn(&'a DatabaseTransaction) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
{
    fn run<'a>(&'a mut self, transaction: &'a DatabaseTransaction) -> BoxFuture<'a, Result<Decision, DbErr>> {
        Box::pin(async move {
            self.value = None;
            let work = AssertUnwindSafe(async { (self.work)(transaction).await }).catch_unwind();
            let outcome = work.await.map_err(|_panic| DbErr::Custom("the work panicked".to_owned()))??;
            let (value, decision) = match outcome {
                Outcome::Commit(value) => (value, Decision::Commit),
                Outcome::Rollback(value) => (value, Decision::Rollback),
            };
            self.value = Some(value);
            Ok(decision)
        })
    }

    fn finish(self: Box<Self>, result: Result<(), DatabaseError>) {
        let lost = || DatabaseError::fault("the work has no result");
        // Nobody may be waiting any more.
        let Self { value, answer, .. } = *self;
        answer.send(result.and_then(|()| value.ok_or_else(lost))).ok();
    }
}

struct Writer {
    writer: DatabaseConnection,
    connect: Connect,
    state: Arc<State>,
    /// Whether the connection may be inside a transaction that is not ours.
    broken: bool,
}

/// What became of a group.
enum Grouped {
    /// Committed; the failed ones of the group are named by their error.
    Committed(Vec<Result<(), DbErr>>),
    /// Nothing was kept, so that each may run alone.
    Undone(DbErr),
    /// It is not known what was kept.
    Unknown(DbErr),
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>, group: usize) {
        let mut requests = Vec::with_capacity(group);
        let mut closing = Vec::new();
        while queue.recv_many(&mut requests, group).await > 0 {
            let mut jobs = Vec::with_capacity(requests.len());
            for request in requests.drain(..) {
                match request {
                    Request::Work(job) => jobs.push(job),
                    Request::Close(closed) => {
                        queue.close();
                        closing.push(closed);
                    }
                }
            }
            self.answer(jobs).await;
        }
        self.end().await;
        for closed in closing {
            closed.send(()).ok();
        }
    }

    /// Runs `jobs` in one transaction, and if that fails for all of them and undid everything, each in its own.
    async fn answer(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        match self.group(&mut jobs).await {
            Grouped::Committed(results) => {
                for (job, result) in jobs.into_iter().zip(results) {
                    job.finish(result.map_err(DatabaseError::from_db_err));
                }
            }
            Grouped::Undone(_) if jobs.len() > 1 => {
                for job in jobs {
                    Box::pin(self.answer(vec![job])).await;
                }
            }
            Grouped::Undone(error) | Grouped::Unknown(error) => {
                for job in jobs {
                    job.finish(Err(DatabaseError::from_db_err(error.clone())));
                }
            }
        }
    }

    async fn group(&mut self, jobs: &mut [Box<dyn Job>]) -> Grouped {
        let transaction = match self.begin().await {
            Ok(transaction) => transaction,
            Err(error) => return self.failed(error, Grouped::Undone),
        };
        if let [job] = jobs {
            return match job.run(&transaction).await {
                Ok(Decision::Commit) => self.commit(transaction, vec![Ok(())]).await,
                Ok(Decision::Rollback) => self.roll_back(transaction, Ok(())).await,
                Err(error) => self.roll_back(transaction, Err(error)).await,
            };
        }
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            match in_savepoint(&transaction, job.as_mut()).await {
                Ok(result) => results.push(result),
                // The engine rolled the whole transaction back, as it does on a full disk.
                Err(error) => return self.failed(error, Grouped::Undone),
            }
        }
        self.commit(transaction, results).await
    }

    async fn begin(&mut self) -> Result<DatabaseTransaction, DbErr> {
        if self.broken {
            self.writer = (self.connect)().await?;
            self.broken = false;
        }
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(immediate).await
    }

    async fn commit(&mut self, transaction: DatabaseTransaction, results: Vec<Result<(), DbErr>>) -> Grouped {
        match transaction.commit().await {
            Ok(()) => {
                self.state.commits.fetch_add(1, Ordering::AcqRel);
                Grouped::Committed(results)
            }
            // Full disk, a lock, a deferred constraint: the engine says that nothing was kept.
            Err(error) if matches!(Class::of(&error), Class::Fault | Class::Contended | Class::Overloaded) => {
                self.failed(error, Grouped::Undone)
            }
            Err(error) => self.failed(error, Grouped::Unknown),
        }
    }

    async fn roll_back(&mut self, transaction: DatabaseTransaction, result: Result<(), DbErr>) -> Grouped {
        if let Err(error) = transaction.rollback().await {
            // The result stands: without a commit nothing is kept.
            tracing::debug!(error = %error, "rollback failed");
            self.broken = true;
        }
        if let Err(error) = &result {
            self.look_at(error);
        }
        Grouped::Committed(vec![result])
    }

    fn failed(&mut self, error: DbErr, grouped: fn(DbErr) -> Grouped) -> Grouped {
        self.broken = true;
        self.look_at(&error);
        grouped(error)
    }

    fn look_at(&mut self, error: &DbErr) {
        if Class::of(error) == Class::Untrusted && !self.state.stopped.swap(true, Ordering::AcqRel) {
            tracing::error!(error = %error, "the disk failed to keep data: writing stops until a restart, check the disk");
        }
    }

    async fn end(self) {
        // Not fatal: the next start reads the log.
        for sql in ["PRAGMA optimize", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            if let Err(error) = self.writer.execute_unprepared(sql).await {
                tracing::warn!(error = %error, "{sql} failed while closing");
            }
        }
        self.writer.close().await.ok();
    }
}

/// The inner result is the job's; the outer one fails if the transaction around it is lost.
async fn in_savepoint(transaction: &DatabaseTransaction, job: &mut dyn Job) -> Result<Result<(), DbErr>, DbErr> {
    transaction.execute_unprepared("SAVEPOINT unit").await?;
    let result = job.run(transaction).await;
    let end = match result {
        Ok(Decision::Commit) => "RELEASE unit",
        Ok(Decision::Rollback) | Err(_) => "ROLLBACK TO unit; RELEASE unit",
    };
    transaction.execute_unprepared(end).await?;
    Ok(result.map(|_decision| ()))
}
