//! The one writer of a SQLite file: whatever waits shares the next commit, each unit of work in its own savepoint.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{io, thread};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::DbErr;
use sea_orm::error::RuntimeErr;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::connection::Connection;
use super::error::Class;
use super::pool::{Connect, overdue};
use super::{DatabaseConfig, DatabaseError, Outcome};

/// The door to the writer.
#[derive(Debug)]
pub(super) struct Lane {
    queue: mpsc::Sender<Request>,
    /// A unit of work that takes longer is undone: all others wait for it.
    within: Duration,
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

impl Lane {
    /// Starts the writer, on a thread of its own: every commit waits for it, so it must not wait for its turn among the
    /// calls. It ends with [`Lane::close`], or when the last door is dropped.
    ///
    /// # Errors
    /// If the system has no threads left.
    pub(super) fn start(writer: Connection, connect: Connect, config: &DatabaseConfig) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(config.write_queue);
        let state = Arc::new(State::default());
        let lane = Writer { writer: Some(writer), connect, state: Arc::clone(&state) };
        let (runtime, group) = (Handle::current(), config.write_group);
        thread::Builder::new().name("writer".to_owned()).spawn(move || runtime.block_on(lane.run(receiver, group)))?;
        Ok(Self { queue: sender, within: config.work_timeout, state })
    }

    /// Runs `work` and returns after its commit is durable. Goes on though the caller has gone.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
    {
        if self.state.stopped.load(Ordering::Acquire) {
            return Err(DatabaseError::unavailable("writing stopped after the disk failed"));
        }
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Unit { work, within: self.within, value: None, answer });
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

    /// Whether it takes work.
    pub(super) fn is_open(&self) -> bool {
        !self.queue.is_closed() && !self.state.stopped.load(Ordering::Acquire)
    }

    /// How many transactions were committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.state.commits.load(Ordering::Acquire)
    }
}

/// A unit of work whose type of result the writer need not know.
trait Job: Send {
    fn run<'a>(&'a mut self, connection: &'a Connection) -> BoxFuture<'a, Result<Decision, DbErr>>;
    fn finish(self: Box<Self>, result: Result<(), DatabaseError>);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Commit,
    Rollback,
}

struct Unit<T, W> {
    work: W,
    within: Duration,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, DatabaseError>>,
}

