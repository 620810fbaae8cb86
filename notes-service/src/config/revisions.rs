//! How versions of notes are kept.

use std::time::Duration;

use runtime::config::Reader;

use super::DAY;
use crate::domain::RevisionPolicy;

/// Default of `revisions.coalesce`.
pub const REVISION_COALESCE: Duration = Duration::from_secs(300);
/// Default of `revisions.min`.
pub const REVISIONS_MIN: u16 = 10;
/// Default of `revisions.max`.
pub const REVISIONS_MAX: u16 = 100;
/// Default of `revisions.retention`.
pub const REVISION_RETENTION: Duration = Duration::from_secs(30 * DAY);

pub(super) fn read(reader: &mut Reader) -> RevisionPolicy {
    const MIN: &str = "revisions.min";
    let bytes = reader.bytes(
        "quota.revision_bytes",
        4 << 30,
        1..=1 << 50,
        "Most bytes of titles and contents of revisions of one owner.",
    );
    let coalesce = reader.duration(
        "revisions.coalesce",
        REVISION_COALESCE,
        Duration::ZERO..=Duration::from_secs(DAY),
        "How long after an edit has kept a revision further edits of the session, each with an etag, keep none.",
    );
    let mut number = |key, default: u16, doc| {
        u16::try_from(reader.number(key, default.into(), 1..=1_000, doc)).expect("the bounds fit 16 bits")
    };
    let min = number(MIN, REVISIONS_MIN, "How many revisions of a note are kept whatever their age.");
    let max = number("revisions.max", REVISIONS_MAX, "How many revisions of a note are kept at most.");
    let retention = reader.duration(
        "revisions.retention",
        REVISION_RETENTION,
        Duration::from_secs(DAY)..=Duration::from_secs(3_650 * DAY),
        "How long revisions beyond revisions.min are kept.",
    );
    if min > max {
        reader.refuse(MIN, "must not be more than revisions.max");
    }
    RevisionPolicy { coalesce, min, max, retention, bytes: u64::try_from(bytes).expect("a size fits 64 bits") }
}
