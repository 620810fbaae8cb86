use std::sync::Arc;

use super::super::{Changes, ChangesPage, TagChanged, TagDeleted};
use super::tags::tagged;
use super::workload::{make_and_remove_at_random, tag_at_random};
use super::*;
use crate::domain::{
    Change, ChangesQuery, Color, NOTE_BYTES_BESIDE_CONTENT, NotesDigest, Order, PAGE_BYTES, PageQuery, PageSize,
    SetDigest, SyncPoint, Tag, TagId, View,
};
use crate::testing::list_in;

/// A copy of an owner's notes and tags, kept as the contract tells a client to.
#[derive(Clone, Debug)]
struct Copy {
    owner: Subject,
    notes: BTreeMap<NoteId, Note>,
    tags: BTreeMap<TagId, Tag>,
    point: SyncPoint,
}

impl Copy {
    const fn of(owner: Subject) -> Self {
        Self { owner, notes: BTreeMap::new(), tags: BTreeMap::new(), point: SyncPoint::BEGINNING }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Note(note) => drop(self.notes.insert(note.id, note)),
            Change::Removed(id) => drop(self.notes.remove(&id)),
            Change::TrashEmptied => self.notes.retain(|_, note| note.trashed.is_none()),
            Change::Tag(tag) => drop(self.tags.insert(tag.id, tag)),
            Change::TagRemoved(id) => drop(self.tags.remove(&id)),
        }
    }

    /// What the copy comes to, counted by itself.
    fn digest(&self) -> NotesDigest {
        let of = |trashed: bool| {
            let notes: Vec<_> = self.notes.values().filter(|note| note.trashed.is_some() == trashed).collect();
            let digest = notes.iter().fold(SetDigest::default(), |set, note| set.toggled(note.id, note.etag));
            (u64::try_from(notes.len()).expect("few notes"), digest)
        };
        let ((note_count, notes), (deleted_note_count, deleted_notes)) = (of(false), of(true));
        let tags = self.tags.values().fold(SetDigest::default(), |set, tag| set.tag_toggled(tag.id, tag.etag));
        let tag_count = self.tags.len().try_into().expect("few tags");
        NotesDigest { note_count, notes, deleted_note_count, deleted_notes, tag_count, tags }
    }

    /// The versions of all that is in it.
    fn etags(&self) -> Vec<(Uuid, Etag)> {
        let notes = self.notes.values().map(|note| (note.id.as_uuid(), note.etag));
        notes.chain(self.tags.values().map(|tag| (tag.id.as_uuid(), tag.etag))).collect()
    }
}

impl Fixture {
    async fn changes(&self, owner: Subject, after: SyncPoint, view: View, size: u16) -> Changes {
        let query = ChangesQuery { after, view, size, bytes: PAGE_BYTES };
        self.repository.for_owner(owner).changes(query).await.expect("the store works")
    }

    /// Reads the next page into the copy, and says what it held.
    async fn follow_a_page(&self, copy: &mut Copy, view: View, size: u16) -> ChangesPage {
        let Changes::Page(page) = self.changes(copy.owner, copy.point, view, size).await else { panic!("expired") };
        assert!(page.changes.len() <= usize::from(size));
        for change in &page.changes {
            copy.apply(change.clone());
        }
        copy.point = page.next;
        page
    }

    /// Reads pages into the copy until there is no more; it must be whole then.
    async fn follow(&self, copy: &mut Copy, view: View, size: u16) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            let page = self.follow_a_page(copy, view, size).await;
            changes.extend(page.changes);
            if let Some(digest) = page.digest {
                assert_eq!(copy.digest(), digest);
                return changes;
            }
        }
    }

    /// A copy of what a list brings, at the point of its first page.
    async fn list(&self, owner: Subject) -> Copy {
        let (order, size) = (Order::parse("").expect("the default"), PageSize::parse(7).expect("a size"));
        let mut query = PageQuery { show_deleted: true, view: View::Full, size, ..list_in(order) };
        let mut copy = Copy::of(owner);
        loop {
            let page = self.repository.for_owner(owner).page(query.clone()).await.expect("the store works");
            if query.after.is_none() {
                copy.point = page.as_of.unwrap_or(SyncPoint::BEGINNING);
                copy.tags = self.tags(owner).await.into_iter().map(|tag| (tag.id, tag)).collect();
            }
            copy.notes.extend(page.notes.into_iter().map(|note| (note.id, note)));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return copy,
            }
        }
    }

    async fn trashed(&self, owner: Subject, text: &str) -> Note {
        let note = self.create(owner, written(text)).await;
        done(self.trash(owner, note.id).await)
    }
}

