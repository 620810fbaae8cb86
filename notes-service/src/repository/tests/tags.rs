use std::collections::BTreeSet;

use sea_orm::ColumnTrait as _;

use super::super::entity::{note_tag, tag, tag_tombstone};
use super::super::{TagChanged, TagCreation, TagDecision, TagDeleted, TagDeletion, UNTAGGED_AT_ONCE, UnknownTags};
use super::*;
use crate::domain::{Color, PageSize, SetDigest, Tag, TagFields, TagId, TagName, TagNameKey, TagPatch, TitleKey, View};

impl Fixture {
    pub(super) async fn tag(&self, owner: Subject, name: &str) -> Tag {
        match self.make_tag(owner, name).await {
            TagCreation::Created(tag) => tag,
            other => panic!("not created: {other:?}"),
        }
    }

    async fn make_tag(&self, owner: Subject, name: &str) -> TagCreation {
        let id = TagId::from_uuid(Uuid::now_v7());
        self.repository.for_owner(owner).create_tag(id, named(name), self.now()).await.expect("the store works")
    }

    pub(super) async fn rename(&self, owner: Subject, id: TagId, name: &str) -> TagChanged<Refusal> {
        let (patch, now) = (TagPatch { display_name: Some(named(name).display_name), color: None }, self.now());
        let decide = move |owner: &mut OwnerState, tag: &Tag| {
            let fields = patch.apply(&tag.fields);
            TagDecision::Save(tag.clone().changed_at(fields, owner.stamp(now).time))
        };
        self.repository.for_owner(owner).change_tag(id, decide).await.expect("the store works")
    }

    pub(super) async fn delete_tag(&self, owner: Subject, id: TagId) -> TagDeleted<Refusal> {
        let now = self.now();
        let deletion = TagDeletion { id, now, remembered: now + RETENTION };
        self.repository.for_owner(owner).delete_tag(deletion, |_| None).await.expect("the store works")
    }

    /// The tags of an owner of few.
    pub(super) async fn tags(&self, owner: Subject) -> Vec<Tag> {
        let all = PageSize::parse(1_000).expect("a size");
        self.repository.for_owner(owner).tags_page(all, None).await.expect("the store works").tags
    }

    async fn note_counts(&self, owner: Subject) -> BTreeMap<TagId, u64> {
        self.tags(owner).await.into_iter().map(|tag| (tag.id, tag.note_count)).collect()
    }

    /// The rows of the tables of tags are those that the notes ask for.
    pub(super) async fn check_tags(&self, owner: Subject, notes: &[&Note]) {
        let id = owner.as_uuid();
        let read = self.repository.database.for_owner(id).read(move |connection| {
            Box::pin(async move {
                let rows = note_tag::Entity::find().filter(note_tag::Column::OwnerId.eq(id)).all(connection).await?;
                let trashes =
                    note::Entity::find().select_only().columns([note::Column::NoteId, note::Column::TrashEpoch]);
                let trashes = trashes.filter(note::Column::OwnerId.eq(id)).into_tuple::<(Uuid, i64)>();
                Ok((rows, trashes.all(connection).await?))
            })
        });
        let (rows, trashes) = read.await.expect("the store works");
        let trashes: BTreeMap<_, _> = trashes.into_iter().collect();
        let stored: BTreeSet<_> = rows
            .into_iter()
            .map(|row| (row.note_id, row.tag_id, row.trash_epoch, row.create_us, row.update_us, row.title_key))
            .collect();
        let (mut expected, mut counts) = (BTreeSet::new(), self.note_counts(owner).await);
        counts.values_mut().for_each(|count| *count = 0);
        for note in notes {
            let id = note.id.as_uuid();
            let [created, updated] = [note.create_time, note.update_time].map(runtime::database::to_micros);
            let title = TitleKey::of(&note.title).as_bytes().to_vec();
            for tag in &note.tags {
                expected.insert((id, tag.as_uuid(), trashes[&id], created, updated, title.clone()));
                *counts.get_mut(tag).expect("a tag of the owner") += u64::from(note.trashed.is_none());
            }
        }
        assert_eq!(stored, expected);
        assert_eq!(self.note_counts(owner).await, counts);
        let (state, tags) = (self.state(owner).await.expect("the owner wrote"), self.tags(owner).await);
        let digest = tags.iter().fold(SetDigest::default(), |set, tag| set.tag_toggled(tag.id, tag.etag));
        assert_eq!(
            (state.tag_count, state.tags_digest.as_slice()),
            (tags.len().try_into().unwrap(), &digest.as_bytes()[..])
        );
    }
}

