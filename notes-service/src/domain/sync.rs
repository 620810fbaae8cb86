use super::{Note, NoteId, OwnerState, SetDigest, Tag, TagId, View};

/// Page size of changes when the caller names none.
pub const CHANGES_PAGE_SIZE_DEFAULT: u16 = 200;
/// Largest page of changes; more is brought down to it.
pub const CHANGES_PAGE_SIZE_MAX: u16 = 1_000;
/// Upper bound of what the name of something that is gone adds to an answer, in bytes.
const REMOVAL_BYTES: usize = 64;

/// How many changes a page holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangesPageSize(u16);

impl ChangesPageSize {
    /// Reads a page size: 0 is the default, more than the largest is the largest, negative is refused (AIP-158).
    #[must_use]
    pub fn parse(size: i32) -> Option<Self> {
        match size {
            ..0 => None,
            0 => Some(Self(CHANGES_PAGE_SIZE_DEFAULT)),
            size => Some(Self(u16::try_from(size).unwrap_or(CHANGES_PAGE_SIZE_MAX).min(CHANGES_PAGE_SIZE_MAX))),
        }
    }

    /// The number of changes.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// How far a copy of an owner's notes and tags has come: a place among the owner's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncPoint {
    /// The life of the owner's data that the copy is of; 0 while it is of none.
    pub epoch: i64,
    /// The number of the last change that the copy has; 0 for an empty one.
    pub change_seq: i64,
    /// The number of the last change when the copy was begun: it never had what was removed until then.
    pub begun_at: i64,
}

/// Where to go on, or that it is not possible to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// After this point.
    After(SyncPoint),
    /// The owner's changes have come no further.
    UpToDate(SyncPoint),
    /// Removals that the copy must hear of are forgotten, or it has seen changes that the store has not: it must be begun
    /// again.
    Expired,
}

impl SyncPoint {
    /// The point of an empty copy.
    pub const BEGINNING: Self = Self { epoch: 0, change_seq: 0, begun_at: 0 };

    /// The point of a copy that has all that this owner has now.
    #[must_use]
    pub fn now(state: Option<&OwnerState>) -> Self {
        state.map_or(Self::BEGINNING, |state| Self {
            epoch: state.epoch,
            change_seq: state.change_seq,
            begun_at: state.change_seq,
        })
    }

    /// Where a copy at this point goes on, for an owner in this state.
    #[must_use]
    pub fn resume(self, state: Option<&OwnerState>) -> Resumption {
        let Some(state) = state else {
            return if self.change_seq == 0 { Resumption::UpToDate(Self::BEGINNING) } else { Resumption::Expired };
        };
        if self.change_seq == 0 {
            // An empty copy can be of any life, and may begin again at any time.
            let begun = Self { change_seq: 0, ..Self::now(Some(state)) };
            return if state.change_seq == 0 { Resumption::UpToDate(begun) } else { Resumption::After(begun) };
        }
        let from_the_future = self.change_seq > state.change_seq || self.begun_at > state.change_seq;
        if self.epoch != state.epoch || from_the_future || self.heard_of_removals() < state.forgotten_seq {
            return Resumption::Expired;
        }
        if self.change_seq == state.change_seq { Resumption::UpToDate(self) } else { Resumption::After(self) }
    }

    /// The last change up to which the copy need not hear of removals.
    #[must_use]
    pub fn heard_of_removals(self) -> i64 {
        self.change_seq.max(self.begun_at)
    }
}

/// One change of an owner's notes or tags, as a copy has need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This note was made or changed, and now is like this.
    Note(Note),
    /// This note was removed for good.
    Removed(NoteId),
    /// Whatever lay in the trash was removed for good.
    TrashEmptied,
    /// This tag was made or changed, and now is like this.
    Tag(Tag),
    /// This tag was deleted.
    TagRemoved(TagId),
}

impl Change {
    /// Upper bound of what the change adds to an answer, in bytes.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        match self {
            Self::Note(note) => note.answer_bytes(),
            Self::Tag(tag) => tag.answer_bytes(),
            Self::Removed(_) | Self::TagRemoved(_) | Self::TrashEmptied => REMOVAL_BYTES,
        }
    }
}