#[tokio::test]
async fn copies_that_follow_from_any_point_are_whole_whatever_is_written_meanwhile() {
    let fixture = Arc::new(Fixture::fresh().await);
    let owner = somebody();
    let readers = (1..=2_u64).map(|seed| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            let (mut copies, mut dice) = (vec![Copy::of(owner)], Dice::new(seed));
            for _ in 0..300 {
                let index = dice.roll(copies.len());
                let size = u16::try_from(1 + dice.roll(30)).expect("small");
                let view = if dice.roll(2) == 0 { View::Basic } else { View::Full };
                match dice.roll(8) {
                    // A copy of a copy goes on alone, later, from the point where this one is.
                    0 if copies.len() < 20 => copies.push(copies[index].clone()),
                    1 if copies.len() < 20 => copies.push(fixture.list(owner).await),
                    2 if copies.len() < 20 => copies.push(Copy::of(owner)),
                    _ => {
                        let page = fixture.follow_a_page(&mut copies[index], view, size).await;
                        if let Some(digest) = page.digest {
                            assert_eq!(copies[index].digest(), digest, "whole at this moment");
                        }
                    }
                }
            }
            copies
        })
    });
    let readers: Vec<_> = readers.collect();
    let writers = (11..=14_u64).map(|seed| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { make_and_remove_at_random(&fixture, owner, seed).await })
    });
    let taggers = (21..=22_u64).map(|seed| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { tag_at_random(&fixture, owner, seed).await })
    });
    let (writers, taggers): (Vec<_>, Vec<_>) = (writers.collect(), taggers.collect());
    for writer in futures_util::future::join_all(writers).await {
        writer.expect("no panic");
    }
    for tagger in futures_util::future::join_all(taggers).await {
        tagger.expect("no panic");
    }
    fixture.purge(Duration::ZERO, 1_000).await;

    let readers: Vec<_> = futures_util::future::join_all(readers).await;
    let mut whole = Copy::of(owner);
    fixture.follow(&mut whole, View::Full, 1_000).await;
    assert!(!whole.notes.is_empty() && !whole.tags.is_empty());
    let listed = fixture.list(owner).await;
    assert_eq!((&listed.notes, listed.etags()), (&whole.notes, whole.etags()));
    let notes: Vec<_> = whole.notes.values().collect();
    assert!(notes.iter().flat_map(|note| &note.tags).all(|tag| whole.tags.contains_key(tag)), "no tag is missing");
    fixture.check_counters(owner, &notes).await;
    fixture.check_tags(owner, &notes).await;
    for reader in readers {
        for mut copy in reader.expect("no panic") {
            fixture.follow(&mut copy, View::Full, 3).await;
            assert_eq!(copy.etags(), whole.etags());
        }
    }
}

#[tokio::test]
async fn a_note_comes_once_however_often_it_changed_and_again_when_it_changes_again() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let (first, second) = (fixture.create(alice, written("1")).await, fixture.create(alice, written("2")).await);
    for text in ["a", "b", "c"] {
        done(fixture.update(alice, first.id, content(text), None).await);
    }
    let mut copy = Copy::of(alice);
    let changes = fixture.follow(&mut copy, View::Full, 10).await;
    assert_eq!(changes.len(), 2);
    assert!(matches!(&changes[0], Change::Note(note) if note.id == second.id), "the one that changed last is last");
    assert_eq!(fixture.follow(&mut copy, View::Full, 10).await, []);
    done(fixture.trash(alice, second.id).await);
    let changes = fixture.follow(&mut copy, View::Full, 10).await;
    assert!(matches!(&changes[..], [Change::Note(note)] if note.trashed.is_some()), "{changes:?}");
    assert_eq!(fixture.follow(&mut Copy::of(somebody()), View::Full, 10).await, [], "somebody else has nothing");
}

