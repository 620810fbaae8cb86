//! Resets a call whose peer reads nothing of its answer.
//!
//! A peer that answers pings but opens no window for the answer would hold it in memory for as long as the connection
//! lives. What drives a call is its task, so the task is watched: the body of an answer says whether the last thing it
//! did was to hand out data, in which case the task waits for the peer, or to look for more, in which case it waits for
//! the service.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tracing::debug;

thread_local! {
    /// Of the task that is being polled.
    static WAIT: Cell<Wait> = const { Cell::new(Wait { is_for_peer: false, is_new: false }) };
}

#[derive(Clone, Copy)]
struct Wait {
    is_for_peer: bool,
    /// Whether something was said since the task was polled.
    is_new: bool,
}

/// The answer has something for the peer, and goes on when the peer has taken it.
pub(super) fn peer_has_to_read() {
    WAIT.set(Wait { is_for_peer: true, is_new: true });
}

/// The answer goes on when the service has more, or is done.
pub(super) fn service_has_to_answer() {
    WAIT.set(Wait { is_for_peer: false, is_new: true });
}

/// Runs the calls of a connection, each in a watched task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) limit: Duration,
}

impl<F> Executor<F> for Watched
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        tokio::spawn(Unstalled::new(call, self.limit));
    }
}

pin_project! {
    /// A future that is dropped when it has waited for its peer for too long.
    pub(super) struct Unstalled<F> {
        #[pin]
        work: Option<F>,
        limit: Duration,
        waits_for_peer: bool,
        patience: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Unstalled<F> {
    pub(super) fn new(work: F, limit: Duration) -> Self {
        Self { work: Some(work), limit, waits_for_peer: false, patience: None }
    }
}

impl<F: Future> Future for Unstalled<F> {
    /// Nothing if the work was dropped.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut this = self.project();
        let Some(work) = this.work.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let outside = WAIT.replace(Wait { is_for_peer: *this.waits_for_peer, is_new: false });
        let result = work.poll(context);
        let wait = WAIT.replace(outside);
        *this.waits_for_peer = wait.is_for_peer;
        if result.is_ready() {
            return result.map(Some);
        }
        if !wait.is_for_peer {
            *this.patience = None;
            return Poll::Pending;
        }
        let end = Instant::now() + *this.limit;
        let patience = this.patience.get_or_insert_with(|| Box::pin(sleep(*this.limit)));
        if wait.is_new {
            patience.as_mut().reset(end);
        }
        if patience.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        debug!("reset a call whose answer nobody read");
        this.work.set(None);
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_call_whose_peer_reads_nothing_ends_after_the_limit() {
        let begun = Instant::now();
        let call = async {
            peer_has_to_read();
            pending::<()>().await;
        };
        assert_eq!(timeout(LONG, Unstalled::new(call, LIMIT)).await, Ok(None));
        assert!(begun.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_call_whose_service_works_goes_on() {
        let call = async {
            peer_has_to_read();
            tokio::task::yield_now().await;
            service_has_to_answer();
            sleep(2 * LIMIT).await;
        };
        assert_eq!(timeout(LONG, Unstalled::new(call, LIMIT)).await, Ok(Some(())));
    }

    #[tokio::test]
    async fn calls_of_one_task_do_not_answer_for_each_other() {
        let cut = Notify::new();
        let slow = Unstalled::new(
            async {
                peer_has_to_read();
                pending::<()>().await;
            },
            LIMIT,
        );
        let busy = Unstalled::new(
            async {
                service_has_to_answer();
                cut.notified().await;
            },
            LIMIT,
        );
        let both = async {
            tokio::join!(
                async {
                    let result = slow.await;
                    cut.notify_one();
                    result
                },
                busy
            )
        };
        assert_eq!(timeout(LONG, both).await, Ok((None, Some(()))));
    }
}
