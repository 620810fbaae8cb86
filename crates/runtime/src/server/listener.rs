//! Accepting: how many connections there may be, of whom, and what happens to them at the end.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Limits;
use super::connection::{Handler, Protocols, serve};
use super::metrics::Metrics;

/// The pause after an error of `accept`, which is mostly a lack of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Open files that are kept for the store, logs and other listeners.
const RESERVED_FILES: usize = 128;

/// A bound address.
pub(super) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    protocols: Protocols,
    permits: Arc<Semaphore>,
    per_address: Arc<PerAddress>,
}

/// How many connections each address has open.
struct PerAddress {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to one connection; given back when dropped.
pub(super) struct Admission {
    address: IpAddr,
    per_address: Arc<PerAddress>,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    pub(super) async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>, limits: &Limits) -> io::Result<Self> {
        let tcp = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{address} cannot be listened on: {error}")))?;
        Ok(Self {
            address: tcp.local_addr()?,
            tcp,
            tls,
            protocols: Protocols::new(limits),
            permits: Arc::new(Semaphore::new(below_open_files(limits.connections))),
            per_address: Arc::new(PerAddress { most: limits.connections_per_address, open: Mutex::default() }),
        })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `draining`, then waits for the connections to end, at most `deadline` long.
    pub(super) async fn serve<H: Handler>(
        self,
        handler: Arc<H>,
        metrics: Arc<Metrics>,
        draining: CancellationToken,
        deadline: Duration,
    ) {
        let connections = TaskTracker::new();
        let closing = CancellationToken::new();
        while let Some((stream, peer)) = self.accept(&draining).await {
            let Some(admission) = self.admit(peer.ip()) else {
                metrics.connection_refused();
                continue;
            };
            let open = metrics.connection_opened();
            let served =
                serve(stream, peer, self.tls.clone(), self.protocols.clone(), Arc::clone(&handler), draining.clone());
            let closing = closing.clone();
            connections.spawn(async move {
                let _held = (admission, open);
                tokio::select! {
                    () = served => {}
                    () = closing.cancelled() => {}
                }
            });
        }
        drop(self.tcp);
        connections.close();
        if tokio::time::timeout(deadline, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "the drain deadline has passed, closing what is left");
            closing.cancel();
            connections.wait().await;
        }
    }

    /// The next connection; `None` when draining begins.
    async fn accept(&self, draining: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let accepted = tokio::select! {
                biased;
                () = draining.cancelled() => return None,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    stream.set_nodelay(true).ok();
                    return Some((stream, peer));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept connections for now");
                    tokio::select! {
                        () = draining.cancelled() => return None,
                        () = tokio::time::sleep(BACK_OFF) => {}
                    }
                }
            }
        }
    }

    fn admit(&self, address: IpAddr) -> Option<Admission> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let address = network(address);
        let mut open = self.per_address.open.lock().expect("nobody panics while holding the counts");
        let count = open.entry(address).or_insert(0);
        if *count >= self.per_address.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Admission { address, per_address: Arc::clone(&self.per_address), _permit: permit })
    }
}

/// The cap on connections, below the limit of open files: a process that has none left cannot even read its database.
fn below_open_files(connections: usize) -> usize {
    let files = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let most = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(RESERVED_FILES).max(1);
    if connections > most {
        tracing::warn!(connections = most, "the limit of open files allows no more connections");
    }
    connections.min(most)
}

/// Whom a connection is counted for: an IPv4 address, or the /64 that a single IPv6 host has for itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// Whether the peer went away before it was accepted; the next one may be there already.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self.per_address.open.lock().expect("nobody panics while holding the counts");
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}
