use super::super::{FoundRevision, RevisionPage};
use super::*;
use crate::domain::{PageSize, Revision, RevisionId, RevisionQuery, View};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn a_session() -> Option<SessionId> {
    Some(SessionId::from_uuid(Uuid::new_v4()))
}

impl Fixture {
    /// A page of revisions; none if there is no such note.
    async fn page_of_revisions(&self, owner: Subject, note: NoteId, size: i32, view: View) -> Option<RevisionPage> {
        let size = PageSize::parse(size).expect("a size");
        let query = RevisionQuery { note, view, size, before: None };
        self.repository.for_owner(owner).revisions(query).await.expect("the store works")
    }

    /// All revisions of a note that is there, the newest first and whole.
    pub(super) async fn history(&self, owner: Subject, note: NoteId) -> Vec<Revision> {
        let size = PageSize::parse(7).expect("a size");
        let (mut revisions, mut before) = (Vec::new(), None);
        loop {
            let query = RevisionQuery { note, view: View::Full, size, before };
            let page = self.repository.for_owner(owner).revisions(query).await.expect("the store works");
            let page = page.expect("the note is there");
            revisions.extend(page.revisions);
            match page.next {
                None => return revisions,
                next => before = next,
            }
        }
    }

    async fn contents(&self, owner: Subject, note: NoteId) -> Vec<String> {
        let revisions = self.history(owner, note).await;
        revisions.into_iter().map(|revision| text(&revision.snapshot)).collect()
    }

    pub(super) async fn roll_back(
        &self,
        owner: Subject,
        id: NoteId,
        revision: i64,
        etag: Option<Etag>,
    ) -> Changed<Refusal> {
        let (now, revision) = (self.now(), RevisionId::from_number(revision).expect("a revision"));
        let replacement = Replacement { reason: RevisionReason::Rollback, session: None, policy: POLICY };
        let decide = move |owner: &mut OwnerState, note: &Note, revision: Option<&Revision>| {
            let Some(revision) = revision else { return Decision::Refuse(Refusal::NoRevision) };
            if note.trashed.is_some() {
                return Decision::Refuse(Refusal::InTrash);
            }
            if etag.is_some_and(|etag| etag != note.etag) {
                return Decision::Refuse(Refusal::EtagMismatch);
            }
            let changed = revision.restore(note);
            owner.resize(note.bytes(), changed.bytes(), &QUOTA).expect("there is room");
            Decision::Replace(changed.changed_at(owner.stamp(now).time), replacement)
        };
        self.repository.for_owner(owner).roll_back(id, revision, decide).await.expect("the store works")
    }

    /// Replaces the text of a note as often as that, so that each version is kept.
    pub(super) async fn write_versions(&self, owner: Subject, id: NoteId, count: usize) {
        for index in 0..count {
            done(self.update(owner, id, content(&format!("{index}")), None).await);
        }
    }

    /// Asserts that what is counted of the revisions of an owner is what a recount comes to.
    pub(super) async fn check_revision_counters(&self, owner: Subject) {
        let owner_id = owner.as_uuid();
        let read = self.repository.database.for_owner(owner_id).read(move |connection| {
            Box::pin(async move {
                let rows = note_revision::Entity::find().filter(note_revision::Column::OwnerId.eq(owner_id));
                let notes = note::Entity::find().filter(note::Column::OwnerId.eq(owner_id));
                Ok((rows.all(connection).await?, notes.all(connection).await?))
            })
        });
        let (rows, notes) = read.await.expect("the store works");
        let size = |row: &note_revision::Model| i64::try_from(row.title.len()).unwrap() + row.content_bytes;
        for note in &notes {
            let own: Vec<_> = rows.iter().filter(|row| row.note_id == note.note_id).collect();
            let bytes: i64 = own.iter().map(|row| size(row)).sum();
            assert_eq!((note.revision_count, note.revision_bytes), (i64::try_from(own.len()).unwrap(), bytes));
            assert!(own.iter().all(|row| row.revision < note.revision), "a revision is before its note");
        }
        let state = self.state(owner).await.expect("the owner wrote");
        assert_eq!(state.revision_bytes, rows.iter().map(size).sum::<i64>());
    }
}

