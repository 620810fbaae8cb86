use std::time::{Duration, SystemTime};

use super::{Color, TagId};

/// Conditions on notes, all of which must hold; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoteFilter {
    /// Whether they are pinned.
    pub pinned: Option<bool>,
    /// Whether they are archived.
    pub archived: Option<bool>,
    /// Their colour.
    pub color: Option<Color>,
    /// A tag that they have; one that the owner does not have is that of no note.
    pub tag: Option<TagId>,
    /// When they were made.
    pub create_time: Option<TimeRange>,
    /// When they last changed.
    pub update_time: Option<TimeRange>,
}

/// Why a range was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeRangeError {
    /// It would hold every moment.
    #[error("must have a start_time, an end_time or both")]
    Unbounded,
    /// It would hold none.
    #[error("must have a start_time before its end_time")]
    Empty,
}

/// From its start on, and before its end; at least one of them is there. Both are whole microseconds, as times of notes
/// are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    start: Option<SystemTime>,
    end: Option<SystemTime>,
}

impl TimeRange {
    /// The range between two moments. One between two microseconds is as good as the later of these.
    ///
    /// # Errors
    /// If neither is there, or the start is not before the end.
    pub fn parse(start: Option<SystemTime>, end: Option<SystemTime>) -> Result<Self, TimeRangeError> {
        match (start, end) {
            (None, None) => Err(TimeRangeError::Unbounded),
            (Some(start), Some(end)) if start >= end => Err(TimeRangeError::Empty),
            _ => Ok(Self { start: start.map(to_whole_micros), end: end.map(to_whole_micros) }),
        }
    }

    /// The first moment of it.
    #[must_use]
    pub const fn start(self) -> Option<SystemTime> {
        self.start
    }

    /// The first moment after it.
    #[must_use]
    pub const fn end(self) -> Option<SystemTime> {
        self.end
    }
}

/// The first whole microsecond that is not before `time`.
fn to_whole_micros(time: SystemTime) -> SystemTime {
    let beyond = |since: Duration| u64::from(since.subsec_nanos() % 1_000);
    let missing = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (1_000 - beyond(after)) % 1_000,
        Err(before) => beyond(before.duration()),
    };
    time + Duration::from_nanos(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(nanos: u64) -> SystemTime {
        EPOCH + Duration::from_nanos(nanos)
    }

    #[test]
    fn a_range_has_a_bound_and_a_moment_in_it() {
        assert_eq!(TimeRange::parse(None, None), Err(TimeRangeError::Unbounded));
        assert_eq!(TimeRange::parse(Some(at(1)), Some(at(1))), Err(TimeRangeError::Empty));
        assert_eq!(TimeRange::parse(Some(at(2)), Some(at(1))), Err(TimeRangeError::Empty));
        for (start, end) in [(Some(at(0)), None), (None, Some(at(0))), (Some(at(1)), Some(at(2)))] {
            assert!(TimeRange::parse(start, end).is_ok());
        }
    }

    #[test]
    fn a_bound_between_two_microseconds_is_the_later_one() {
        let check = |time, expected| {
            let range = TimeRange::parse(Some(time), None).expect("a start is enough");
            assert_eq!(range.start(), Some(expected));
        };
        check(at(0), at(0));
        check(at(1), at(1_000));
        check(at(999), at(1_000));
        check(at(1_000), at(1_000));
        check(at(1_001), at(2_000));
        check(EPOCH - Duration::from_nanos(1), at(0));
        check(EPOCH - Duration::from_nanos(1_000), EPOCH - Duration::from_micros(1));
        check(EPOCH - Duration::from_nanos(1_999), EPOCH - Duration::from_micros(1));
    }
}
