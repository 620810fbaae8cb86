//! One connection: its handshake, its protocol limits, its age, its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use uuid::Uuid;

use super::Limits;
use super::stall::Watched;

/// Resets that a peer may provoke from us on one connection before it is sent away (CVE-2025-8671); those that it sends
/// itself are bounded by h2's own 20 (CVE-2023-44487).
const RESET_STREAMS: usize = 256;
/// The HTTP/2 preface and the header of the SETTINGS frame that must follow it (RFC 9113 §3.4).
const PREFACE_BYTES: u64 = 24 + 9;
/// What one stream may buffer for a reader that does not read, in bytes.
const SEND_BUFFER_BYTES: usize = 256 * 1_024;

/// Answers requests.
pub(super) trait Handler: Send + Sync + 'static {
    /// The answer to one request of `peer`.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// How HTTP/1.1 and HTTP/2 are spoken.
#[derive(Clone)]
pub(super) struct Protocols {
    builder: auto::Builder<Watched>,
    handshake_deadline: Duration,
    connection_age: Duration,
    call_deadline: Duration,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut builder = auto::Builder::new(Watched { limit: limits.stall_deadline });
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.handshake_deadline)
            .max_buf_size(limits.header_bytes.max(8 * 1_024))
            .half_close(false)
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection)
            .max_local_error_reset_streams(RESET_STREAMS)
            .max_header_list_size(u32::try_from(limits.header_bytes).expect("the bounds fit"))
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(limits.keepalive_interval)
            .keep_alive_timeout(limits.keepalive_timeout);
        Self {
            builder,
            handshake_deadline: limits.handshake_deadline,
            connection_age: limits.connection_age,
            call_deadline: limits.call_deadline,
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    protocols: Protocols,
    handler: Arc<H>,
    draining: CancellationToken,
) {
    let Some(tls) = tls else {
        return serve_stream(stream, peer, protocols, handler, draining).await;
    };
    let handshake = tokio::time::timeout(protocols.handshake_deadline, tls.accept(stream));
    // Without a handshake there is no call that the end of the service would have to wait for.
    match draining.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => serve_stream(stream, peer, protocols, handler, draining).await,
        Some(Ok(Err(error))) => tracing::debug!(error = %error, "TLS handshake failed"),
        Some(Err(_)) => tracing::debug!("TLS handshake took too long"),
        None => {}
    }
}

async fn serve_stream<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    protocols: Protocols,
    handler: Arc<H>,
    draining: CancellationToken,
) {
    let received = Arc::new(AtomicU64::new(0));
    let stream = Counted { stream, received: Arc::clone(&received) };
    let service = service_fn(|request| {
        // A whole request is an introduction, and one of HTTP/1 can be shorter than the preface of HTTP/2.
        received.fetch_max(PREFACE_BYTES, Ordering::Relaxed);
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.handle(request, peer).await) }
    });
    let mut connection = pin!(protocols.builder.serve_connection(TokioIo::new(stream), service));
    let mut first_bytes = pin!(tokio::time::sleep(protocols.handshake_deadline));
    let age = jittered(protocols.connection_age);
    let mut old = pin!(tokio::time::sleep(age));
    // Every call that runs now has ended by then. What is left are streams, and answers that nobody reads.
    let mut too_old = pin!(tokio::time::sleep(age + protocols.call_deadline));
    let mut preface_is_due = true;
    let mut is_ending = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "connection ended");
                }
                return;
            }
            () = first_bytes.as_mut(), if preface_is_due => {
                preface_is_due = false;
                if received.load(Ordering::Relaxed) < PREFACE_BYTES {
                    tracing::debug!("connection closed: it said nothing in time");
                    return;
                }
            }
            () = old.as_mut(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = too_old.as_mut() => {
                tracing::debug!("connection closed: it did not end in time");
                return;
            }
            () = draining.cancelled(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The age ± 10 %, so that those who came together do not leave together.
fn jittered(age: Duration) -> Duration {
    let drawn = Uuid::new_v4().as_u128() % 2_001;
    age.mul_f64(0.9 + f64::from(u32::try_from(drawn).expect("small")) / 10_000.0)
}

/// Counts what a peer has sent.
struct Counted<S> {
    stream: S,
    received: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.received.fetch_add(count as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
