//! A bounded number of connections, lent to one unit of work each.
//!
//! A connection comes back only from work that ended and said so: one whose work was dropped or panicked half-way is
//! closed, for it may be in the middle of a statement or a transaction.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sea_orm::error::{ConnAcquireErr, RuntimeErr};
use sea_orm::{DbErr, sqlx};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connection::Connection;
use super::error::Class;

/// Opens a connection, in bounded time.
pub(super) type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Connection, DbErr>> + Send + Sync>;

/// Bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at most.
    pub(super) size: u32,
    /// Wait for a free one at most this long.
    pub(super) wait: Duration,
    /// Replace a connection at this age.
    pub(super) lifetime: Duration,
    /// Ask a connection that was unused for this long whether it lives.
    pub(super) doubt_after: Duration,
    /// Abandon a unit of work, and its connection, after this time.
    pub(super) work: Duration,
}

pub(super) struct Pool {
    bounds: Bounds,
    connect: Connect,
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// Connections that were opened before it was last raised are not lent again.
    generation: AtomicU64,
}

struct Idle {
    connection: Connection,
    origin: Origin,
    since: Instant,
}

#[derive(Clone, Copy)]
struct Origin {
    generation: u64,
    born: Instant,
}

/// Statements of ours around a unit of work.
pub(super) enum Around {
    /// Before and after it.
    Kept { before: &'static str, after: &'static str },
    /// Before it, where it reads, on PostgreSQL. Nobody waits for the end of the transaction.
    Made { before: String },
}

/// A connection for one unit of work. Dropped without [`Lease::give_back`], it is closed.
pub(super) struct Lease {
    connection: Option<Connection>,
    origin: Origin,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(bounds: Bounds, connect: Connect) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            connect,
            free: Arc::new(Semaphore::new(bounds.size as usize)),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
        })
    }

    /// Opens every connection now.
    pub(super) async fn fill(self: &Arc<Self>) -> Result<(), DbErr> {
        let mut leases = Vec::new();
        for _ in 0..self.bounds.size {
            leases.push(self.lease().await?);
        }
        leases.into_iter().for_each(Lease::give_back);
        Ok(())
    }

    /// Waits for a connection.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, DbErr> {
        let free = Arc::clone(&self.free).acquire_owned();
        let permit = timeout(self.bounds.wait, free)
            .await
            .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?
            .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?;
        while let Some(idle) = self.pop() {
            if let Some((connection, origin)) = self.checked(idle).await {
                return Ok(self.lent(connection, origin, permit));
            }
        }
        let origin = Origin { generation: self.generation.load(Ordering::Acquire), born: Instant::now() };
        let connection = (self.connect)().await?;
        Ok(self.lent(connection, origin, permit))
    }

    /// Lends a connection to `work`, in bounded time. Between two statements of ours, if `around` has any.
    pub(super) async fn run<T, W>(self: Arc<Self>, around: Option<Around>, work: W) -> Result<T, DbErr>
    where
        W: for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, DbErr>>,
    {
        let mut lease = self.lease().await?;
        let ended = timeout(self.bounds.work, async {
            match around {
                None => Ok(work(&lease).await),
                Some(Around::Kept { before, after }) => {
                    lease.begin(before).await?;
                    let result = work(&lease).await;
                    lease.control(after).await?;
                    Ok(result)
                }
                Some(Around::Made { before }) => {
                    lease.order(before).await?;
                    let result = work(&lease).await;
                    match &result {
                        Ok(_) => lease.let_go(),
                        // After an error the server takes nothing but the end of the transaction.
                        Err(_) => lease.control("ROLLBACK").await?,
                    }
                    Ok(result)
                }
            }
        });
        // On every other way out of here the lease is dropped, and the connection closed.
        let result = ended.await.unwrap_or_else(|_| Err(overdue()))?;
        if !matches!(&result, Err(error) if Class::of(error) == Class::Lost) {
            lease.give_back();
        }
        result
    }

    /// Lends no connection again that was opened before now.
    pub(super) fn renew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        // Hang up outside of the lock.
        let dead = std::mem::take(&mut *self.idle.lock().expect("nobody panics while holding the idle connections"));
        drop(dead);
    }

    /// Lends no more, waits until all are back, at most `within`, and closes them.
    pub(super) async fn close(&self, within: Duration) {
        let all = timeout(within, self.free.acquire_many(self.bounds.size)).await;
        if all.is_err() {
            tracing::warn!("work on the store did not end in time, and is abandoned");
        }
        self.free.close();
        while let Some(idle) = self.pop() {
            timeout(within, idle.connection.close()).await.ok();
        }
    }

    fn pop(&self) -> Option<Idle> {
        self.idle.lock().expect("nobody panics while holding the idle connections").pop()
    }

    async fn checked(&self, idle: Idle) -> Option<(Connection, Origin)> {
        let Idle { mut connection, origin, since } = idle;
        let current = origin.generation == self.generation.load(Ordering::Acquire);
        if !current || origin.born.elapsed() > self.bounds.lifetime {
            return None;
        }
        if since.elapsed() > self.bounds.doubt_after {
            let answer = timeout(self.bounds.wait, connection.ping()).await;
            if !matches!(answer, Ok(Ok(()))) {
                // The others are no better, and must not be waited for one by one.
                self.renew();
                return None;
            }
        }
        Some((connection, origin))
    }

    fn lent(self: &Arc<Self>, connection: Connection, origin: Origin, permit: OwnedSemaphorePermit) -> Lease {
        Lease { connection: Some(connection), origin, pool: Arc::clone(self), _permit: permit }
    }
}

impl Lease {
    /// Returns the connection, which is between two statements and in no transaction.
    pub(super) fn give_back(mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.origin.generation != self.pool.generation.load(Ordering::Acquire) {
            return;
        }
        let idle = Idle { connection, origin: self.origin, since: Instant::now() };
        self.pool.idle.lock().expect("nobody panics while holding the idle connections").push(idle);
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease has its connection until it is given back")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease has its connection until it is given back")
    }
}

/// A connection for looking whether the other side answers: a pool that is used up is not a store that is down.
pub(super) struct Probe {
    connect: Connect,
    slot: tokio::sync::Mutex<Option<Connection>>,
}

impl Probe {
    pub(super) fn new(connect: Connect) -> Self {
        Self { connect, slot: tokio::sync::Mutex::default() }
    }

    /// Asks, and waits for the answer at most `within`.
    pub(super) async fn ask(&self, within: Duration) -> Result<(), DbErr> {
        let answered = timeout(within, async {
            let mut slot = self.slot.lock().await;
            // Not put back if it fails, or if this is dropped.
            let mut probe = match slot.take() {
                Some(probe) => probe,
                None => (self.connect)().await?,
            };
            probe.control("SELECT 1").await?;
            *slot = Some(probe);
            Ok(())
        });
        answered.await.unwrap_or_else(|_| Err(overdue()))
    }

    pub(super) async fn close(&self, within: Duration) {
        if let Some(probe) = self.slot.lock().await.take() {
            timeout(within, probe.close()).await.ok();
        }
    }
}

/// Work took longer than it may: the other side does not answer, as far as we can tell.
pub(super) fn overdue() -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))))
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
