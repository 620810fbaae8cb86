//! Work that goes on when its caller has gone.
//!
//! A server drops the future of a call on its deadline and when the client resets the stream. Where half of a piece
//! of work is worse than all of it (a transaction between BEGIN and COMMIT leaves its connection in a state that the
//! next user inherits), the work must not stop there.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use tokio::runtime::Handle;

/// Runs `work` in the caller's task, so that it costs no more than awaiting it. If the returned future is dropped
/// after the work has begun, the rest runs in a task of its own and its result is dropped.
///
/// A panic inside becomes an error and does not reach the caller's task.
#[must_use = "nothing begins before the first poll"]
pub fn detached<F>(work: F) -> Detached<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Detached { rest: Some(Box::pin(AssertUnwindSafe(work).catch_unwind())), begun: false }
}

/// The future that [`detached`] returns.
pub struct Detached<T: Send + 'static> {
    rest: Option<Rest<T>>,
    begun: bool,
}

type Rest<T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Any + Send>>> + Send>>;

/// The work panicked. The panic itself was reported where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work panicked")]
pub struct Panicked;

impl<T: Send + 'static> Future for Detached<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.begun = true;
        let rest = self.rest.as_mut().expect("a future is not polled after it was ready");
        let result = std::task::ready!(rest.as_mut().poll(context));
        self.rest = None;
        Poll::Ready(result.map_err(|_panic| Panicked))
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        if let (Some(rest), true) = (self.rest.take(), self.begun)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(rest);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Detached<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Detached").field("begun", &self.begun).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_returns_its_result() {
        assert_eq!(detached(async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_has_begun_goes_on_after_its_caller_is_gone() {
        let (resume, resumed) = oneshot::channel();
        let (done, finished) = oneshot::channel();
        let mut work = detached(async move {
            resumed.await.expect("resumed");
            done.send(()).expect("somebody waits");
        });
        assert!(poll!(&mut work).is_pending());
        drop(work);
        resume.send(()).expect("the work still waits");
        finished.await.expect("the work went on");
    }

    #[tokio::test]
    async fn work_that_nobody_began_never_runs() {
        let (done, finished) = oneshot::channel::<()>();
        drop(detached(async move { done.send(()) }));
        assert!(finished.await.is_err());
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error() {
        assert_eq!(detached(async { panic!("on purpose") }).await, Err::<(), _>(Panicked));
    }
}
