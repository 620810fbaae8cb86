use std::time::{Duration, SystemTime};

use super::{Note, NoteFields, SetDigest, TAGS_PER_OWNER_MAX, Tag};

/// What one owner may keep, the trash included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most notes.
    pub notes: u64,
    /// Most bytes of titles and contents.
    pub bytes: u64,
}

/// A write was refused because it would exceed a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaExceeded {
    /// Too many notes; the limit.
    Notes(u64),
    /// Too many bytes; the limit.
    Bytes(u64),
    /// Too many tags; the limit.
    Tags(u64),
    /// Too many bytes of revisions; the limit.
    RevisionBytes(u64),
}

/// The place of one change among all changes of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Later than every time given before to the same owner.
    pub time: SystemTime,
    /// One more than the change before.
    pub change_seq: i64,
}

/// What is counted per owner. Locked first in every transaction that writes, so that the changes of one owner commit in
/// their order, while owners never wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerState {
    /// Number of the last change.
    pub change_seq: i64,
    /// Tells this life of the owner's data from one before a restored backup.
    pub epoch: i64,
    /// Notes, the trash included.
    pub note_count: u64,
    /// Notes in the trash.
    pub deleted_note_count: u64,
    /// Bytes of titles and contents, the trash included.
    pub bytes: u64,
    /// Bytes of titles and contents in the trash.
    pub deleted_bytes: u64,
    /// Time of the last change.
    pub last_update: SystemTime,
    /// Number of the present trash, from 1. What lies in one before was emptied out and is only yet to be removed.
    pub trash_epoch: i64,
    /// Number of the change that emptied the trash last; 0 if none did.
    pub emptied_seq: i64,
    /// Number of the last removal whose tombstone is gone; 0 if none is.
    pub forgotten_seq: i64,
    /// Digest of the notes that are not in the trash.
    pub notes: SetDigest,
    /// Digest of the notes in the trash.
    pub deleted_notes: SetDigest,
    /// Digest of the tags.
    pub tags: SetDigest,
    /// Nothing of the owner is to be removed for good before; none if nothing is.
    pub purge_due: Option<SystemTime>,
    /// Tags.
    pub tag_count: u64,
    /// Bytes of titles and contents of revisions, those of removed notes until their rows are gone.
    pub revision_bytes: u64,
}

impl OwnerState {
    /// The state of an owner who has nothing yet.
    #[must_use]
    pub fn empty(epoch: i64) -> Self {
        Self {
            change_seq: 0,
            epoch,
            note_count: 0,
            deleted_note_count: 0,
            bytes: 0,
            deleted_bytes: 0,
            last_update: SystemTime::UNIX_EPOCH,
            trash_epoch: 1,
            emptied_seq: 0,
            forgotten_seq: 0,
            notes: SetDigest::default(),
            deleted_notes: SetDigest::default(),
            tags: SetDigest::default(),
            purge_due: None,
            tag_count: 0,
            revision_bytes: 0,
        }
    }

    /// Keeps the digest of what is there: `before` became `after`, where none is a note that is not there.
    pub fn digest(&mut self, before: Option<&Note>, after: Option<&Note>) {
        for note in [before, after].into_iter().flatten() {
            let digest = if note.trashed.is_some() { &mut self.deleted_notes } else { &mut self.notes };
            *digest = digest.toggled(note.id, note.etag);
        }
    }

    /// Keeps the digest of the tags: `before` became `after`, where none is a tag that is not there.
    pub fn digest_tag(&mut self, before: Option<&Tag>, after: Option<&Tag>) {
        for tag in [before, after].into_iter().flatten() {
            self.tags = self.tags.tag_toggled(tag.id, tag.etag);
        }
    }

    /// Remembers that the removal of this number is forgotten.
    pub fn forget(&mut self, change_seq: i64) {
        self.forgotten_seq = self.forgotten_seq.max(change_seq);
    }

    /// Counts one change.
    pub fn stamp(&mut self, now: SystemTime) -> Stamp {
        self.change_seq += 1;
        self.last_update = now.max(self.last_update + Duration::from_micros(1));
        Stamp { time: self.last_update, change_seq: self.change_seq }
    }

    /// Counts a new note.
    ///
    /// # Errors
    /// If it would exceed the quota; nothing is counted then.
    pub fn add(&mut self, fields: &NoteFields, now: SystemTime, quota: &Quota) -> Result<Stamp, QuotaExceeded> {
        if self.note_count >= quota.notes {
            return Err(QuotaExceeded::Notes(quota.notes));
        }
        if self.bytes + fields.bytes() > quota.bytes {
            return Err(QuotaExceeded::Bytes(quota.bytes));
        }
        self.note_count += 1;
        self.bytes += fields.bytes();
        Ok(self.stamp(now))
    }