pub(super) fn text(note: &Note) -> String {
    note.content.clone().expect("it was read whole").into_string()
}

#[tokio::test]
async fn a_version_whose_place_is_taken_is_kept_whole() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let fields = NoteFields {
        title: Title::parse("Käse").unwrap(),
        content: Content::parse("the first text").unwrap(),
        pinned: true,
        archived: true,
        color: crate::domain::Color::from_number(4).unwrap(),
        tags: Vec::new(),
    };
    let first = fixture.create(alice, fields).await;
    assert_eq!(fixture.history(alice, first.id).await, [], "there is none of a new note");
    let second = done(fixture.update(alice, first.id, content("the second"), Some(first.etag)).await);
    let third = done(fixture.update(alice, first.id, content("the third"), None).await);
    let kept = |snapshot: &Note, next: &Note, reason| Revision {
        snapshot: snapshot.clone(),
        create_time: next.update_time,
        reason,
    };
    let expected = [kept(&second, &third, RevisionReason::BlindOverwrite), kept(&first, &second, RevisionReason::Edit)];
    assert_eq!(fixture.history(alice, first.id).await, expected);
    for revision in expected {
        let id = RevisionId::from_number(revision.snapshot.etag.revision).unwrap();
        let found = fixture.repository.for_owner(alice).revision(first.id, id).await.unwrap();
        assert!(matches!(found, FoundRevision::Found(found) if found == revision));
    }
    fixture.check_revision_counters(alice).await;
}

#[tokio::test]
async fn what_leaves_the_text_keeps_nothing() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let note = fixture.create(alice, written("text")).await;
    let pin = NotePatch { pinned: Some(true), ..NotePatch::default() };
    done(fixture.update(alice, note.id, pin, None).await);
    done(fixture.update(alice, note.id, content("text"), None).await);
    done(fixture.trash(alice, note.id).await);
    done(fixture.restore(alice, note.id).await);
    assert_eq!(fixture.contents(alice, note.id).await, Vec::<String>::new());
    let retitled = NotePatch { title: Some(Title::parse("a title is text").unwrap()), ..NotePatch::default() };
    done(fixture.update(alice, note.id, retitled, None).await);
    assert_eq!(fixture.contents(alice, note.id).await, ["text"]);
}

#[tokio::test]
async fn edits_of_one_session_keep_one_version_in_five_minutes() {
    let fixture = Fixture::fresh().await;
    let (alice, laptop, phone) = (somebody(), a_session(), a_session());
    let mut note = fixture.create(alice, written("0")).await;
    let start = fixture.now();
    let steps = [
        (laptop, Duration::ZERO, "1"), // keeps 0
        (laptop, MINUTE, "2"),         // and 1 is the laptop's own
        (laptop, 5 * MINUTE - Duration::from_secs(1), "3"),
        (laptop, 5 * MINUTE, "4"), // keeps 3
        (phone, 6 * MINUTE, "5"),  // keeps 4, which the laptop wrote
        (phone, 7 * MINUTE, "6"),
        (laptop, 8 * MINUTE, "7"),                        // keeps 6, which the phone wrote
        (None, 8 * MINUTE + Duration::from_secs(1), "8"), // nobody knows whose this is
        (None, 8 * MINUTE + Duration::from_secs(2), "9"),
    ];
    for (session, after, text) in steps {
        let etag = Some(note.etag);
        note = done(fixture.update_by(session, (alice, note.id), content(text), etag, start + after).await);
    }
    assert_eq!(fixture.contents(alice, note.id).await, ["8", "7", "6", "4", "3", "0"]);
    let blind = start + 9 * MINUTE;
    done(fixture.update_by(laptop, (alice, note.id), content("10"), None, blind).await);
    done(fixture.update_by(laptop, (alice, note.id), content("11"), None, blind).await);
    assert_eq!(fixture.contents(alice, note.id).await[..2], ["10", "9"], "blind ones are never kept together");
    fixture.check_revision_counters(alice).await;
}