/// What a whole copy comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotesDigest {
    /// Notes that are not in the trash.
    pub note_count: u64,
    /// The digest of these.
    pub notes: SetDigest,
    /// Notes in the trash.
    pub deleted_note_count: u64,
    /// The digest of these.
    pub deleted_notes: SetDigest,
    /// Tags.
    pub tag_count: u64,
    /// The digest of these.
    pub tags: SetDigest,
}

impl NotesDigest {
    /// The digest of an owner in this state.
    #[must_use]
    pub fn of(state: Option<&OwnerState>) -> Self {
        state.map_or(
            Self {
                note_count: 0,
                notes: SetDigest::default(),
                deleted_note_count: 0,
                deleted_notes: SetDigest::default(),
                tag_count: 0,
                tags: SetDigest::default(),
            },
            |state| Self {
                note_count: state.note_count - state.deleted_note_count,
                notes: state.notes,
                deleted_note_count: state.deleted_note_count,
                deleted_notes: state.deleted_notes,
                tag_count: state.tag_count,
                tags: state.tags,
            },
        )
    }
}

/// Which changes to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangesQuery {
    /// How far the copy has come.
    pub after: SyncPoint,
    /// Whether contents are read.
    pub view: View,
    /// How many changes at most.
    pub size: u16,
    /// How many bytes of changes at most, unless the first one alone has more.
    pub bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An owner of this many changes who has forgotten the removals up to `forgotten_seq`.
    fn owner(change_seq: i64, forgotten_seq: i64) -> OwnerState {
        OwnerState { change_seq, forgotten_seq, ..OwnerState::empty(7) }
    }

    fn point(change_seq: i64, begun_at: i64) -> SyncPoint {
        SyncPoint { epoch: 7, change_seq, begun_at }
    }

    #[track_caller]
    fn check(point: SyncPoint, state: &OwnerState, expected: Resumption) {
        assert_eq!(point.resume(Some(state)), expected);
    }

    #[test]
    fn a_copy_goes_on_where_it_is() {
        check(point(3, 3), &owner(9, 0), Resumption::After(point(3, 3)));
        check(point(9, 3), &owner(9, 0), Resumption::UpToDate(point(9, 3)));
    }

    #[test]
    fn an_empty_copy_begins_in_any_life_and_has_no_need_of_earlier_removals() {
        check(SyncPoint::BEGINNING, &owner(9, 8), Resumption::After(point(0, 9)));
        check(SyncPoint { epoch: 1, ..point(0, 4) }, &owner(9, 8), Resumption::After(point(0, 9)));
        check(SyncPoint::BEGINNING, &owner(0, 0), Resumption::UpToDate(point(0, 0)));
        assert_eq!(SyncPoint::BEGINNING.resume(None), Resumption::UpToDate(SyncPoint::BEGINNING));
    }

    #[test]
    fn a_copy_that_missed_a_forgotten_removal_begins_again() {
        check(point(4, 4), &owner(9, 5), Resumption::Expired);
        check(point(5, 4), &owner(9, 5), Resumption::After(point(5, 4)));
        check(point(4, 5), &owner(9, 5), Resumption::After(point(4, 5)));
    }

    #[test]
    fn a_copy_of_another_life_or_from_the_future_begins_again() {
        check(SyncPoint { epoch: 8, ..point(4, 4) }, &owner(9, 0), Resumption::Expired);
        check(point(10, 4), &owner(9, 0), Resumption::Expired);
        check(point(4, 10), &owner(9, 0), Resumption::Expired);
        assert_eq!(point(4, 4).resume(None), Resumption::Expired);
    }

    #[test]
    fn a_page_size_is_brought_into_bounds_and_negative_is_refused() {
        let check = |size, expected| assert_eq!(ChangesPageSize::parse(size).map(ChangesPageSize::get), expected);
        check(0, Some(200));
        check(1, Some(1));
        check(1_000, Some(1_000));
        check(1_001, Some(1_000));
        check(-1, None);
    }
}