fn named(name: &str) -> TagFields {
    TagFields { display_name: TagName::parse(name).expect("a name"), color: Color::default() }
}

pub(super) fn tagged(tags: &[TagId]) -> NoteFields {
    NoteFields { tags: tags.to_vec(), ..NoteFields::default() }
}

pub(super) fn tags(tags: &[TagId]) -> NotePatch {
    NotePatch { tags: Some(tags.to_vec()), ..NotePatch::default() }
}

#[tokio::test]
async fn a_tag_is_found_by_its_owner_as_it_was_made() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let tag = fixture.tag(alice, "Work").await;
    assert_eq!(fixture.repository.for_owner(alice).find_tag(tag.id).await.unwrap(), Some(tag.clone()));
    assert_eq!(fixture.repository.for_owner(bob).find_tag(tag.id).await.unwrap(), None);
    let state = fixture.state(alice).await.expect("alice wrote");
    assert_eq!((state.change_seq, state.tag_count), (1, 1));
}

#[tokio::test]
async fn one_owner_has_no_two_tags_of_one_name_in_whatever_case() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let street = fixture.tag(alice, "straße").await;
    let other = fixture.tag(alice, "other").await;
    for same in ["straße", "STRASSE", "Strasse"] {
        assert!(matches!(fixture.make_tag(alice, same).await, TagCreation::NameTaken(id) if id == street.id));
        assert!(matches!(fixture.rename(alice, other.id, same).await, TagChanged::NameTaken(id) if id == street.id));
    }
    fixture.tag(bob, "straße").await;
    let TagChanged::Done(louder) = fixture.rename(alice, street.id, "STRASSE").await else { panic!("its own name") };
    assert_eq!(louder.fields.display_name.as_str(), "STRASSE");
    assert_eq!(fixture.state(alice).await.unwrap().change_seq, 3, "refusals change nothing");
}

#[tokio::test]
async fn concurrent_makers_of_one_name_make_one_tag() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let made = futures_util::future::join_all((0..16).map(|_| fixture.make_tag(alice, "same"))).await;
    assert_eq!(made.iter().filter(|made| matches!(made, TagCreation::Created(_))).count(), 1);
    assert_eq!(fixture.state(alice).await.unwrap().tag_count, 1);
}

#[tokio::test]
async fn tags_are_listed_by_name_whatever_its_case() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    for name in ["b", "A", "c", "É", "a2", "日本"] {
        fixture.tag(alice, name).await;
    }
    fixture.tag(somebody(), "not hers").await;
    let (mut names, mut after) = (Vec::new(), None::<TagNameKey>);
    loop {
        let size = PageSize::parse(4).unwrap();
        let page = fixture.repository.for_owner(alice).tags_page(size, after).await.unwrap();
        names.extend(page.tags.into_iter().map(|tag| tag.fields.display_name.into_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["A", "a2", "b", "c", "É", "日本"]);
}

#[tokio::test]
async fn an_owner_has_at_most_two_thousand_tags() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let first = fixture.tag(alice, "first").await;
    let owner = alice.as_uuid();
    let fill = fixture.repository.database.for_owner(owner).write(move |transaction| {
        Box::pin(async move {
            let all = owner_state::Entity::update_many()
                .set(owner_state::ActiveModel { tag_count: sea_orm::ActiveValue::Set(2_000), ..Default::default() })
                .filter(owner_state::Column::OwnerId.eq(owner));
            all.exec(transaction).await?;
            Ok(runtime::database::Outcome::Commit(()))
        })
    });
    fill.await.expect("the store works");
    let refused = fixture.make_tag(alice, "one more").await;
    assert!(matches!(refused, TagCreation::QuotaExceeded(QuotaExceeded::Tags(2_000))), "{refused:?}");
    assert!(matches!(fixture.rename(alice, first.id, "still").await, TagChanged::Done(_)));
    assert!(matches!(fixture.delete_tag(alice, first.id).await, TagDeleted::Done));
    fixture.tag(alice, "one more").await;
}

