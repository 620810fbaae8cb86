//! Commands of many callers, carried out together.
//!
//! Where one call for many things costs little more than one for one thing (a row in a statement, a statement in a
//! commit), callers that come at the same time share it. Nobody is made to wait for others: a batch is what has come by
//! the time that its turn comes.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Where commands are handed in. Cheap to clone; what waits is still carried out when the last one is dropped.
pub struct Batcher<Command, Answer>(Arc<Shared<Command, Answer>>);

/// The commands of a batch: what waits when they are first asked for.
pub struct Coming<Command>(Arc<Batch<Command>>);

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

struct Shared<Command, Answer> {
    queue: usize,
    most: usize,
    apply: Box<dyn Fn(Coming<Command>) -> BoxFuture<'static, Vec<Answer>> + Send + Sync>,
    runtime: Handle,
    waiting: Mutex<Waiting<Command, Answer>>,
}

struct Waiting<Command, Answer> {
    /// In the order in which they were handed in.
    commands: VecDeque<(Command, oneshot::Sender<Answer>)>,
    /// Whether a batch has been begun that will take them.
    is_begun: bool,
}

struct Batch<Command> {
    commands: OnceLock<Arc<[Command]>>,
    take: Box<dyn Fn() -> Arc<[Command]> + Send + Sync>,
}

impl<Command, Answer> Batcher<Command, Answer>
where
    Command: Send + Sync + 'static,
    Answer: Send + 'static,
{
    /// A batcher whose batches have at most `most` commands, while at most `queue` wait. `apply` is called for a batch as
    /// soon as there is a command for it, asks for the commands when it can carry them out, and returns their answers in
    /// the order of the commands. The next batch begins with the first command that comes after that.
    ///
    /// # Panics
    /// If `queue` or `most` is zero, or outside of a runtime.
    pub fn new<Apply, Applied>(queue: usize, most: usize, apply: Apply) -> Self
    where
        Apply: Fn(Coming<Command>) -> Applied + Send + Sync + 'static,
        Applied: Future<Output = Vec<Answer>> + Send + 'static,
    {
        assert!(queue > 0 && most > 0, "a batch has room for a command");
        let apply = Box::new(move |commands| apply(commands).boxed());
        let waiting = Mutex::new(Waiting { commands: VecDeque::new(), is_begun: false });
        Self(Arc::new(Shared { queue, most, apply, runtime: Handle::current(), waiting }))
    }

    /// Hands in `command` and waits for its answer. It is carried out though the caller has gone.
    ///
    /// # Errors
    /// [`BatchError::Full`] at once if too many wait already; [`BatchError::Lost`] if its batch failed to answer.
    pub async fn submit(&self, command: Command) -> Result<Answer, BatchError> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = self.0.waiting();
            if waiting.commands.len() >= self.0.queue {
                return Err(BatchError::Full);
            }
            waiting.commands.push_back((command, answer));
            !std::mem::replace(&mut waiting.is_begun, true)
        };
        if is_first {
            begin(&self.0);
        }
        answered.await.map_err(|_| BatchError::Lost)
    }
}

impl<Command> Coming<Command> {
    /// A batch of just these.
    pub fn of(commands: impl Into<Arc<[Command]>>) -> Self
    where
        Command: Send + Sync + 'static,
    {
        Self(Arc::new(Batch { commands: OnceLock::from(commands.into()), take: Box::new(|| [].into()) }))
    }

    /// The commands. The same ones when asked again, as by work that has to be done again.
    #[must_use]
    pub fn taken(&self) -> Arc<[Command]> {
        Arc::clone(self.0.commands.get_or_init(|| (self.0.take)()))
    }
}

