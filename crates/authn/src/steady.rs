//! The time of day on a machine whose clock may be set.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tracing::warn;

/// Differences below this are those of two looks that do not come at the same time.
const SLACK: i64 = 10_000;
/// A difference above this is no clock that is slowly corrected, but one that was set.
const STEP: i64 = 1_000_000;
/// How long a clock that was set ahead must stay there before its time is defended, in time that does not jump.
const STANDS: u64 = micros(Duration::from_secs(10 * 60));
/// A clock that is set back by more than this was wrong before.
const LONGEST_HELD: i64 = micros(Duration::from_secs(24 * 60 * 60)).cast_signed();
/// Longer than an access token lives and a revocation is remembered.
const OUTLIVED: u64 = micros(Duration::from_secs(15 * 60));

/// What an atomic holds that holds nothing.
const NONE: u64 = 0;
const UNKNOWN: i64 = i64::MIN;

/// Shows the time of day, and goes on by the monotonic clock when the clock of the machine is set back.
///
/// Who believed a clock that is set back by an hour would accept tokens again that had expired, revoked ones among them:
/// a revocation is forgotten when the last token that it covers has expired. So the time of before is defended, until
/// the clock is 15 minutes past where it was set back: what was issued before then has expired by either time.
///
/// The price is paid when the time before was the wrong one and tokens are issued by the right one. They look expired for
/// as long as the clock was ahead, and 15 minutes, or until a restart. That is the lesser evil: refusals are seen, while
/// nobody sees that a revoked token is good again. It is bounded twice, so that no wrong reading locks everybody out for
/// ever: time ahead is shown while the clock is there, but must have stood for ten minutes to be defended when the clock
/// goes back; and a clock that is set back by more than a day is believed at once.
///
/// Looks take no lock. The members are changed one by one, which at worst begins a defence anew.
#[derive(Debug)]
pub(crate) struct Steady {
    /// What is added to the monotonic time, in microseconds.
    offset: AtomicI64,
    /// Since when the clock is ahead, in monotonic time.
    ahead_since: AtomicU64,
    /// What the clock must show to be believed again.
    held_until: AtomicU64,
}

impl Steady {
    pub(crate) const fn new() -> Self {
        Self { offset: AtomicI64::new(UNKNOWN), ahead_since: AtomicU64::new(NONE), held_until: AtomicU64::new(NONE) }
    }

    /// The time to show when the clock shows `wall` and the monotonic time is `elapsed`, which was looked at after it; all in
    /// microseconds.
    pub(crate) fn show(&self, wall: u64, elapsed: u64) -> u64 {
        let (signed_wall, signed_elapsed) = (signed(wall), signed(elapsed));
        let found = signed_wall.saturating_sub(signed_elapsed);
        let offset = self.offset.load(Ordering::Acquire);
        if offset == UNKNOWN {
            self.offset.store(found, Ordering::Release);
            return wall;
        }
        let defended = signed_elapsed.saturating_add(offset);
        let difference = signed_wall.saturating_sub(defended);
        let defended = u64::try_from(defended).unwrap_or_default();
        if difference > SLACK {
            forget(&self.held_until);
            self.follow(found, difference, elapsed);
        } else if difference < -SLACK {
            forget(&self.ahead_since);
            if self.believes_again(wall, defended, difference.saturating_neg()) {
                self.offset.store(found, Ordering::Release);
                self.held_until.store(NONE, Ordering::Release);
                return wall;
            }
        } else {
            forget(&self.ahead_since);
            forget(&self.held_until);
        }
        wall.max(defended)
    }

    /// The clock is ahead.
    fn follow(&self, found: i64, difference: i64, elapsed: u64) {
        if difference > STEP {
            let since = self.ahead_since.load(Ordering::Acquire);
            if since == NONE {
                self.ahead_since.store(elapsed.max(NONE + 1), Ordering::Release);
                return;
            }
            if elapsed.saturating_sub(since) < STANDS {
                return;
            }
        }
        self.offset.fetch_max(found, Ordering::AcqRel);
        self.ahead_since.store(NONE, Ordering::Release);
    }

