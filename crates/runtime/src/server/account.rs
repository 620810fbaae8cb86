//! The account of a call: the access line and the measurements, settled when its answer has ended.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};

use super::metrics::{MethodId, Metrics};
use super::{PeerAddress, health, stall, translate};
use crate::trace::TraceId;

/// One call that is not settled yet. A call whose answer is dropped was cancelled.
pub(super) struct Account {
    metrics: Arc<Metrics>,
    method: MethodId,
    is_probe: bool,
    trace: TraceId,
    peer: IpAddr,
    begun: Instant,
    is_settled: bool,
}

impl Account {
    pub(super) fn open(metrics: &Arc<Metrics>, path: &str, trace: TraceId, peer: PeerAddress) -> Self {
        let method = metrics.call_begun(path);
        Self {
            metrics: Arc::clone(metrics),
            method,
            is_probe: health::is_health(path),
            trace,
            peer: peer.0.ip().to_canonical(),
            begun: Instant::now(),
            is_settled: false,
        }
    }

    fn settle(&mut self, code: Code) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let took = self.begun.elapsed();
        let method = self.metrics.call_ended(self.method, code, took);
        let duration_ms = u64::try_from(took.as_micros()).unwrap_or(u64::MAX) as f64 / 1_000.0;
        let (trace, peer) = (self.trace, self.peer);
        // The values are ours, an address or hexadecimal digits: nothing that a caller can write goes into the line.
        if self.is_probe {
            tracing::debug!(rpc.method = method, rpc.code = ?code, duration_ms, trace.id = %trace, peer = %peer, "call");
        } else {
            tracing::info!(rpc.method = method, rpc.code = ?code, duration_ms, trace.id = %trace, peer = %peer, "call");
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle(Code::Cancelled);
    }
}

pin_project! {
    /// The body of an answer; settles its account at the end, and ends when the service stops.
    pub(super) struct Accounted {
        #[pin]
        body: Body,
        account: Account,
        domain: &'static str,
        draining: CancellationToken,
        #[pin]
        stop: Option<WaitForCancellationFutureOwned>,
        is_over: bool,
    }
}

impl Accounted {
    /// Wraps the body; `refused` is the status of an answer that has no body.
    pub(super) fn wrap(
        body: Body,
        mut account: Account,
        refused: Option<Code>,
        domain: &'static str,
        draining: &CancellationToken,
    ) -> Body {
        if let Some(code) = refused {
            account.settle(code);
            return Body::empty();
        }
        Body::new(Self { body, account, domain, draining: draining.clone(), stop: None, is_over: false })
    }
}

impl http_body::Body for Accounted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        let ended = match this.body.poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_trailers() {
                Ok(mut trailers) => {
                    let code = translate::headers(&mut trailers, this.domain).unwrap_or(Code::Unknown);
                    (trailers, code)
                }
                Err(frame) => {
                    stall::peer_has_to_read();
                    return Poll::Ready(Some(Ok(frame)));
                }
            },
            Poll::Ready(Some(Err(status))) => translate::trailers(status, this.domain),
            Poll::Ready(None) => {
                *this.is_over = true;
                this.account.settle(Code::Unknown);
                return Poll::Ready(None);
            }
            Poll::Pending => {
                stall::service_has_to_answer();
                // Only streams wait; the messages that they have ready go out before this.
                if this.stop.is_none() {
                    this.stop.set(Some(this.draining.clone().cancelled_owned()));
                }
                let stop = this.stop.as_pin_mut().expect("set above");
                std::task::ready!(stop.poll(context));
                translate::trailers(translate::draining(this.domain), this.domain)
            }
        };
        *this.is_over = true;
        let (trailers, code) = ended;
        this.account.settle(code);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