/// Begins a batch for what waits.
fn begin<Command, Answer>(shared: &Arc<Shared<Command, Answer>>)
where
    Command: Send + Sync + 'static,
    Answer: Send + 'static,
{
    let callers = Arc::new(Mutex::new(Vec::new()));
    let take = {
        let (shared, callers) = (Arc::clone(shared), Arc::clone(&callers));
        move || {
            let (commands, senders): (Vec<_>, Vec<_>) = shared.take().into_iter().unzip();
            *callers.lock().unwrap_or_else(PoisonError::into_inner) = senders;
            commands.into()
        }
    };
    let coming = Coming(Arc::new(Batch { commands: OnceLock::new(), take: Box::new(take) }));
    let applying = (shared.apply)(coming.clone());
    shared.runtime.spawn(async move {
        // A panic was reported where it happened; the callers learn of it when their senders are dropped.
        let answers = AssertUnwindSafe(applying).catch_unwind().await.unwrap_or_default();
        // Whoever was not asked for has no answer.
        let _ = coming.taken();
        let callers = std::mem::take(&mut *callers.lock().unwrap_or_else(PoisonError::into_inner));
        for (caller, answer) in callers.into_iter().zip(answers) {
            // Nobody may be waiting any more.
            caller.send(answer).ok();
        }
    });
}

impl<Command, Answer> Shared<Command, Answer>
where
    Command: Send + Sync + 'static,
    Answer: Send + 'static,
{
    fn waiting(&self) -> MutexGuard<'_, Waiting<Command, Answer>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>) -> Vec<(Command, oneshot::Sender<Answer>)> {
        let mut waiting = self.waiting();
        let count = waiting.commands.len().min(self.most);
        let taken = waiting.commands.drain(..count).collect();
        waiting.is_begun = !waiting.commands.is_empty();
        let is_left = waiting.is_begun;
        drop(waiting);
        if is_left {
            begin(self);
        }
        taken
    }
}

impl<Command, Answer> Clone for Batcher<Command, Answer> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Command> Clone for Coming<Command> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Command, Answer> fmt::Debug for Batcher<Command, Answer> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Batcher").field("queue", &self.0.queue).finish_non_exhaustive()
    }
}

impl<Command> fmt::Debug for Coming<Command> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Coming").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use futures_util::poll;
    use tokio::sync::Semaphore;

    use super::*;

    type Batches = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A batcher that doubles numbers, lets one batch at a time through per permit, and writes down what each batch was.
    fn doubling(queue: usize, most: usize) -> (Batcher<u32, u32>, Arc<Semaphore>, Batches) {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Batches::default());
        let batcher = Batcher::new(queue, most, {
            let (gate, batches) = (Arc::clone(&gate), Arc::clone(&batches));
            move |coming: Coming<u32>| {
                let (gate, batches) = (Arc::clone(&gate), Arc::clone(&batches));
                async move {
                    gate.acquire().await.expect("the gate stays").forget();
                    let commands = coming.taken();
                    assert_eq!(commands, coming.taken());
                    batches.lock().expect("no panic").push(commands.to_vec());
                    commands.iter().map(|number| number * 2).collect()
                }
            }
        });
        (batcher, gate, batches)
    }

    #[tokio::test]
    async fn what_has_come_by_the_time_of_a_batch_is_in_it_and_each_caller_gets_its_own_answer() {
        let (batcher, gate, batches) = doubling(100, 4);
        let mut calls = join_all((0..6).map(|number| batcher.submit(number)));
        assert!(poll!(&mut calls).is_pending());
        gate.add_permits(10);
        assert_eq!(calls.await, (0..6).map(|number| Ok(number * 2)).collect::<Vec<_>>());
        assert_eq!(batcher.submit(6).await, Ok(12));
        assert_eq!(*batches.lock().expect("no panic"), [vec![0, 1, 2, 3], vec![4, 5], vec![6]]);
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
        let batcher = Batcher::new(10, 1, |coming: Coming<u32>| async move {
            let commands = coming.taken();
            assert!(!commands.contains(&13), "on purpose");
            commands.to_vec()
        });
        assert_eq!(batcher.submit(13).await, Err(BatchError::Lost));
        assert_eq!(batcher.submit(14).await, Ok(14));
    }

    #[tokio::test]
    async fn a_batch_that_takes_no_commands_leaves_none_waiting() {
        let batcher = Batcher::new(10, 1, |_: Coming<u32>| async { Vec::<u32>::new() });
        assert_eq!(batcher.submit(1).await, Err(BatchError::Lost));
        assert_eq!(batcher.submit(2).await, Err(BatchError::Lost));
    }
}