    /// Counts a changed size. Shrinking is allowed above the quota too.
    ///
    /// # Errors
    /// If growing would exceed the quota; nothing is counted then.
    pub const fn resize(&mut self, from: u64, to: u64, quota: &Quota) -> Result<(), QuotaExceeded> {
        let bytes = self.bytes - from + to;
        if to > from && bytes > quota.bytes {
            return Err(QuotaExceeded::Bytes(quota.bytes));
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Whether one more revision of this size may be kept. Shrinking is allowed above the limit too.
    ///
    /// # Errors
    /// If it would exceed the limit, and the text that takes its place is no shorter.
    pub const fn may_keep_revision(&self, from: u64, to: u64, limit: u64) -> Result<(), QuotaExceeded> {
        if to >= from && self.revision_bytes + from > limit {
            return Err(QuotaExceeded::RevisionBytes(limit));
        }
        Ok(())
    }

    /// Counts a revision of this size.
    pub const fn keep_revision(&mut self, bytes: u64) {
        self.revision_bytes += bytes;
    }

    /// Counts revisions of this size that are removed.
    pub const fn forget_revisions(&mut self, bytes: u64) {
        self.revision_bytes -= bytes;
    }

    /// Counts a note of this size that goes to the trash, to be removed for good `retention` later.
    pub fn trash(&mut self, bytes: u64, now: SystemTime, retention: Duration) -> Stamp {
        self.deleted_note_count += 1;
        self.deleted_bytes += bytes;
        let stamp = self.stamp(now);
        self.purge_at(stamp.time + retention);
        stamp
    }

    /// Counts a note of this size that comes back from the trash.
    pub fn restore(&mut self, bytes: u64, now: SystemTime) -> Stamp {
        self.deleted_note_count -= 1;
        self.deleted_bytes -= bytes;
        self.stamp(now)
    }

    /// Counts a note of this size that is removed from the trash for good; it leaves a tombstone until `remembered`.
    pub fn expunge(&mut self, bytes: u64, now: SystemTime, remembered: SystemTime) -> Stamp {
        self.note_count -= 1;
        self.bytes -= bytes;
        self.deleted_note_count -= 1;
        self.deleted_bytes -= bytes;
        self.purge_at(remembered);
        self.stamp(now)
    }

    /// Begins another trash, whatever lies in the present one. Says how many notes that were; none is no change.
    pub fn empty_trash(&mut self, now: SystemTime) -> u64 {
        let emptied = std::mem::take(&mut self.deleted_note_count);
        if emptied > 0 {
            self.note_count -= emptied;
            self.bytes -= std::mem::take(&mut self.deleted_bytes);
            self.trash_epoch += 1;
            self.deleted_notes = SetDigest::default();
            self.emptied_seq = self.stamp(now).change_seq;
            self.purge_at(now);
        }
        emptied
    }

    /// Counts a new tag.
    ///
    /// # Errors
    /// If the owner has as many as one may have; nothing is counted then.
    pub fn add_tag(&mut self, now: SystemTime) -> Result<Stamp, QuotaExceeded> {
        if self.tag_count >= TAGS_PER_OWNER_MAX {
            return Err(QuotaExceeded::Tags(TAGS_PER_OWNER_MAX));
        }
        self.tag_count += 1;
        Ok(self.stamp(now))
    }

    /// Counts a tag that is removed; it leaves a tombstone until `remembered`.
    pub fn remove_tag(&mut self, now: SystemTime, remembered: SystemTime) -> Stamp {
        self.tag_count -= 1;
        self.purge_at(remembered);
        self.stamp(now)
    }

    /// Remembers that something is to be removed for good at `time`.
    pub fn purge_at(&mut self, time: SystemTime) {
        self.purge_due = Some(self.purge_due.map_or(time, |due| due.min(time)));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Color, Content, NoteId, TagFields, TagId, TagName};

    const QUOTA: Quota = Quota { notes: 2, bytes: 10 };

    fn at(micros: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
    }

    fn sized(bytes: usize) -> NoteFields {
        NoteFields { content: Content::parse(&"a".repeat(bytes)).unwrap(), ..NoteFields::default() }
    }

    #[test]
    fn times_of_one_owner_strictly_increase_even_when_the_clock_does_not() {
        let mut owner = OwnerState::empty(0);
        let times = [at(50), at(50), at(20), at(100)].map(|now| owner.stamp(now));
        assert_eq!(times.map(|stamp| stamp.time), [at(50), at(51), at(52), at(100)]);
        assert_eq!(times.map(|stamp| stamp.change_seq), [1, 2, 3, 4]);
    }

    #[test]
    fn the_quota_is_reached_and_not_exceeded() {
        let mut owner = OwnerState::empty(0);
        owner.add(&sized(10), at(1), &QUOTA).expect("exactly the quota of bytes");
        assert_eq!(owner.add(&sized(1), at(1), &QUOTA), Err(QuotaExceeded::Bytes(10)));
        owner.add(&sized(0), at(1), &QUOTA).expect("exactly the quota of notes");
        assert_eq!(owner.add(&sized(0), at(1), &QUOTA), Err(QuotaExceeded::Notes(2)));
        assert_eq!((owner.note_count, owner.bytes, owner.change_seq), (2, 10, 2), "refusals count nothing");
    }

    #[test]
    fn shrinking_and_deleting_are_allowed_above_the_quota() {
        let mut owner = OwnerState { note_count: 5, bytes: 50, ..OwnerState::empty(0) };
        assert_eq!(owner.resize(20, 21, &QUOTA), Err(QuotaExceeded::Bytes(10)));
        assert_eq!(owner.resize(20, 19, &QUOTA), Ok(()));
        assert_eq!(owner.resize(19, 19, &QUOTA), Ok(()));
        owner.trash(9, at(1), Duration::ZERO);
        assert_eq!((owner.bytes, owner.deleted_note_count, owner.deleted_bytes), (49, 1, 9));
        owner.restore(9, at(2));
        assert_eq!((owner.note_count, owner.deleted_note_count, owner.deleted_bytes), (5, 0, 0));
        owner.trash(9, at(3), Duration::ZERO);
        owner.expunge(9, at(4), at(5));
        assert_eq!((owner.note_count, owner.bytes, owner.deleted_note_count, owner.deleted_bytes), (4, 40, 0, 0));
    }

    #[test]
    fn an_emptied_trash_counts_no_more_and_the_next_begins() {
        let mut owner = OwnerState { note_count: 5, bytes: 50, ..OwnerState::empty(0) };
        assert_eq!(owner.empty_trash(at(1)), 0);
        assert_eq!((owner.trash_epoch, owner.change_seq, owner.purge_due), (1, 0, None), "nothing is no change");
        owner.trash(20, at(1), Duration::from_micros(100));
        owner.trash(10, at(2), Duration::from_micros(100));
        assert_eq!(owner.purge_due, Some(at(101)), "the first of them");
        assert_eq!(owner.empty_trash(at(3)), 2);
        assert_eq!((owner.note_count, owner.bytes, owner.deleted_note_count, owner.deleted_bytes), (3, 20, 0, 0));
        assert_eq!((owner.trash_epoch, owner.change_seq, owner.purge_due), (2, 3, Some(at(3))));
        assert_eq!(owner.emptied_seq, 3);
    }

    #[test]
    fn the_digests_follow_a_note_through_its_life() {
        let mut owner = OwnerState::empty(0);
        let note = Note::new(NoteId::from_uuid(Uuid::nil()), sized(1), at(1));
        let (one, none) = (SetDigest::default().toggled(note.id, note.etag), SetDigest::default());
        owner.digest(None, Some(&note));
        assert_eq!((owner.notes, owner.deleted_notes), (one, none));
        let trashed = note.clone().into_trash(at(2), Duration::ZERO);
        owner.digest(Some(&note), Some(&trashed));
        assert_eq!((owner.notes, owner.deleted_notes), (none, none.toggled(trashed.id, trashed.etag)));
        let mut emptied = owner.clone();
        emptied.trash(1, at(2), Duration::ZERO);
        (emptied.note_count, emptied.bytes) = (1, 1);
        emptied.empty_trash(at(3));
        assert_eq!(emptied.deleted_notes, none);
        owner.digest(Some(&trashed), None);
        assert_eq!((owner.notes, owner.deleted_notes), (none, none));
    }

    #[test]
    fn the_digest_of_the_tags_follows_a_tag_through_its_life() {
        let mut owner = OwnerState::empty(0);
        let fields = |name: &str| TagFields { display_name: TagName::parse(name).unwrap(), color: Color::default() };
        let tag = Tag::new(TagId::from_uuid(Uuid::nil()), fields("a"), at(1));
        let one = |tag: &Tag| SetDigest::default().tag_toggled(tag.id, tag.etag);
        owner.digest_tag(None, Some(&tag));
        assert_eq!(owner.tags, one(&tag));
        let renamed = tag.clone().changed_at(fields("b"), at(2));
        owner.digest_tag(Some(&tag), Some(&renamed));
        assert_eq!(owner.tags, one(&renamed));
        owner.digest_tag(Some(&renamed), None);
        assert_eq!((owner.tags, owner.notes), (SetDigest::default(), SetDigest::default()));
    }

    #[test]
    fn what_is_forgotten_is_never_remembered_again() {
        let mut owner = OwnerState::empty(0);
        for change_seq in [5, 3] {
            owner.forget(change_seq);
            assert_eq!(owner.forgotten_seq, 5);
        }
    }
}
