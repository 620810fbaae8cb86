//! Commands of many callers, carried out together.
//!
//! Where one call for many things costs little more than one for one thing (a row in a statement, a statement in a
//! commit), callers that come at the same time share it. Nobody is made to wait for others: a batch is what came while
//! the one before it was being carried out.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

/// Where commands are handed in. Cheap to clone; what waits is still carried out when the last one is dropped.
pub struct Batcher<Command, Answer> {
    queue: mpsc::Sender<Waiting<Command, Answer>>,
}

type Waiting<Command, Answer> = (Command, oneshot::Sender<Answer>);

/// Why a command has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// As many commands wait as may; this one was not taken. Try again later.
    #[error("too many commands wait")]
    Full,
    /// The batch that had it panicked, or gave fewer answers than it had commands; it may have been carried out.
    #[error("the batch gave no answer")]
    Lost,
}

impl<Command, Answer> Batcher<Command, Answer>
where
    Command: Send + 'static,
    Answer: Send + 'static,
{
    /// Starts a task that carries out batches of at most `most` commands, one batch at a time, while at most `queue`
    /// commands wait. `apply` gets them in the order in which they were handed in and returns their answers in it.
    ///
    /// # Panics
    /// If `queue` or `most` is zero, or outside of a runtime.
    pub fn spawn<Apply, Applied>(queue: usize, most: usize, apply: Apply) -> Self
    where
        Apply: FnMut(Vec<Command>) -> Applied + Send + 'static,
        Applied: Future<Output = Vec<Answer>> + Send + 'static,
    {
        assert!(most > 0, "a batch has room for a command");
        let (sender, receiver) = mpsc::channel(queue);
        tokio::spawn(carry_out(receiver, most, apply));
        Self { queue: sender }
    }

    /// Hands in `command` and waits for its answer. It is carried out though the caller has gone.
    ///
    /// # Errors
    /// [`BatchError::Full`] at once if too many wait already; [`BatchError::Lost`] if its batch failed to answer.
    pub async fn submit(&self, command: Command) -> Result<Answer, BatchError> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send((command, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BatchError::Full,
            mpsc::error::TrySendError::Closed(_) => BatchError::Lost,
        })?;
        answered.await.map_err(|_| BatchError::Lost)
    }
}

async fn carry_out<Command, Answer, Apply, Applied>(
    mut queue: mpsc::Receiver<Waiting<Command, Answer>>,
    most: usize,
    mut apply: Apply,
) where
    Apply: FnMut(Vec<Command>) -> Applied,
    Applied: Future<Output = Vec<Answer>>,
{
    let mut waiting = Vec::with_capacity(most);
    while queue.recv_many(&mut waiting, most).await > 0 {
        let (commands, callers): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        // A panic was reported where it happened; the callers learn of it when their senders are dropped.
        let applied = AssertUnwindSafe(async { apply(commands).await }).catch_unwind().await;
        for (caller, answer) in callers.into_iter().zip(applied.unwrap_or_default()) {
            // Nobody may be waiting any more.
            caller.send(answer).ok();
        }
    }
}

impl<Command, Answer> Clone for Batcher<Command, Answer> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<Command, Answer> fmt::Debug for Batcher<Command, Answer> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Batcher").field("free", &self.queue.capacity()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::join_all;
    use futures_util::poll;
    use tokio::sync::Semaphore;

    use super::*;

    type Batches = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A batcher that doubles numbers, lets a batch through per permit, and writes down what each batch was.
    fn doubling(queue: usize, most: usize) -> (Batcher<u32, u32>, Arc<Semaphore>, Batches) {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Batches::default());
        let batcher = Batcher::spawn(queue, most, {
            let (gate, batches) = (Arc::clone(&gate), Arc::clone(&batches));
            move |commands: Vec<u32>| {
                let (gate, batches) = (Arc::clone(&gate), Arc::clone(&batches));
                async move {
                    batches.lock().expect("no panic").push(commands.clone());
                    gate.acquire().await.expect("the gate stays").forget();
                    commands.into_iter().map(|number| number * 2).collect()
                }
            }
        });
        (batcher, gate, batches)
    }

    #[tokio::test]
    async fn what_comes_during_a_batch_is_the_next_one_and_each_caller_gets_its_own_answer() {
        let (batcher, gate, batches) = doubling(100, 3);
        let mut calls = join_all((0..6).map(|number| batcher.submit(number)));
        assert!(poll!(&mut calls).is_pending());
        gate.add_permits(10);
        assert_eq!(calls.await, (0..6).map(|number| Ok(number * 2)).collect::<Vec<_>>());
        let batches = batches.lock().expect("no panic");
        assert_eq!(batches.concat(), [0, 1, 2, 3, 4, 5]);
        assert!(batches.iter().all(|batch| batch.len() <= 3) && batches.len() < 6, "{batches:?}");
    }

    #[tokio::test]
    async fn a_command_is_carried_out_though_its_caller_has_gone() {
        let (batcher, gate, batches) = doubling(100, 3);
        let mut gone = Box::pin(batcher.submit(1));
        assert!(poll!(&mut gone).is_pending());
        drop(gone);
        gate.add_permits(10);
        assert_eq!(batcher.submit(2).await, Ok(4));
        assert_eq!(batches.lock().expect("no panic").concat(), [1, 2]);
    }

    #[tokio::test]
    async fn a_command_that_finds_the_queue_full_is_refused_at_once() {
        let (batcher, gate, _) = doubling(1, 1);
        let mut waits = Box::pin(batcher.submit(1));
        assert!(poll!(&mut waits).is_pending());
        assert_eq!(batcher.submit(2).await, Err(BatchError::Full));
        gate.add_permits(10);
        assert_eq!(waits.await, Ok(2));
        assert_eq!(batcher.submit(2).await, Ok(4));
    }

    #[tokio::test]
    async fn a_panic_costs_the_answers_of_its_batch_alone() {
        let batcher = Batcher::spawn(10, 1, |commands: Vec<u32>| async move {
            assert!(!commands.contains(&13), "on purpose");
            commands
        });
        assert_eq!(batcher.submit(13).await, Err(BatchError::Lost));
        assert_eq!(batcher.submit(14).await, Ok(14));
    }
}