#[tokio::test]
async fn a_note_is_rolled_back_and_the_version_left_behind_is_kept() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let first = fixture.create(alice, written("first")).await;
    let second = done(fixture.update(alice, first.id, content("second"), None).await);
    assert!(
        matches!(fixture.roll_back(alice, first.id, 2, None).await, Changed::Refused(Refusal::NoRevision)),
        "it is the head"
    );
    assert!(matches!(fixture.roll_back(alice, first.id, 9, None).await, Changed::Refused(Refusal::NoRevision)));
    let stale = fixture.roll_back(alice, first.id, 1, Some(first.etag)).await;
    assert!(matches!(stale, Changed::Refused(Refusal::EtagMismatch)));

    let Changed::Done(third) = fixture.roll_back(alice, first.id, 1, Some(second.etag)).await else { panic!("done") };
    assert_eq!((text(&third).as_str(), third.etag.revision), ("first", 3));
    let history = fixture.history(alice, first.id).await;
    assert_eq!(history.iter().map(|revision| text(&revision.snapshot)).collect::<Vec<_>>(), ["second", "first"]);
    assert_eq!(history[0].reason, RevisionReason::Rollback);
    let Changed::Done(fourth) = fixture.roll_back(alice, first.id, 2, None).await else { panic!("done") };
    assert_eq!(text(&fourth), "second");
    assert_eq!(fixture.state(alice).await.expect("alice wrote").change_seq, 4);

    done(fixture.trash(alice, first.id).await);
    let trashed = fixture.roll_back(alice, first.id, 1, None).await;
    assert!(matches!(trashed, Changed::Refused(Refusal::InTrash)));
    assert_eq!(fixture.history(alice, first.id).await.len(), 3, "which is readable in the trash too");
    fixture.check_revision_counters(alice).await;
}

#[tokio::test]
async fn the_newest_hundred_are_kept() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let note = fixture.create(alice, written("made")).await;
    fixture.write_versions(alice, note.id, 100).await;
    let contents = fixture.contents(alice, note.id).await;
    assert_eq!((contents.len(), contents.last().map(String::as_str)), (100, Some("made")));
    fixture.write_versions(alice, note.id, 3).await;
    let contents = fixture.contents(alice, note.id).await;
    assert_eq!((contents.len(), contents.last().map(String::as_str)), (100, Some("2")));
    fixture.check_revision_counters(alice).await;
}

#[tokio::test]
async fn beyond_the_newest_ten_a_version_goes_after_thirty_days() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let (note, other) = (fixture.create(alice, written("made")).await, fixture.create(alice, written("other")).await);
    fixture.write_versions(alice, note.id, 15).await;
    fixture.write_versions(alice, other.id, 12).await;
    let bobs = fixture.create(bob, written("his")).await;
    fixture.write_versions(bob, bobs.id, 10).await;
    fixture.purge(30 * DAY - MINUTE, 2).await;
    assert_eq!(fixture.history(alice, note.id).await.len(), 15);

    let due = fixture.state(alice).await.expect("alice wrote").purge_due_us;
    assert!(due.is_some(), "she is due for them");
    assert_eq!(fixture.state(bob).await.expect("bob wrote").purge_due_us, None, "ten stay whatever their age");
    fixture.purge(30 * DAY + MINUTE, 2).await;
    assert_eq!(fixture.contents(alice, note.id).await, ["13", "12", "11", "10", "9", "8", "7", "6", "5", "4"]);
    assert_eq!(fixture.history(alice, other.id).await.len(), 10);
    assert_eq!(fixture.history(bob, bobs.id).await.len(), 10);
    assert_eq!(fixture.state(alice).await.expect("alice wrote").purge_due_us, None);
    for owner in [alice, bob] {
        fixture.check_revision_counters(owner).await;
    }
    // One more pushes another out of the ten, and it is old enough at once.
    let late = fixture.now() + 31 * DAY;
    done(fixture.update_by(None, (alice, note.id), content("late"), None, late).await);
    fixture.purge(31 * DAY + MINUTE, 2).await;
    assert_eq!(fixture.contents(alice, note.id).await.len(), 10);
}