#[tokio::test]
async fn a_tag_comes_as_it_now_is_and_its_deletion_with_the_notes_that_had_it() {
    let fixture = Fixture::fresh().await;
    let (alice, mut copy) = (somebody(), Copy::of(somebody()));
    copy.owner = alice;
    let tag = fixture.tag(alice, "work").await;
    let note = fixture.create(alice, tagged(&[tag.id])).await;
    let changes = fixture.follow(&mut copy, View::Basic, 10).await;
    let [Change::Tag(first), Change::Note(_)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((first.etag, first.note_count), (tag.etag, 1));

    for name in ["play", "rest"] {
        assert!(matches!(fixture.rename(alice, tag.id, name).await, TagChanged::Done(_)));
    }
    let changes = fixture.follow(&mut copy, View::Basic, 10).await;
    assert!(matches!(&changes[..], [Change::Tag(tag)] if tag.fields.display_name.as_str() == "rest"), "{changes:?}");
    assert!(matches!(fixture.delete_tag(alice, tag.id).await, TagDeleted::Done));
    let again = fixture.tag(alice, "rest").await;
    let changes = fixture.follow(&mut copy, View::Basic, 1).await;
    let [Change::Note(untagged), Change::TagRemoved(removed), Change::Tag(made)] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((untagged.id, untagged.tags.len(), *removed, made.id), (note.id, 0, tag.id, again.id));
    let changes = fixture.follow(&mut Copy::of(alice), View::Basic, 10).await;
    assert!(
        matches!(&changes[..], [Change::Note(_), Change::Tag(_)]),
        "an empty copy hears of no removal: {changes:?}"
    );
}

#[tokio::test]
async fn a_page_of_tags_ends_before_it_is_too_large_and_has_one_tag_at_least() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "a").await;
    for name in ["b", "c"] {
        fixture.tag(alice, name).await;
    }
    let one = tag.answer_bytes();
    for (bytes, expected) in [(0, 1), (2 * one - 1, 1), (2 * one, 2), (3 * one, 3)] {
        let query = ChangesQuery { after: SyncPoint::BEGINNING, view: View::Full, size: 100, bytes };
        let changes = fixture.repository.for_owner(alice).changes(query).await.expect("the store works");
        let Changes::Page(page) = changes else { panic!("{changes:?}") };
        assert_eq!((page.changes.len(), page.digest.is_some()), (expected, expected == 3), "{bytes}");
    }
}

#[tokio::test]
async fn a_copy_from_before_a_forgotten_deletion_of_a_tag_must_begin_again() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let mut old = Copy::of(alice);
    let tag = fixture.tag(alice, "work").await;
    fixture.follow(&mut old, View::Basic, 10).await;
    assert!(matches!(fixture.delete_tag(alice, tag.id).await, TagDeleted::Done));
    let mut new = old.clone();
    assert_eq!(fixture.follow(&mut new, View::Basic, 10).await, [Change::TagRemoved(tag.id)]);
    fixture.purge(2 * RETENTION, 10).await;
    fixture.tag(alice, "play").await;
    assert!(matches!(fixture.changes(alice, old.point, View::Basic, 10).await, Changes::Expired));
    fixture.follow(&mut new, View::Basic, 10).await;
}

#[tokio::test]
async fn an_emptied_trash_is_one_change_to_whoever_knew_what_lay_in_it() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let live = fixture.create(alice, written("live")).await;
    let known = fixture.trashed(alice, "known").await;
    let mut knows = Copy::of(alice);
    fixture.follow(&mut knows, View::Basic, 10).await;
    // The copy has this note as a live one when the trash is emptied, and must not keep it.
    let surprise = fixture.create(alice, written("surprise")).await;
    fixture.follow(&mut knows, View::Basic, 10).await;
    done(fixture.trash(alice, surprise.id).await);
    fixture.empty_trash(alice).await;
    let later = fixture.trashed(alice, "later").await;

    let mut slow = knows.clone();
    let changes = fixture.follow(&mut knows, View::Full, 10).await;
    let [Change::Removed(removed), Change::TrashEmptied, Change::Note(note)] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((removed, note.id), (&surprise.id, later.id));
    assert_eq!(knows.notes.keys().copied().collect::<Vec<_>>(), {
        let mut left = [live.id, later.id];
        left.sort_unstable();
        left
    });

    assert_eq!(fixture.purge(Duration::ZERO, 10).await, 2);
    let changes = fixture.follow(&mut knows, View::Full, 10).await;
    for id in [known.id, surprise.id] {
        assert!(changes.contains(&Change::Removed(id)), "each comes as removed when its row goes: {changes:?}");
    }
    fixture.follow(&mut slow, View::Full, 1).await;
    let mut fresh = Copy::of(alice);
    assert_eq!(fixture.follow(&mut fresh, View::Full, 10).await.len(), 2, "an empty copy hears of no removal");
    assert_eq!(slow.notes.keys().collect::<Vec<_>>(), fresh.notes.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn emptying_the_trash_writes_the_same_however_much_lies_in_it() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    for index in 0..30 {
        fixture.trashed(alice, &index.to_string()).await;
    }
    let before = fixture.change_seqs(alice).await;
    let state = fixture.state(alice).await.expect("alice wrote");
    assert_eq!(fixture.empty_trash(alice).await, 30);
    assert_eq!(fixture.change_seqs(alice).await, before, "no note was touched");
    assert_eq!(fixture.state(alice).await.expect("alice wrote").change_seq, state.change_seq + 1);
    assert_eq!(fixture.count::<tombstone::Entity>().await, 0);
}