    /// The clock is behind: whether it is believed nevertheless.
    fn believes_again(&self, wall: u64, defended: u64, by: i64) -> bool {
        if by > LONGEST_HELD {
            return true;
        }
        let held_until = self.held_until.load(Ordering::Acquire);
        if held_until != NONE {
            return wall >= held_until;
        }
        let until = defended.saturating_add(OUTLIVED);
        let is_first = self.held_until.compare_exchange(NONE, until, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_first && by > STEP {
            let seconds = by / STEP;
            warn!(seconds, "the clock was set back by {seconds} s: time goes on as before until it has caught up");
        }
        false
    }
}

/// Writes only if there is something, since everybody looks at it.
fn forget(moment: &AtomicU64) {
    if moment.load(Ordering::Relaxed) != NONE {
        moment.store(NONE, Ordering::Release);
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "constants of at most a day")]
const fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const START: u64 = 1_800_000_000 * SECOND;

    /// A machine that has run for an hour, whose clock was right when it was last looked at.
    struct Machine {
        steady: Steady,
        wall: u64,
        elapsed: u64,
    }

    impl Machine {
        fn started() -> Self {
            let mut machine = Self { steady: Steady::new(), wall: START, elapsed: HOUR };
            machine.check(0, START);
            machine
        }

        /// Some time passes.
        #[track_caller]
        fn check(&mut self, passed: u64, shown: u64) {
            (self.wall, self.elapsed) = (self.wall + passed, self.elapsed + passed);
            assert_eq!(self.steady.show(self.wall, self.elapsed), shown);
        }
    }

    #[test]
    fn time_goes_on_when_the_clock_is_set_back_until_all_tokens_of_then_have_expired_by_it() {
        let mut machine = Machine::started();
        machine.check(MINUTE, START + MINUTE);
        machine.wall -= HOUR;
        machine.check(0, START + MINUTE);
        machine.check(10 * MINUTE, START + 11 * MINUTE);
        machine.check(HOUR, START + HOUR + 11 * MINUTE);
        machine.check(5 * MINUTE - 1, START + HOUR + 16 * MINUTE - 1);
        machine.check(1, START + 16 * MINUTE);
        machine.check(HOUR, START + HOUR + 16 * MINUTE);
    }

    #[test]
    fn a_clock_that_is_put_right_again_ends_the_defence() {
        let mut machine = Machine::started();
        for _ in 0..2 {
            machine.wall -= HOUR;
            let now = machine.wall + HOUR;
            machine.check(MINUTE, now + MINUTE);
            machine.wall += HOUR;
            machine.check(MINUTE, now + 2 * MINUTE);
            machine.check(3 * HOUR, now + 3 * HOUR + 2 * MINUTE);
        }
    }

    #[test]
    fn time_ahead_is_shown_at_once_and_defended_only_when_it_has_stood() {
        let mut machine = Machine::started();
        machine.wall += HOUR;
        machine.check(0, START + HOUR);
        machine.check(9 * MINUTE, START + HOUR + 9 * MINUTE);
        machine.wall -= HOUR;
        machine.check(0, START + 9 * MINUTE);
        // The next one begins anew.
        machine.wall += HOUR;
        machine.check(5 * MINUTE, START + HOUR + 14 * MINUTE);
        machine.check(10 * MINUTE, START + HOUR + 24 * MINUTE);
        machine.wall -= HOUR;
        machine.check(MINUTE, START + HOUR + 25 * MINUTE);
    }

    #[test]
    fn a_clock_that_was_days_ahead_is_believed_as_soon_as_it_is_put_right() {
        let mut machine = Machine::started();
        machine.wall += 48 * HOUR;
        machine.check(0, START + 48 * HOUR);
        machine.check(HOUR, START + 49 * HOUR);
        machine.wall -= 48 * HOUR;
        machine.check(0, START + HOUR);
        machine.wall = 0;
        machine.check(0, 0);
        machine.check(MINUTE, MINUTE);
    }

    #[test]
    fn a_clock_that_is_slowly_corrected_is_followed_ahead_and_never_goes_back() {
        let mut machine = Machine::started();
        for step in 1..=100 {
            machine.wall += 100_000;
            machine.check(SECOND, START + step * (SECOND + 100_000));
        }
        let now = machine.wall;
        for step in 1..=100 {
            machine.wall -= 20_000;
            machine.check(SECOND, now + step * SECOND);
        }
        machine.check(20 * MINUTE, now + 20 * MINUTE + 98 * SECOND);
        let shown = machine.steady.show(machine.wall, machine.elapsed + SLACK.cast_unsigned());
        assert_eq!(shown, machine.wall + SLACK.cast_unsigned(), "two looks are not one");
    }

    #[test]
    fn no_reading_overflows() {
        let steady = Steady::new();
        for (wall, elapsed) in [(0, 0), (u64::MAX, 0), (u64::MAX, u64::MAX), (0, u64::MAX), (START, 1), (0, 2)] {
            steady.show(wall, elapsed);
        }
    }
}