#[tokio::test]
async fn a_note_has_the_tags_of_its_owner_in_its_order_and_no_others() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let [one, two] = [fixture.tag(alice, "one").await.id, fixture.tag(alice, "two").await.id];
    let (foreign, none) = (fixture.tag(bob, "his").await.id, TagId::from_uuid(Uuid::now_v7()));

    let note = fixture.create(alice, tagged(&[two, one])).await;
    assert_eq!(note.tags, [two, one]);
    assert_eq!(fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap(), Some(note.clone()));
    for (tags, places) in [(vec![foreign], vec![0]), (vec![one, none, two, foreign], vec![1, 3])] {
        let unknown = UnknownTags(places);
        let command = fixture.command(tagged(&tags));
        let creation = fixture.repository.for_owner(alice).create(command).await.expect("the store works");
        let expected = CreationRefused::UnknownTags(unknown.clone());
        assert!(matches!(creation, Creation::Refused(ref refusal) if *refusal == expected), "{creation:?}");
        let patch = NotePatch { tags: Some(tags), ..content("text") };
        assert_eq!(refused(fixture.update(alice, note.id, patch, None).await), Refusal::UnknownTags(unknown));
    }
    assert_eq!(fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap(), Some(note.clone()));
    fixture.check_tags(alice, &[&note]).await;
}

#[tokio::test]
async fn other_tags_are_another_version_of_a_note() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let [one, two] = [fixture.tag(alice, "one").await.id, fixture.tag(alice, "two").await.id];
    let note = fixture.create(alice, tagged(&[one])).await;
    let same = done(fixture.update(alice, note.id, tags(&[one]), Some(note.etag)).await);
    assert_eq!(same, note, "nothing changed");
    let changed = done(fixture.update(alice, note.id, tags(&[two, one]), Some(note.etag)).await);
    assert!(changed.update_time > note.update_time && changed.etag.digest != note.etag.digest);
    assert_eq!((changed.etag.revision, fixture.change_seqs(alice).await[&note.id]), (2, 4));
    fixture.check_tags(alice, &[&changed]).await;
}

#[tokio::test]
async fn giving_a_tag_another_name_changes_no_note() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "work").await;
    let note = fixture.create(alice, tagged(&[tag.id])).await;
    let TagChanged::Done(renamed) = fixture.rename(alice, tag.id, "office").await else { panic!("renamed") };
    assert_eq!(renamed.etag.revision, 2, "notes that got the tag are no change of it");
    assert_eq!(fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap(), Some(note));
}