impl<T, W> Job for Unit<T, W>
where
    T: Send + 'static,
    W: for<'a> Fn(&'a Connection) -> BoxFuture<'a, Result<Outcome<T>, DbErr>> + Send + Sync + 'static,
{
    fn run<'a>(&'a mut self, connection: &'a Connection) -> BoxFuture<'a, Result<Decision, DbErr>> {
        Box::pin(async move {
            self.value = None;
            let work = AssertUnwindSafe(async { (self.work)(connection).await }).catch_unwind();
            let outcome = timeout(self.within, work).await.map_err(|_| overdue())?;
            let outcome = outcome.map_err(|_panic| DbErr::Custom("the work panicked".to_owned()))??;
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
    /// None after a failure that may have left it inside a transaction.
    writer: Option<Connection>,
    connect: Connect,
    state: Arc<State>,
}

/// What became of a group.
enum Grouped {
    /// What was to be kept is durable; those with an error or with a decision against it were undone.
    Ended(Vec<Result<(), DbErr>>),
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

    /// Runs `jobs` in one transaction, and if that undid all of them for the sake of one, each in its own.
    async fn answer(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        match self.transact(&mut jobs).await {
            Grouped::Ended(results) => {
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

    async fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Grouped {
        if self.state.stopped.load(Ordering::Acquire) {
            return Grouped::Unknown(DbErr::Conn(RuntimeErr::Internal("writing stopped".to_owned())));
        }
        let mut writer = match self.writer().await {
            Ok(writer) => writer,
            Err(error) => return Grouped::Unknown(error),
        };
        let grouped = match jobs {
            [] => Grouped::Ended(Vec::new()),
            [job] => alone(&mut writer, job.as_mut(), &self.state.commits).await,
            jobs => together(&mut writer, jobs, &self.state.commits).await,
        };
        match &grouped {
            Grouped::Ended(results) => {
                self.writer = Some(writer);
                results.iter().filter_map(|result| result.as_ref().err()).for_each(|error| self.look_at(error));
            }
            // The connection may still be inside the transaction: dropping it ends both.
            Grouped::Undone(error) | Grouped::Unknown(error) => self.look_at(error),
        }
        grouped
    }

    async fn writer(&mut self) -> Result<Connection, DbErr> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => (self.connect)().await,
        }
    }

    fn look_at(&self, error: &DbErr) {
        if Class::of(error) == Class::Untrusted && !self.state.stopped.swap(true, Ordering::AcqRel) {
            tracing::error!(error = %error, "the disk failed to keep data: writing stops until a restart, check the disk");
        }
    }

    async fn end(mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        // Not fatal: the next start reads the log. Statistics are left alone (no PRAGMA optimize): with them the engine may
        // plan by the values that are bound, and prepares a statement again each time they are.
        if let Err(error) = writer.control("PRAGMA wal_checkpoint(TRUNCATE)").await {
            tracing::warn!(error = %error, "the log was not taken into the file");
        }
        writer.close().await;
    }
}

/// One unit of work in a transaction that needs no savepoint.
async fn alone(writer: &mut Connection, job: &mut dyn Job, commits: &AtomicU64) -> Grouped {
    if let Err(error) = writer.begin("BEGIN IMMEDIATE").await {
        return Grouped::Undone(error);
    }
    let result = job.run(writer).await;
    match result {
        Ok(Decision::Commit) => match writer.control("COMMIT").await {
            Ok(()) => {
                commits.fetch_add(1, Ordering::AcqRel);
                Grouped::Ended(vec![Ok(())])
            }
            Err(error) => not_committed(error),
        },
        Ok(Decision::Rollback) | Err(_) => {
            writer.forget();
            match writer.control("ROLLBACK").await {
                Ok(()) => Grouped::Ended(vec![result.map(|_| ())]),
                // The engine has rolled back already, as it does on a full disk, or the transaction did not begin: the
                // job's own error tells why.
                Err(error) => Grouped::Undone(result.err().unwrap_or(error)),
            }
        }
    }
}

/// Several units of work, each in its savepoint. Statements of control go together, for each costs two hops between
/// threads.
async fn together(writer: &mut Connection, jobs: &mut [Box<dyn Job>], commits: &AtomicU64) -> Grouped {
    if let Err(error) = writer.begin("BEGIN IMMEDIATE; SAVEPOINT unit").await {
        return Grouped::Undone(error);
    }
    let mut results = Vec::with_capacity(jobs.len());
    let last = jobs.len() - 1;
    for (position, job) in jobs.iter_mut().enumerate() {
        let result = job.run(writer).await;
        let keep = matches!(result, Ok(Decision::Commit));
        results.push(result.map(|_decision| ()));
        if !keep {
            writer.forget();
        }
        let ended = match (keep, position == last) {
            (true, false) => writer.control("RELEASE unit; SAVEPOINT unit").await,
            (false, false) => writer.control("ROLLBACK TO unit").await,
            (true, true) => writer.control("COMMIT").await,
            (false, true) => writer.control("ROLLBACK TO unit; COMMIT").await,
        };
        match ended {
            Ok(()) => {}
            Err(error) if position == last => return not_committed(error),
            // The engine rolled the whole transaction back.
            Err(error) => return Grouped::Undone(error),
        }
    }
    commits.fetch_add(1, Ordering::AcqRel);
    Grouped::Ended(results)
}

/// A commit that failed for want of space, for a lock or for a deferred constraint kept nothing. After a failed sync
/// the log may hold it none the less, and the next start would find it there.
fn not_committed(error: DbErr) -> Grouped {
    match Class::of(&error) {
        Class::Fault | Class::Contended | Class::Overloaded => Grouped::Undone(error),
        Class::Lost | Class::Untrusted => Grouped::Unknown(error),
    }
}
