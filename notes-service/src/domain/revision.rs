use std::fmt;
use std::time::{Duration, SystemTime};

use authn::SessionId;

use super::{Note, NoteId, PageSize, View};

/// Page size of a list of revisions when the caller names none.
pub const REVISION_PAGE_SIZE_DEFAULT: u16 = 50;
/// Largest page of revisions; more is brought down to it.
pub const REVISION_PAGE_SIZE_MAX: u16 = 200;

/// Names a version of a note within the note: the number of its changes until then, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevisionId(i64);

impl RevisionId {
    /// Reads the decimal form without sign and leading zeros; every other spelling is refused, so that one revision has
    /// one name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.parse().ok().and_then(Self::from_number)?;
        (number.to_string() == text).then_some(number)
    }

    /// The id of this number, if it is one.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        (number >= 1).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What took the place of a version that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionReason {
    /// An update that was meant for it.
    Edit,
    /// A return to a version before it.
    Rollback,
    /// An update by somebody who did not say what they had seen.
    BlindOverwrite,
}

impl RevisionReason {
    const ALL: [Self; 3] = [Self::Edit, Self::Rollback, Self::BlindOverwrite];

    /// The number in the contract and in the store.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Edit => 1,
            Self::Rollback => 2,
            Self::BlindOverwrite => 3,
        }
    }

    /// The reason of this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }
}

/// A version of a note that was kept when another took its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The note as it was, without its tags; never in the trash.
    pub snapshot: Note,
    /// When the other took its place.
    pub create_time: SystemTime,
    /// What that was.
    pub reason: RevisionReason,
}

impl Revision {
    /// The note with the values of this revision in place of its own, its tags, times and etag still the old ones. The
    /// revision was read whole.
    #[must_use]
    pub fn restore(&self, note: &Note) -> Note {
        let Note { title, content, content_bytes, snippet, pinned, archived, color, .. } = self.snapshot.clone();
        Note { title, content, content_bytes, snippet, pinned, archived, color, ..note.clone() }
    }
}

/// How versions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionPolicy {
    /// How long after one was kept a session's further edits keep none.
    pub coalesce: Duration,
    /// How many of a note are kept whatever their age.
    pub min: u16,
    /// How many of a note are kept at most.
    pub max: u16,
    /// How long those beyond the least number are kept.
    pub retention: Duration,
    /// Most bytes of titles and contents that the revisions of one owner may come to.
    pub bytes: u64,
}

/// Another text that is to take the place of a note's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// What it is.
    pub reason: RevisionReason,
    /// The session whose write it is, if it is known.
    pub session: Option<SessionId>,
    /// How versions are kept.
    pub policy: RevisionPolicy,
}

/// What is counted of the revisions of one note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How many there are.
    pub count: u64,
    /// Bytes of their titles and contents.
    pub bytes: u64,
    /// When one was kept last, and the session whose write that was.
    pub last: Option<(SystemTime, Option<SessionId>)>,
}

impl History {
    /// Whether the version must be kept that a replacement takes the place of at `time`. Only an edit of a session that
    /// has just kept one goes without: what it takes the place of is that session's own text, which it has seen.
    #[must_use]
    pub fn must_keep(&self, replacement: &Replacement, time: SystemTime) -> bool {
        let coalesces = match (self.last, replacement) {
            (
                Some((last, Some(before))),
                Replacement { reason: RevisionReason::Edit, session: Some(session), policy },
            ) => before == *session && time < last + policy.coalesce,
            _ => false,
        };
        !coalesces
    }

    /// Counts one more of this size, kept at `time` for a write of `session`.
    #[must_use]
    pub const fn and(self, bytes: u64, time: SystemTime, session: Option<SessionId>) -> Self {
        Self { count: self.count + 1, bytes: self.bytes + bytes, last: Some((time, session)) }
    }