#[tokio::test]
async fn a_copy_from_before_a_forgotten_removal_must_begin_again_and_none_other() {
    const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let note = fixture.create(alice, written("text")).await;
    let other = fixture.create(alice, written("other")).await;
    let mut old = Copy::of(alice);
    fixture.follow(&mut old, View::Basic, 10).await;
    // In the middle of its first copy, which began before the removal.
    let mut slow = Copy::of(alice);
    fixture.follow_a_page(&mut slow, View::Basic, 1).await;
    done(fixture.trash(alice, note.id).await);
    done(fixture.expunge(alice, note.id).await);
    let mut new = Copy::of(alice);
    fixture.follow_a_page(&mut new, View::Basic, 1).await;
    assert!(matches!(fixture.changes(alice, old.point, View::Basic, 10).await, Changes::Page(_)), "remembered");

    fixture.purge(REMEMBERED, 10).await;
    done(fixture.update(alice, other.id, content("more"), None).await);
    assert!(matches!(fixture.changes(alice, old.point, View::Basic, 10).await, Changes::Expired));
    assert!(matches!(fixture.changes(alice, slow.point, View::Basic, 10).await, Changes::Expired));
    fixture.follow(&mut new, View::Basic, 1).await;
    fixture.follow(&mut Copy::of(alice), View::Basic, 1).await;
}

#[tokio::test]
async fn a_copy_of_a_store_that_was_set_back_must_begin_again() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    fixture.create(alice, written("text")).await;
    let mut copy = Copy::of(alice);
    fixture.follow(&mut copy, View::Basic, 10).await;
    let ahead = SyncPoint { change_seq: copy.point.change_seq + 1, ..copy.point };
    assert!(matches!(fixture.changes(alice, ahead, View::Basic, 10).await, Changes::Expired), "from the future");
    let elsewhere = SyncPoint { epoch: copy.point.epoch + 1, ..copy.point };
    assert!(matches!(fixture.changes(alice, elsewhere, View::Basic, 10).await, Changes::Expired), "another life");
    assert!(matches!(fixture.changes(bob, copy.point, View::Basic, 10).await, Changes::Expired), "nothing is left");
    assert!(matches!(fixture.changes(alice, copy.point, View::Basic, 10).await, Changes::Page(_)));
}

#[tokio::test]
async fn a_page_of_whole_notes_ends_before_it_is_too_large_and_has_one_note_at_least() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let text = "x".repeat(10_000);
    for _ in 0..5 {
        fixture.create(alice, written(&text)).await;
    }
    let page = async |bytes| {
        let query = ChangesQuery { after: SyncPoint::BEGINNING, view: View::Full, size: 100, bytes };
        match fixture.repository.for_owner(alice).changes(query).await.expect("the store works") {
            Changes::Page(page) => page,
            Changes::Expired => panic!("expired"),
        }
    };
    let one = text.len() + NOTE_BYTES_BESIDE_CONTENT;
    for (bytes, expected) in [(0, 1), (one, 1), (2 * one - 1, 1), (2 * one, 2), (5 * one, 5)] {
        let page = page(bytes).await;
        assert_eq!((page.changes.len(), page.digest.is_some()), (expected, expected == 5), "{bytes}");
        for change in page.changes {
            let Change::Note(note) = change else { panic!("{change:?}") };
            assert_eq!(note.content.map(Content::into_string), Some(text.clone()));
        }
    }
    let mut copy = Copy::of(alice);
    fixture.follow(&mut copy, View::Full, 2).await;
    assert!(copy.notes.values().all(|note| note.color == Color::default() && note.content.is_some()));
}
