//! Ends a response stream that outlives its token, or what its token stands for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::Service;

use crate::{Authenticate, Principal, Rejection, Verifier};

/// A response of one message is two frames, its data and its trailers. Those are never withheld: the work is done.
const FRAMES_OF_A_UNARY_RESPONSE: u8 = 2;

/// Around the inner service, behind the interceptor.
#[derive(Clone, Debug)]
pub(crate) struct EndInTime<S> {
    inner: S,
    verifier: Verifier,
    domain: &'static str,
}

impl<S> EndInTime<S> {
    pub(crate) fn new(inner: S, authenticate: &Authenticate) -> Self {
        Self { inner, verifier: authenticate.verifier().clone(), domain: authenticate.domain() }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for EndInTime<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<EndingBody<ResponseBody>>;
    type Error = S::Error;
    type Future = EndingFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let end = request.extensions().get::<Arc<Principal>>().map(|principal| End {
            principal: Arc::clone(principal),
            verifier: self.verifier.clone(),
            domain: self.domain,
            frames: 0,
            wait: None,
        });
        EndingFuture { inner: self.inner.call(request), end: Some(end) }
    }
}

pin_project! {
    /// The future of [`EndInTime`].
    pub struct EndingFuture<F> {
        #[pin]
        inner: F,
        end: Option<Option<End>>,
    }
}

impl<F, B, E> Future for EndingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<EndingBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context))?;
        let end = this.end.take().flatten();
        Poll::Ready(Ok(response.map(|inner| EndingBody { inner, end, ended: false })))
    }
}

pin_project! {
    /// A response body that ends when its caller's token does, with the reason.
    pub struct EndingBody<B> {
        #[pin]
        inner: B,
        end: Option<End>,
        ended: bool,
    }
}

/// When a body ends, and how.
struct End {
    principal: Arc<Principal>,
    verifier: Verifier,
    domain: &'static str,
    frames: u8,
    /// Begun at the first time that the body has nothing to send, so that a response of one message pays for none.
    wait: Option<BoxFuture<'static, Rejection>>,
}

impl End {
    /// Why a body that has more to send than one message must end now, if it must.
    fn come(&self) -> Option<Rejection> {
        if self.frames >= FRAMES_OF_A_UNARY_RESPONSE { self.verifier.end(&self.principal) } else { None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Rejection> {
        let wait = self.wait.get_or_insert_with(|| Box::pin(wait(self.verifier.clone(), Arc::clone(&self.principal))));
        wait.as_mut().poll(context)
    }

    fn trailers(&self, rejection: Rejection) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        if rejection.into_status(self.domain).add_header(&mut trailers).is_err() {
            // A stream without a status is a failure to every client: still closed.
            trailers.clear();
        }
        trailers
    }
}

/// Waits until a stream of this principal must end.
async fn wait(verifier: Verifier, principal: Arc<Principal>) -> Rejection {
    // Entered first, so that nothing is missed between a look and the wait.
    let stream = verifier.enter(&principal);
    loop {
        if let Some(rejection) = verifier.end(&principal) {
            return rejection;
        }
        tokio::select! {
            () = verifier.clock().sleep_until(verifier.end_of(&principal)) => {}
            () = stream.woken() => {}
        }
    }
}

impl<B: Body> Body for EndingBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let Some(end) = this.end else {
            return this.inner.poll_frame(context);
        };
        let rejection = match end.come() {
            Some(rejection) => rejection,
            None => {
                if let Poll::Ready(frame) = this.inner.poll_frame(context) {
                    end.frames = end.frames.saturating_add(1);
                    return Poll::Ready(frame);
                }
                ready!(end.poll(context))
            }
        };
        *this.ended = true;
        Poll::Ready(Some(Ok(Frame::trailers(end.trailers(rejection)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended { SizeHint::with_exact(0) } else { self.inner.size_hint() }
    }
}