#[tokio::test]
async fn a_deleted_tag_is_taken_from_its_notes_a_bounded_number_at_a_time() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let [gone, stays] = [fixture.tag(alice, "gone").await.id, fixture.tag(alice, "stays").await.id];
    let many = usize::from(UNTAGGED_AT_ONCE) + 20;
    let notes = futures_util::future::join_all((0..many).map(|index| {
        let tags = if index % 2 == 0 { vec![stays, gone] } else { vec![gone] };
        fixture.create(alice, NoteFields { tags, ..titled(&format!("{index}")) })
    }));
    let mut notes = notes.await;
    let other = fixture.create(alice, tagged(&[stays])).await;
    notes[0] = done(fixture.trash(alice, notes[0].id).await);
    let emptied = done(fixture.trash(alice, notes.pop().expect("many").id).await);
    fixture.repository.for_owner(alice).empty_trash(fixture.now()).await.expect("the store works");
    let emptied = [emptied.id, notes.remove(0).id];
    let in_trash = done(fixture.trash(alice, notes[0].id).await);
    notes[0] = in_trash.clone();
    let before = fixture.state(alice).await.expect("alice wrote").change_seq;

    assert!(matches!(fixture.delete_tag(alice, gone).await, TagDeleted::More));
    assert_eq!(
        fixture.note_counts(alice).await[&gone],
        u64::try_from(many - 3 - usize::from(UNTAGGED_AT_ONCE)).unwrap()
    );
    assert!(matches!(fixture.delete_tag(alice, gone).await, TagDeleted::Done));
    assert!(matches!(fixture.delete_tag(alice, gone).await, TagDeleted::Missing));

    let mut left = vec![other];
    for note in &notes {
        let found = fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap().expect("it is there");
        let expected: Vec<_> = note.tags.iter().copied().filter(|tag| *tag != gone).collect();
        assert_eq!(found.tags, expected);
        assert_eq!((found.etag.revision, &found.content), (note.etag.revision + 1, &note.content));
        assert!(found.update_time > note.update_time);
        left.push(found);
    }
    let seqs = fixture.change_seqs(alice).await;
    assert!(notes.iter().all(|note| seqs[&note.id] > before), "those who follow the changes hear of it");
    assert!(emptied.iter().all(|id| seqs[id] <= before), "what was emptied out of the trash changes no more");
    let seqs: BTreeSet<_> = seqs.into_values().collect();
    assert_eq!(seqs.len(), many + 1, "no two changes have one number");
    assert_eq!(fixture.count::<tag_tombstone::Entity>().await, 1);
    assert_eq!(fixture.count::<tag::Entity>().await, 1);
    fixture.purge(Duration::ZERO, 1_000).await;
    fixture.check_tags(alice, &left.iter().collect::<Vec<_>>()).await;
    fixture.purge(2 * RETENTION, 1_000).await;
    assert_eq!(fixture.count::<tag_tombstone::Entity>().await, 0, "what is remembered is forgotten in time");
}

#[tokio::test]
async fn the_tables_of_tags_follow_whatever_happens_to_notes() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let mut dice = Dice::new(11);
    let mut known = Vec::new();
    for index in 0..6 {
        known.push(fixture.tag(alice, &format!("tag {index}")).await.id);
    }
    let his = fixture.tag(bob, "his").await.id;
    let his = fixture.create(bob, tagged(&[his])).await;
    let mut made = Vec::new();
    for step in 0..300 {
        let some: Vec<_> = known.iter().copied().filter(|_| dice.roll(3) == 0).collect();
        if made.is_empty() || dice.roll(4) == 0 {
            made.push(fixture.create(alice, NoteFields { tags: some, ..titled(&format!("{step}")) }).await.id);
            continue;
        }
        let id = made[dice.roll(made.len())];
        match dice.roll(8) {
            0..3 => drop(fixture.update(alice, id, tags(&some), None).await),
            3 => {
                let patch = NotePatch { title: Some(titled(&format!("{step}")).title), ..NotePatch::default() };
                drop(fixture.update(alice, id, patch, None).await);
            }
            4 | 5 => drop(fixture.trash(alice, id).await),
            6 => drop(fixture.restore(alice, id).await),
            _ if step % 5 == 0 => drop(fixture.repository.for_owner(alice).empty_trash(fixture.now()).await),
            _ if step % 7 == 0 => {
                let tag = known.remove(dice.roll(known.len()));
                assert!(matches!(fixture.delete_tag(alice, tag).await, TagDeleted::Done));
                known.push(fixture.tag(alice, &format!("after {step}")).await.id);
            }
            _ => drop(fixture.update(alice, id, content(&format!("{step}")), None).await),
        }
    }
    fixture.purge(Duration::ZERO, 1_000).await;
    let mut left = Vec::new();
    for id in made {
        left.extend(fixture.repository.for_owner(alice).find(id, View::Full).await.unwrap());
    }
    assert!(left.iter().any(|note| note.trashed.is_some() && !note.tags.is_empty()), "the dice were thrown well");
    fixture.check_tags(alice, &left.iter().collect::<Vec<_>>()).await;
    fixture.check_tags(bob, &[&his]).await;
}