#[tokio::test]
async fn revisions_go_with_their_note() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let bobs = fixture.create(bob, written("his")).await;
    fixture.write_versions(bob, bobs.id, 3).await;
    let mut notes = Vec::new();
    for _ in 0..4 {
        let note = fixture.create(alice, written("hers")).await;
        fixture.write_versions(alice, note.id, 5).await;
        notes.push(note.id);
    }
    for id in &notes[1..] {
        done(fixture.trash(alice, *id).await);
    }
    assert_eq!(fixture.count::<note_revision::Entity>().await, 23);
    done(fixture.expunge(alice, notes[1]).await);
    assert_eq!(fixture.count::<note_revision::Entity>().await, 18);
    fixture.check_revision_counters(alice).await;

    assert_eq!(fixture.empty_trash(alice).await, 2);
    assert!(fixture.page_of_revisions(alice, notes[2], 10, View::Basic).await.is_none(), "gone at once");
    fixture.check_revision_counters(alice).await;
    assert_eq!(fixture.purge(Duration::ZERO, 3).await, 2);
    assert_eq!(fixture.count::<note_revision::Entity>().await, 8);
    done(fixture.trash(alice, notes[0]).await);
    assert_eq!(fixture.purge(RETENTION + MINUTE, 3).await, 1);
    assert_eq!(fixture.count::<note_revision::Entity>().await, 3);
    assert_eq!(fixture.state(alice).await.expect("alice wrote").revision_bytes, 0);
    assert_eq!(fixture.contents(bob, bobs.id).await, ["1", "0", "his"]);
}

#[tokio::test]
async fn a_batch_of_the_removal_is_small_in_revisions_too() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    for _ in 0..3 {
        let note = fixture.create(alice, written("hers")).await;
        fixture.write_versions(alice, note.id, 4).await;
        done(fixture.trash(alice, note.id).await);
    }
    fixture.empty_trash(alice).await;
    let purge = super::super::Purge { now: fixture.now(), tombstone_retention: DAY, batch: 8 };
    let due = fixture.repository.due_owners(None, purge.now).await.expect("the store works");
    let first = fixture.repository.purge(due.owners[0], purge).await.expect("the store works");
    assert_eq!((first.notes, first.more), (2, true), "three would be twelve revisions");
    let second = fixture.repository.purge(due.owners[0], purge).await.expect("the store works");
    assert_eq!((second.notes, second.more), (1, false));
}

#[tokio::test]
async fn a_page_of_whole_revisions_ends_at_three_mebibytes() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let large = |letter: &str| letter.repeat(262_144 / 4 * 4);
    let note = fixture.create(alice, written(&"😀".repeat(262_144))).await;
    for letter in ["a", "b", "c", "d"] {
        done(fixture.update(alice, note.id, content(&format!("{}{letter}", "😀".repeat(262_143))), None).await);
    }
    done(fixture.update(alice, note.id, content(&large("z")), None).await);
    let page = fixture.page_of_revisions(alice, note.id, 50, View::Full).await.expect("it is there");
    assert_eq!((page.revisions.len(), page.next.map(RevisionId::number)), (2, Some(4)));
    let page = fixture.page_of_revisions(alice, note.id, 50, View::Basic).await.expect("it is there");
    assert_eq!((page.revisions.len(), page.next), (5, None));
    assert!(page.revisions.iter().all(|revision| revision.snapshot.content.is_none()));
    assert_eq!(fixture.history(alice, note.id).await.len(), 5, "page after page");
}

#[tokio::test]
async fn the_history_of_somebody_else_is_missing() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let note = fixture.create(alice, written("hers")).await;
    done(fixture.update(alice, note.id, content("x"), None).await);
    fixture.create(bob, written("")).await;
    let first = RevisionId::from_number(1).unwrap();
    for stranger in [bob, somebody()] {
        assert!(fixture.page_of_revisions(stranger, note.id, 10, View::Full).await.is_none());
        let found = fixture.repository.for_owner(stranger).revision(note.id, first).await.unwrap();
        assert!(matches!(found, FoundRevision::NoNote));
        assert!(matches!(fixture.roll_back(stranger, note.id, 1, None).await, Changed::Missing));
    }
    let none =
        fixture.repository.for_owner(alice).revision(note.id, RevisionId::from_number(2).unwrap()).await.unwrap();
    assert!(matches!(none, FoundRevision::NoRevision));
    let found = fixture.repository.for_owner(alice).revision(note.id, first).await.unwrap();
    assert!(matches!(found, FoundRevision::Found(_)));
}
