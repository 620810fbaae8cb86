use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::steady::Steady;

/// Tells the wall-clock time, in whole microseconds, and waits. A value that is handed down, so that tests can hold
/// it still; nothing else in this project asks the system for the time of day.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Shared, so that whoever waits for long keeps little.
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: watch::Receiver<Moment>,
    steady: Option<Steady>,
}

/// What a manual clock stands at, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Since 1970.
    wall: u64,
    /// As far as the clock was moved and not set.
    elapsed: u64,
}

/// The time of day that this process goes by.
static STEADY: Steady = Steady::new();
/// From where time that does not jump is counted.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// The clock of the machine, as far as it can be believed: when it is set back the time goes on as before, until the
    /// clock is 15 minutes past where it was set back. Else a revoked token that has expired would be good again, for a
    /// revocation is forgotten when the last token that it covers has expired.
    ///
    /// Where the time of before was the wrong one, tokens that are issued by the right one look expired that long, or until a
    /// restart. So a time ahead is gone on with only when it has stood for ten minutes, and a clock that is set back by more
    /// than a day is believed at once. Takes no lock.
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
            Source::System => STEADY.show(micros_since_epoch(SystemTime::now()), micros(BEGUN.elapsed())),
            Source::Manual(manual) => {
                let Moment { wall, elapsed } = *manual.now.borrow();
                manual.steady.as_ref().map_or(wall, |steady| steady.show(wall, elapsed))
            }
        };
        UNIX_EPOCH + Duration::from_micros(micros)
    }

    /// Waits for `duration` from this call on, in time that does not jump when the machine's clock is set. With a
    /// manual clock, waits until that has been moved as far.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let start = match &self.0 {
            Source::System => Start::System(tokio::time::Instant::now()),
            Source::Manual(manual) => {
                let now = manual.now.clone();
                let passed: fn(&Moment) -> u64 =
                    if manual.steady.is_some() { |moment| moment.elapsed } else { |moment| moment.wall };
                let start = passed(&now.borrow());
                Start::Manual { start, passed, now }
            }
        };
        async move {
            match start {
                Start::System(start) => match start.checked_add(duration) {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                },
                Start::Manual { start, passed, mut now } => {
                    let end = start.saturating_add(micros(duration));
                    if now.wait_for(|now| passed(now) >= end).await.is_err() {
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
    Manual { start: u64, passed: fn(&Moment) -> u64, now: watch::Receiver<Moment> },
}

/// A clock that moves only when it is told to.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<Moment>>);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: SystemTime) -> Self {
        Self(Arc::new(watch::Sender::new(Moment { wall: micros_since_epoch(start), elapsed: 0 })))
    }

    /// The clock to hand to the code under test; it follows this one wherever it is set.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.followed(None)
    }

    /// The clock of a process on a machine whose clock this is: as [`Clock::system`] it goes on when this one is set back.
    #[must_use]
    pub fn machine(&self) -> Clock {
        let clock = self.followed(Some(Steady::new()));
        let _begun = clock.now();
        clock
    }

    fn followed(&self, steady: Option<Steady>) -> Clock {
        Clock(Source::Manual(Arc::new(Manual { now: self.0.subscribe(), steady })))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = micros(by);
        self.0.send_modify(|Moment { wall, elapsed }| {
            (*wall, *elapsed) = (wall.saturating_add(by), elapsed.saturating_add(by));
        });
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, to: SystemTime) {
        self.0.send_modify(|now| now.wall = micros_since_epoch(to));
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
    async fn the_clock_of_a_machine_goes_on_and_waits_the_same_when_that_is_set_back() {
        let manual = ManualClock::starting_at(UNIX_EPOCH + START);
        let clock = manual.machine();
        let mut wait = std::pin::pin!(clock.sleep_until(UNIX_EPOCH + START + Duration::from_secs(50)));
        manual.set(UNIX_EPOCH + START - Duration::from_secs(3600));
        assert_eq!(clock.now(), UNIX_EPOCH + START);
        manual.advance(Duration::from_secs(49));
        assert!(futures_util::poll!(&mut wait).is_pending());
        manual.advance(Duration::from_secs(50));
        assert_eq!(clock.now(), UNIX_EPOCH + START + Duration::from_secs(99));
        wait.await;
    }

    #[tokio::test]
    async fn the_clock_of_the_machine_waits_too() {
        Clock::system().sleep(Duration::from_micros(1)).await;
        Clock::system().sleep_until(UNIX_EPOCH).await;
        let never = std::pin::pin!(Clock::system().sleep(Duration::MAX));
        assert!(futures_util::poll!(never).is_pending());
    }
}
