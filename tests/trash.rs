//! What is removed for good: one note, the whole trash at once, and what has lain there for thirty days.

use std::time::Duration;

use proto::notes::v1::{CreateNoteRequest, DeleteNoteRequest, ListNotesRequest, Note, UpdateNoteRequest, Usage};
use uuid::Uuid;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::stack::Stack;

const MISSING: &str = "NOT_FOUND NOTE_NOT_FOUND";
const EXPUNGED: &str = "FAILED_PRECONDITION NOTE_EXPUNGED";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a note and puts it into the trash.
async fn throw_away(person: &Person, title: &str) -> Note {
    let note = person.write(title, "").await;
    let request = DeleteNoteRequest { name: note.name, ..Default::default() };
    person.delete(request).await.expect("to the trash")
}

/// A request to make a note with the id of `name`.
fn again(name: &str) -> CreateNoteRequest {
    let id = name.strip_prefix("notes/").expect("a name");
    CreateNoteRequest { note: Some(Note::default()), note_id: id.into(), ..Default::default() }
}

async fn listed(person: &Person) -> Vec<String> {
    let request = ListNotesRequest { show_deleted: true, ..Default::default() };
    person.list_all(request).await.into_iter().map(|note| note.name).collect()
}

#[tokio::test]
async fn a_note_is_removed_for_good_from_the_trash_alone() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let live = alice.write("live", "").await;
    assert_refused(alice.expunge(&live.name).await, "FAILED_PRECONDITION NOTE_NOT_DELETED");
    assert_eq!(alice.get(&live.name).await.expect("still there"), live);

    let trashed = throw_away(&alice, "trashed").await;
    alice.expunge(&trashed.name).await.expect("removed");
    assert_refused(alice.get(&trashed.name).await, MISSING);
    assert_refused(alice.undelete(&trashed.name).await, MISSING);
    assert_refused(alice.expunge(&trashed.name).await, MISSING);
    assert_eq!(listed(&alice).await, [live.name]);
}

#[tokio::test]
async fn a_note_that_was_removed_for_good_does_not_come_back_by_a_retry() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let request = CreateNoteRequest { request_id: Uuid::new_v4().to_string(), ..again(&a_name()) };
    let note = alice.create(request.clone()).await.expect("created");
    alice.delete(DeleteNoteRequest { name: note.name.clone(), ..Default::default() }).await.expect("deleted");
    alice.expunge(&note.name).await.expect("removed");

    assert_refused(alice.create(request).await, EXPUNGED);
    assert_refused(alice.create(again(&note.name)).await, EXPUNGED);
    let upsert = UpdateNoteRequest {
        note: Some(Note { name: note.name.clone(), title: "again".into(), ..Note::default() }),
        allow_missing: true,
        ..Default::default()
    };
    assert_refused(alice.update(upsert).await, EXPUNGED);
    bob.create(again(&note.name)).await.expect("what Alice removed does not concern Bob");

    stack.clock.advance(90 * DAY);
    let alice = stack.log_in(&alice).await;
    alice.create(again(&note.name)).await.expect("forgotten after 90 days");
}

#[tokio::test]
async fn emptying_the_trash_removes_all_of_it_at_once_and_without_force_only_counts() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let live = alice.write("live", "").await;
    let trashed = [throw_away(&alice, "one").await, throw_away(&alice, "two").await];
    let bobs = throw_away(&bob, "his").await;

    assert_eq!(alice.count_trash().await.expect("counted"), 2);
    assert_eq!(alice.get(&trashed[0].name).await.expect("still there"), trashed[0]);
    assert_eq!(alice.empty_trash().await.expect("emptied"), 2);
    assert_eq!(alice.count_trash().await.expect("counted"), 0);
    assert_eq!(alice.empty_trash().await.expect("nothing to do"), 0);

    for note in &trashed {
        assert_refused(alice.get(&note.name).await, MISSING);
        assert_refused(alice.undelete(&note.name).await, MISSING);
        assert_refused(alice.expunge(&note.name).await, MISSING);
        let delete = DeleteNoteRequest { name: note.name.clone(), allow_missing: true, ..Default::default() };
        assert_eq!(alice.delete(delete).await.expect("nothing left to do"), Note::default());
        assert_refused(alice.create(again(&note.name)).await, EXPUNGED);
    }
    assert_eq!(listed(&alice).await, [live.name]);
    assert_eq!(bob.get(&bobs.name).await.expect("his own trash"), bobs);

    let later = throw_away(&alice, "later").await;
    assert_eq!(alice.undelete(&later.name).await.expect("what came later can come back").title, "later");
}

