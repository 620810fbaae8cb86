//! One call: how many there may be, how long each may take, and what leaves when it fails.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;

use super::account::{Account, Accounted};
use super::deadline::{Deadline, deadline};
use super::metrics::Metrics;
use super::request_body::OneMessage;
use super::{Limits, PeerAddress, health, translate};
use crate::status::Refusal;
use crate::trace::TraceId;

/// When a caller that was turned away may come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type Guarded = authn::AuthService<Routes>;

/// Everything between the transport and access control.
#[derive(Clone)]
pub(super) struct Calls {
    inner: Guarded,
    shared: Arc<Shared>,
}

struct Shared {
    domain: &'static str,
    metrics: Arc<Metrics>,
    permits: Semaphore,
    most: Duration,
    draining: CancellationToken,
}

impl Calls {
    pub(super) fn new(
        inner: Guarded,
        domain: &'static str,
        metrics: Arc<Metrics>,
        draining: CancellationToken,
        limits: &Limits,
    ) -> Self {
        let permits = Semaphore::new(limits.concurrent_calls);
        Self { inner, shared: Arc::new(Shared { domain, metrics, permits, most: limits.call_deadline, draining }) }
    }

    /// The answer to one call, whatever becomes of it.
    pub(super) async fn answer(self, request: Request<Body>) -> Response<Body> {
        let Self { inner, shared } = self;
        let trace = *request.extensions().get::<TraceId>().expect("the stack gives each request one");
        let peer = *request.extensions().get::<PeerAddress>().expect("the stack gives each request one");
        let account = Account::open(&shared.metrics, request.uri().path(), trace, peer);
        let mut response = match shared.execute(inner, request, trace).await {
            Ok(response) => response,
            Err(status) => status.into_http(),
        };
        let refused = translate::headers(response.headers_mut(), shared.domain);
        response.map(|body| Accounted::wrap(body, account, refused, shared.domain, &shared.draining))
    }
}

impl Shared {
    async fn execute(
        &self,
        mut inner: Guarded,
        request: Request<Body>,
        trace: TraceId,
    ) -> Result<Response<Body>, Status> {
        let path = request.uri().path();
        let is_health = health::is_health(path);
        let streams_requests = health::is_reflection(path);
        let _permit = match self.permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) if is_health => None,
            Err(_) => return Err(self.overloaded()),
        };
        let limit = match deadline(request.headers(), self.most) {
            Deadline::In(limit) => limit,
            Deadline::Passed => return Err(self.too_late()),
            Deadline::Malformed => return Err(translate::malformed(self.domain)),
        };
        let domain = self.domain;
        let request = request.map(|body| if streams_requests { body } else { OneMessage::wrap(body, domain) });
        let call = AssertUnwindSafe(trace.scope(inner.call(request))).catch_unwind();
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(Ok(response))) => Ok(response.map(Body::new)),
            Ok(Err(_panic)) => {
                tracing::error!(trace.id = %trace, "a handler panicked");
                Err(trace.scope(async { Refusal::internal(domain).into_status() }).await)
            }
            Err(_elapsed) => Err(self.too_late()),
        }
    }

    fn overloaded(&self) -> Status {
        self.metrics.call_shed();
        Refusal::new(self.domain, Code::ResourceExhausted, "OVERLOADED", "too many calls at the same time, try again")
            .retry_after(RETRY_AFTER)
            .into_status()
    }

    fn too_late(&self) -> Status {
        Refusal::new(self.domain, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline of the call has passed")
            .into_status()
    }
}

/// For the gRPC-Web layer, which wraps a service.
impl Service<Request<Body>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // a router is always ready
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let calls = self.clone();
        Box::pin(async move { Ok(calls.answer(request).await) })
    }
}
