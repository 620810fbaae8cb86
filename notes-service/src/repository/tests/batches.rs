use super::super::{ChangedAll, CreatedAll, FoundAll, Rules};
use super::*;
use crate::domain::{PAGE_BYTES, View};

/// Moves live notes to the trash, and refuses others.
struct ToTrash(SystemTime);

impl Rules for ToTrash {
    type Refusal = Refusal;

    fn decide(&self, _index: usize, owner: &mut OwnerState, note: &Note) -> Decision<Refusal> {
        match note.trashed {
            None => {
                Decision::Save(note.clone().into_trash(owner.trash(note.bytes(), self.0, RETENTION).time, RETENTION))
            }
            Some(_) => Decision::Refuse(Refusal::InTrash),
        }
    }

    fn missing(&self, _index: usize) -> Option<Refusal> {
        Some(Refusal::Live)
    }
}

impl Fixture {
    pub(super) async fn create_together(&self, owner: Subject, fields: Vec<NoteFields>) -> Vec<Note> {
        let notes = fields.into_iter().map(|fields| self.command(fields)).collect();
        match self.repository.for_owner(owner).create_all(notes, View::Full).await.expect("the store works") {
            CreatedAll::Done(notes) => notes,
            other => panic!("not created: {other:?}"),
        }
    }

    /// None if one of them was refused.
    pub(super) async fn trash_together(&self, owner: Subject, ids: Vec<NoteId>) -> Option<Vec<Note>> {
        let rules = ToTrash(self.now());
        let changed = self.repository.for_owner(owner).change_all(ids, View::Full, rules).await;
        match changed.expect("the store works") {
            ChangedAll::Done(notes) => Some(notes.into_iter().flatten().collect()),
            ChangedAll::Refused(..) => None,
            ChangedAll::TooLarge => panic!("they are small"),
        }
    }

    async fn found_all(&self, owner: Subject, ids: &[NoteId], view: View) -> FoundAll {
        self.repository.for_owner(owner).find_all(ids.to_vec(), view).await.expect("the store works")
    }
}

#[tokio::test]
async fn a_batch_of_changes_is_made_whole_or_not_at_all() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let notes = fixture.create_together(alice, vec![written("a"), written("b"), written("c")]).await;
    let ids: Vec<_> = notes.iter().map(|note| note.id).collect();
    done(fixture.trash(alice, ids[2]).await);
    let before = fixture.state(alice).await;
    assert_eq!(fixture.trash_together(alice, ids.clone()).await, None, "the third is in the trash");
    assert_eq!(fixture.state(alice).await, before);
    for stranger in [somebody(), {
        let bob = somebody();
        fixture.create(bob, written("")).await;
        bob
    }] {
        assert_eq!(fixture.trash_together(stranger, ids[..1].to_vec()).await, None);
    }

    let trashed = fixture.trash_together(alice, vec![ids[1], ids[0]]).await.expect("both are live");
    assert_eq!(trashed.iter().map(|note| note.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
    assert!(trashed[0].update_time < trashed[1].update_time, "in the order asked for");
    match fixture.found_all(alice, &[ids[1], ids[0]], View::Full).await {
        FoundAll::Found(found) => assert_eq!(found, trashed),
        other => panic!("not found: {other:?}"),
    }
}

#[tokio::test]
async fn contents_that_do_not_fit_one_answer_are_neither_read_nor_written() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let mebibyte = "🦀".repeat(262_144);
    let mut ids = Vec::new();
    for _ in 0..PAGE_BYTES >> 20 {
        ids.push(fixture.create(alice, written(&mebibyte)).await.id);
    }
    assert!(matches!(fixture.found_all(alice, &ids[1..], View::Full).await, FoundAll::Found(_)));
    assert!(matches!(fixture.found_all(alice, &ids, View::Full).await, FoundAll::TooLarge));
    assert!(matches!(fixture.found_all(alice, &ids, View::Basic).await, FoundAll::Found(_)));

    let change = async |view| {
        let rules = ToTrash(fixture.now());
        fixture.repository.for_owner(alice).change_all(ids.clone(), view, rules).await.expect("the store works")
    };
    assert!(matches!(change(View::Full).await, ChangedAll::TooLarge));
    assert_eq!(fixture.state(alice).await.expect("alice wrote").deleted_note_count, 0);
    assert!(matches!(change(View::Basic).await, ChangedAll::Done(_)));
    assert_eq!(fixture.state(alice).await.expect("alice wrote").deleted_note_count, 3);
}
