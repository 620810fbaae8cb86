use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use tokio::sync::oneshot;

/// How far the threads stand back, as nice(2) counts: each gets a tenth of what a thread gets that answers calls.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Threads for work that keeps a core busy for long. Whoever answers calls has precedence over them, so that a flood of
/// passwords does not make everybody else wait. They end when this is dropped and what was handed in is done.
pub(super) struct HashingThreads {
    jobs: Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The work panicked; where was reported.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the work was lost")]
pub(crate) struct Lost;

impl HashingThreads {
    /// Starts so many threads.
    ///
    /// # Errors
    /// If the system has no threads left.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let (jobs, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..count {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name("password-hash".to_owned()).spawn(move || work_off(&receiver))?;
        }
        Ok(Self { jobs })
    }

    /// Runs `work` when a thread is free. It goes on though the caller has gone.
    ///
    /// # Errors
    /// If the work panicked.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            // Nobody may be waiting any more.
            answer.send(work()).ok();
        });
        self.jobs.send(job).map_err(|_| Lost)?;
        answered.await.map_err(|_| Lost)
    }
}

fn work_off(jobs: &Mutex<Receiver<Job>>) {
    stand_back();
    loop {
        // The lock is held by whoever waits for the next job, and by nobody who works.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        catch_unwind(AssertUnwindSafe(job)).ok();
    }
}

fn stand_back() {
    // On Linux this is about the calling thread, elsewhere about the whole process. A thread that may not stand back
    // works all the same.
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(None, NICENESS).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_its_own_answer_alone() {
        let threads = HashingThreads::start(1).expect("started");
        let lost: Result<(), Lost> = threads.run(|| panic!("on purpose")).await;
        assert!(lost.is_err());
        assert_eq!(threads.run(|| 7).await.expect("the thread goes on"), 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_stand_back_behind_those_that_answer_calls() {
        let niceness = || rustix::process::getpriority_process(None).expect("known");
        let threads = HashingThreads::start(1).expect("started");
        assert!(threads.run(niceness).await.expect("run") > niceness());
    }
}
