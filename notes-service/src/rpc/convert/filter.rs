//! Filters, of lists and wherever else notes are chosen.

use std::time::SystemTime;

use prost_types::Timestamp;
use proto::notes::v1 as wire;

use super::Violations;
use crate::domain::{Color, NoteFilter, TimeRange};

const TIME_RULE: &str = "must be a time from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z";

/// The first and the last second of a valid time.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// The parts of a second.
const NANOS: std::ops::Range<i32> = 0..1_000_000_000;

impl Violations {
    /// Reads a filter; one that is not there, or of which something is wrong, has no conditions.
    pub(super) fn filter(&mut self, field: &str, filter: Option<&wire::NoteFilter>) -> NoteFilter {
        let Some(filter) = filter else { return NoteFilter::default() };
        let color = |number| Color::from_number(number).ok_or("must be a value of NoteColor");
        NoteFilter {
            pinned: filter.pinned,
            archived: filter.archived,
            color: filter.color.and_then(|number| self.check(&format!("{field}.color"), color(number))),
            tag: (!filter.tag.is_empty()).then(|| self.tag_name(&format!("{field}.tag"), &filter.tag)).flatten(),
            create_time: self.time_range(&format!("{field}.create_time_range"), filter.create_time_range.as_ref()),
            update_time: self.time_range(&format!("{field}.update_time_range"), filter.update_time_range.as_ref()),
        }
    }

    fn time_range(&mut self, field: &str, range: Option<&wire::TimeRange>) -> Option<TimeRange> {
        let range = range?;
        let (start, end) = (range.start_time.as_ref(), range.end_time.as_ref());
        let read_start = start.and_then(|time| self.time(&format!("{field}.start_time"), time));
        let read_end = end.and_then(|time| self.time(&format!("{field}.end_time"), time));
        if start.is_some() != read_start.is_some() || end.is_some() != read_end.is_some() {
            return None;
        }
        self.check(field, TimeRange::parse(read_start, read_end))
    }

    fn time(&mut self, field: &str, time: &Timestamp) -> Option<SystemTime> {
        let valid = SECONDS.contains(&time.seconds) && NANOS.contains(&time.nanos);
        self.check(field, SystemTime::try_from(*time).ok().filter(|_| valid).ok_or(TIME_RULE))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::violations;
    use super::*;

    fn list(filter: wire::NoteFilter) -> wire::ListNotesRequest {
        wire::ListNotesRequest { filter: Some(filter), ..wire::ListNotesRequest::default() }
    }

    fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos })
    }

    fn range(start_time: Option<Timestamp>, end_time: Option<Timestamp>) -> Option<wire::TimeRange> {
        Some(wire::TimeRange { start_time, end_time })
    }

    #[test]
    fn all_violations_of_a_filter_are_told_at_once() {
        let bad = wire::NoteFilter {
            color: Some(11),
            tag: "tags/Work".to_owned(),
            create_time_range: range(None, None),
            update_time_range: range(at(0, -1), at(253_402_300_800, 0)),
            ..wire::NoteFilter::default()
        };
        let expected = [
            "page_size",
            "filter.color",
            "filter.tag",
            "filter.create_time_range",
            "filter.update_time_range.start_time",
            "filter.update_time_range.end_time",
        ];
        assert_eq!(
            violations(super::super::list_notes(wire::ListNotesRequest { page_size: -1, ..list(bad) })),
            expected
        );
    }

    #[test]
    fn a_range_ends_after_it_begins_and_within_the_years_of_a_timestamp() {
        #[track_caller]
        fn check(start: Option<Timestamp>, end: Option<Timestamp>, refused: &[&str]) {
            let filter = wire::NoteFilter { create_time_range: range(start, end), ..wire::NoteFilter::default() };
            let mut found = Violations::default();
            found.filter("filter", Some(&filter));
            let fields: Vec<_> = found.0.into_iter().map(|violation| violation.field).collect();
            let refused: Vec<_> = refused.iter().map(|path| format!("filter.create_time_range{path}")).collect();
            assert_eq!(fields, refused);
        }
        let (first, last) = (at(*SECONDS.start(), 0), at(*SECONDS.end(), 999_999_999));
        check(first, last, &[]);
        check(first, None, &[]);
        check(None, last, &[]);
        check(last, first, &[""]);
        check(first, first, &[""]);
        check(at(5, 1), at(5, 0), &[""]);
        check(at(SECONDS.start() - 1, 999_999_999), None, &[".start_time"]);
        check(at(0, 1_000_000_000), None, &[".start_time"]);
        check(None, at(SECONDS.end() + 1, 0), &[".end_time"]);
        check(None, at(i64::MIN, i32::MIN), &[".end_time"]);
        check(at(i64::MAX, i32::MAX), at(0, 0), &[".start_time"]);
    }

    #[test]
    fn a_filter_has_the_conditions_that_were_set() {
        let read = |filter: wire::NoteFilter| super::super::list_notes(list(filter)).expect("well-formed").filter;
        let none = wire::NoteFilter::default();
        assert_eq!(read(none.clone()), NoteFilter::default());
        let tag = "tags/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d".to_owned();
        let filter = read(wire::NoteFilter { pinned: Some(false), color: Some(0), tag, ..none });
        assert_eq!((filter.pinned, filter.archived, filter.color), (Some(false), None, Some(Color::default())));
        assert!(filter.tag.is_some() && filter.create_time.is_none());
    }
}
