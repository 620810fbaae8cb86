use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Tells the wall-clock time, in whole microseconds, and waits. A value that is handed down, so that tests can hold
/// it still; nothing else in this project asks the system for the time of day.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(watch::Receiver<u64>),
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The present moment, truncated to a microsecond, the precision of every store and every message. A clock set
    /// before 1970 reads as 1970.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let micros = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time of day")]
            Source::System => micros_since_epoch(SystemTime::now()),
            Source::Manual(micros) => *micros.borrow(),
        };
        UNIX_EPOCH + Duration::from_micros(micros)
    }

    /// Waits for `duration` from this call on, in time that does not jump when the machine's clock is set. With a
    /// manual clock, waits until that has been moved as far.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let start = match &self.0 {
            Source::System => Start::System(tokio::time::Instant::now()),
            Source::Manual(now) => Start::Manual(*now.borrow(), now.clone()),
        };
        async move {
            match start {
                Start::System(start) => match start.checked_add(duration) {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                },
                Start::Manual(start, mut now) => {
                    let end = start.saturating_add(micros(duration));
                    if now.wait_for(|now| *now >= end).await.is_err() {
                        std::future::pending().await // nobody is left who could move the clock
                    }
                }
            }
        }
    }

    /// Waits until the clock shows `moment`, also when it is set meanwhile (noticed within a minute).
    pub async fn sleep_until(&self, moment: SystemTime) {
        const LOOK_AGAIN: Duration = Duration::from_secs(60);
        while let Ok(left) = moment.duration_since(self.now())
            && !left.is_zero()
        {
            self.sleep(left.min(LOOK_AGAIN)).await;
        }
    }
}

enum Start {
    System(tokio::time::Instant),
    Manual(u64, watch::Receiver<u64>),
}

/// A clock that moves only when it is told to.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<u64>>);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: SystemTime) -> Self {
        Self(Arc::new(watch::Sender::new(micros_since_epoch(start))))
    }

    /// The clock to hand to the code under test; it follows this one.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(self.0.subscribe()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = now.saturating_add(micros(by)));
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, to: SystemTime) {
        self.0.send_replace(micros_since_epoch(to));
    }
}

fn micros_since_epoch(time: SystemTime) -> u64 {
    micros(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn a_manual_clock_moves_only_when_it_is_told_to() {
        let manual = ManualClock::starting_at(UNIX_EPOCH + START + Duration::from_nanos(1_999));
        let clock = manual.clock();
        assert_eq!(clock.now(), UNIX_EPOCH + START + Duration::from_micros(1), "truncated");
        manual.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), UNIX_EPOCH + START + Duration::from_secs(5) + Duration::from_micros(1));
        manual.set(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(clock.now(), UNIX_EPOCH);
    }

    #[tokio::test]
    async fn a_sleep_counts_from_its_call_and_ends_to_the_microsecond() {
        let manual = ManualClock::starting_at(UNIX_EPOCH + START);
        let mut sleep = std::pin::pin!(manual.clock().sleep(Duration::from_secs(10)));
        manual.advance(Duration::from_secs(10) - Duration::from_micros(1));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        manual.advance(Duration::from_micros(1));
        sleep.await;
    }

    #[tokio::test]
    async fn waiting_for_a_moment_follows_a_clock_that_is_set() {
        let manual = ManualClock::starting_at(UNIX_EPOCH + START);
        let clock = manual.clock();
        let mut wait = std::pin::pin!(clock.sleep_until(UNIX_EPOCH + START + Duration::from_secs(300)));
        assert!(futures_util::poll!(&mut wait).is_pending());
        manual.set(UNIX_EPOCH + START - Duration::from_secs(3600));
        assert!(futures_util::poll!(&mut wait).is_pending());
        manual.set(UNIX_EPOCH + START + Duration::from_secs(300));
        wait.await;
        clock.sleep_until(UNIX_EPOCH).await;
    }

    #[tokio::test]
    async fn the_clock_of_the_machine_waits_too() {
        Clock::system().sleep(Duration::from_micros(1)).await;
        Clock::system().sleep_until(UNIX_EPOCH).await;
        let never = std::pin::pin!(Clock::system().sleep(Duration::MAX));
        assert!(futures_util::poll!(never).is_pending());
    }
}