    /// Counts some less, which came to this size.
    #[must_use]
    pub const fn without(self, count: u64, bytes: u64) -> Self {
        Self { count: self.count - count, bytes: self.bytes - bytes, last: self.last }
    }
}

/// Which revisions to read, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionQuery {
    /// Of which note.
    pub note: NoteId,
    /// Whether contents are read.
    pub view: View,
    /// How many at most.
    pub size: PageSize,
    /// Where to begin: right before this one; none is the newest.
    pub before: Option<RevisionId>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Color, Content, NoteFields, Title};

    const POLICY: RevisionPolicy = RevisionPolicy {
        coalesce: Duration::from_secs(300),
        min: 10,
        max: 100,
        retention: Duration::ZERO,
        bytes: 1_000,
    };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn session(number: u128) -> Option<SessionId> {
        Some(SessionId::from_uuid(Uuid::from_u128(number)))
    }

    #[test]
    fn a_revision_is_named_by_a_decimal_number_in_one_spelling() {
        for good in ["1", "10", "9223372036854775807"] {
            assert_eq!(RevisionId::parse(good).map(|id| id.to_string()).as_deref(), Some(good));
        }
        for bad in ["", "0", "-1", "+1", "01", " 1", "1 ", "1.0", "0x1", "٣", "9223372036854775808", &"9".repeat(1_000)]
        {
            assert_eq!(RevisionId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_reason_has_a_number_of_its_own() {
        for reason in RevisionReason::ALL {
            assert_eq!(RevisionReason::from_number(reason.number()), Some(reason));
        }
        assert_eq!([0, 4, -1].map(RevisionReason::from_number), [None; 3]);
    }

    #[test]
    fn only_edits_of_one_session_within_the_time_keep_one_version_together() {
        let check = |last: Option<(u64, Option<SessionId>)>, reason, session, time, kept: bool| {
            let history = History { last: last.map(|(seconds, session)| (at(seconds), session)), ..History::default() };
            let replacement = Replacement { reason, session, policy: POLICY };
            assert_eq!(history.must_keep(&replacement, at(time)), kept, "{last:?} {replacement:?} at {time}");
        };
        let edit = RevisionReason::Edit;
        check(None, edit, session(1), 1_000, true);
        check(Some((1_000, session(1))), edit, session(1), 1_299, false);
        check(Some((1_000, session(1))), edit, session(1), 1_300, true);
        check(Some((1_000, session(1))), edit, session(2), 1_001, true);
        check(Some((1_000, session(1))), edit, None, 1_001, true);
        check(Some((1_000, None)), edit, None, 1_001, true);
        for never in [RevisionReason::BlindOverwrite, RevisionReason::Rollback] {
            check(Some((1_000, session(1))), never, session(1), 1_001, true);
        }
    }

    #[test]
    fn what_is_kept_and_removed_is_counted() {
        let two = History::default().and(5, at(1), session(1)).and(7, at(2), session(2));
        assert_eq!(two, History { count: 2, bytes: 12, last: Some((at(2), session(2))) });
        assert_eq!(two.without(1, 5), History { count: 1, bytes: 7, last: two.last });
    }

    #[test]
    fn a_note_takes_every_value_of_a_revision_and_keeps_its_own_version() {
        let fields = |text: &str, pinned, color| NoteFields {
            title: Title::parse(text).unwrap(),
            content: Content::parse(text).unwrap(),
            pinned,
            archived: pinned,
            color: Color::from_number(color).unwrap(),
            tags: Vec::new(),
        };
        let id = NoteId::from_uuid(Uuid::nil());
        let snapshot = Note::new(id, fields("before", true, 3), at(1));
        let note = Note::new(id, fields("the present one", false, 0), at(1)).changed_at(at(9));
        let revision = Revision { snapshot: snapshot.clone(), create_time: at(9), reason: RevisionReason::Edit };
        let restored = revision.restore(&note);
        assert_eq!(restored, Note { etag: note.etag, update_time: at(9), ..snapshot });
    }
}