#[tokio::test]
async fn what_was_removed_for_good_does_not_count_against_the_quota() {
    let stack = Stack::start_with(&[], &[("NOTES_SERVICE_QUOTA_NOTES", "2")]).await;
    let alice = stack.register("alice").await;
    let (first, _) = (throw_away(&alice, "one").await, throw_away(&alice, "two").await);
    assert_refused(alice.create(again(&a_name())).await, "RESOURCE_EXHAUSTED NOTE_QUOTA");
    alice.expunge(&first.name).await.expect("removed");
    throw_away(&alice, "three").await;
    assert_refused(alice.create(again(&a_name())).await, "RESOURCE_EXHAUSTED NOTE_QUOTA");
    assert_eq!(alice.empty_trash().await.expect("emptied"), 2);
    alice.write("four", "").await;
    alice.write("five", "").await;
}

#[tokio::test]
async fn a_note_goes_by_itself_thirty_days_after_it_went_to_the_trash() {
    let stack = Stack::start_with(&[], &[("NOTES_SERVICE_PURGE_INTERVAL", "1s")]).await;
    let alice = stack.register("alice").await;
    let (live, trashed) = (alice.write("live", "").await, throw_away(&alice, "trashed").await);

    stack.clock.advance(30 * DAY - Duration::from_secs(60));
    let alice = stack.log_in(&alice).await;
    assert_eq!(alice.get(&trashed.name).await.expect("not yet"), trashed);
    stack.clock.advance(Duration::from_secs(60));
    let mut rounds = 0;
    while alice.get(&trashed.name).await.is_ok() {
        stack.clock.advance(Duration::from_secs(1));
        rounds += 1;
        assert!(rounds < 200, "nothing removes it");
    }

    let alice = stack.log_in(&alice).await;
    assert_refused(alice.get(&trashed.name).await, MISSING);
    assert_refused(alice.create(again(&trashed.name)).await, EXPUNGED);
    assert_eq!(listed(&alice).await, [live.name]);
}

#[tokio::test]
async fn usage_counts_what_is_kept_and_what_lies_in_the_trash() {
    let settings = [
        ("NOTES_SERVICE_QUOTA_NOTES", "9"),
        ("NOTES_SERVICE_QUOTA_BYTES", "1000"),
        ("NOTES_SERVICE_QUOTA_REVISION_BYTES", "500"),
    ];
    let stack = Stack::start_with(&[], &settings).await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let nothing = Usage {
        name: "usage".into(),
        note_limit: 9,
        byte_limit: 1_000,
        revision_byte_limit: 500,
        tag_limit: 2_000,
        ..Usage::default()
    };
    assert_eq!(alice.usage().await.expect("told"), nothing);

    let live = alice.write("é", "1234").await;
    throw_away(&alice, "trash").await;
    bob.write("somebody else's", "").await;
    let counted = Usage { note_count: 2, deleted_note_count: 1, bytes: 11, deleted_bytes: 5, ..nothing.clone() };
    assert_eq!(alice.usage().await.expect("told"), counted);

    let shrunk = Note { name: live.name, title: String::new(), content: "1".into(), ..Note::default() };
    let mask = Some(prost_types::FieldMask { paths: vec!["*".into()] });
    let request = UpdateNoteRequest { note: Some(shrunk), update_mask: mask, ..Default::default() };
    alice.update(request).await.expect("shrunk");
    alice.empty_trash().await.expect("emptied");
    assert_eq!(alice.usage().await.expect("told"), Usage { note_count: 1, bytes: 1, revision_bytes: 6, ..nothing });
}

fn a_name() -> String {
    format!("notes/{}", Uuid::new_v4())
}
