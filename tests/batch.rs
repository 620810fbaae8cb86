//! Several notes in one call: all or none, in the order asked for.

use proto::notes::v1::{CreateNoteRequest, DeleteNoteRequest, ListNotesRequest, Note, NoteView, UpdateNoteRequest};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

const BASIC: NoteView = NoteView::Unspecified;
const FULL: NoteView = NoteView::Full;

fn create(title: &str, content: &str) -> CreateNoteRequest {
    let note = Note { title: title.into(), content: content.into(), ..Note::default() };
    CreateNoteRequest { note: Some(note), ..Default::default() }
}

fn retitle(name: &str, title: &str) -> UpdateNoteRequest {
    let note = Note { name: name.into(), title: title.into(), ..Note::default() };
    UpdateNoteRequest { note: Some(note), ..Default::default() }
}

fn delete(name: &str) -> DeleteNoteRequest {
    DeleteNoteRequest { name: name.into(), ..Default::default() }
}

fn names(notes: &[Note]) -> Vec<String> {
    notes.iter().map(|note| note.name.clone()).collect()
}

fn a_name() -> String {
    format!("notes/{}", Uuid::new_v4())
}

async fn make(person: &Person, titles: &[&str]) -> Vec<Note> {
    let requests = titles.iter().map(|title| create(title, "content")).collect();
    person.batch_create(requests, FULL).await.expect("made")
}

async fn all(person: &Person) -> Vec<Note> {
    person.list_all(ListNotesRequest { show_deleted: true, view: FULL.into(), ..Default::default() }).await
}

/// Asserts that the entry at `index` was refused for `expected`.
#[track_caller]
fn assert_refused_at(result: Result<Vec<Note>, tonic::Status>, index: &str, expected: &str) {
    let status = result.expect_err("one is refused");
    assert_eq!(raw::outcome(&status), expected);
    assert_eq!(status.get_details_error_info().expect("ErrorInfo").metadata["index"], index);
}

#[track_caller]
fn violated_fields(result: Result<Vec<Note>, tonic::Status>) -> Vec<String> {
    let status = result.expect_err("it is invalid");
    assert_eq!(raw::outcome(&status), "INVALID_ARGUMENT FIELD_INVALID");
    let details = status.get_details_bad_request().expect("BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn notes_are_made_and_found_in_the_order_asked_for() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = make(&alice, &["a", "b", "c"]).await;
    assert_eq!(made.iter().map(|note| note.title.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(alice.get(&made[1].name).await.expect("read"), made[1]);

    alice.delete(delete(&made[0].name)).await.expect("to the trash");
    let reversed: Vec<_> = names(&made).into_iter().rev().collect();
    let found = alice.batch_get(reversed.clone(), FULL).await.expect("all there, one in the trash");
    assert_eq!(names(&found), reversed);
    assert!(found[2].delete_time.is_some() && found[2].content == "content");
    let basic = alice.batch_get(reversed, BASIC).await.expect("all there");
    assert!(basic.iter().all(|note| note.content.is_empty() && note.content_bytes == 7));
}

#[tokio::test]
async fn one_refusal_refuses_the_batch_and_is_named_by_its_place() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let notes = make(&alice, &["a", "b"]).await;
    let (a, b) = (notes[0].name.as_str(), notes[1].name.as_str());
    let before = all(&alice).await;
    let missing = "NOT_FOUND NOTE_NOT_FOUND";

    assert_refused_at(alice.batch_get(vec![a.into(), b.into(), a_name()], BASIC).await, "2", missing);
    assert_refused_at(alice.batch_update(vec![retitle(a, "x"), retitle(&a_name(), "y")], BASIC).await, "1", missing);
    assert_refused_at(alice.batch_delete(vec![delete(a), delete(&a_name())], BASIC).await, "1", missing);
    let stale = Note { etag: notes[0].etag.clone(), ..retitle(b, "y").note.expect("a note") };
    let stale = UpdateNoteRequest { note: Some(stale), ..Default::default() };
    assert_refused_at(alice.batch_update(vec![retitle(a, "x"), stale], BASIC).await, "1", "ABORTED ETAG_MISMATCH");
    let taken = CreateNoteRequest { note_id: a.replace("notes/", ""), ..create("new", "") };
    let creations = vec![create("new", ""), taken];
    assert_refused_at(alice.batch_create(creations, BASIC).await, "1", "ALREADY_EXISTS NOTE_EXISTS");
    assert_eq!(all(&alice).await, before, "nothing was changed");

    let updated = alice.batch_update(vec![retitle(b, "y"), retitle(a, "x")], FULL).await.expect("both");
    assert_eq!(updated.iter().map(|note| note.title.as_str()).collect::<Vec<_>>(), ["y", "x"]);
    let deleted = alice.batch_delete(vec![delete(b), delete(a)], BASIC).await.expect("both");
    assert!(deleted.iter().all(|note| note.delete_time.is_some()));
    assert_refused_at(alice.batch_update(vec![retitle(a, "z")], BASIC).await, "0", "FAILED_PRECONDITION NOTE_DELETED");
}

#[tokio::test]
async fn a_quota_is_for_the_whole_batch() {
    let stack = Stack::start_with(&[], &[("NOTES_SERVICE_QUOTA_NOTES", "2")]).await;
    let alice = stack.register("alice").await;
    let three = vec![create("a", ""), create("b", ""), create("c", "")];
    assert_refused_at(alice.batch_create(three.clone(), BASIC).await, "2", "RESOURCE_EXHAUSTED NOTE_QUOTA");
    assert_eq!(alice.usage().await.expect("told").note_count, 0);
    alice.batch_create(three[..2].to_vec(), BASIC).await.expect("exactly the quota");
    assert_eq!(alice.usage().await.expect("told").note_count, 2);
}

#[tokio::test]
async fn a_batch_with_request_ids_is_safe_to_repeat() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let with_id = |title: &str| CreateNoteRequest { request_id: Uuid::new_v4().to_string(), ..create(title, "") };
    let requests = vec![with_id("a"), with_id("b")];
    let first = alice.batch_create(requests.clone(), FULL).await.expect("made");
    assert_eq!(alice.batch_create(requests.clone(), FULL).await.expect("repeated"), first);
    let third = with_id("c");
    let mixed = alice.batch_create(vec![requests[1].clone(), third], FULL).await.expect("one is new");
    assert_eq!((mixed[0].clone(), mixed[1].title.as_str()), (first[1].clone(), "c"));
    assert_eq!(all(&alice).await.len(), 3);
    let reused = CreateNoteRequest { request_id: requests[0].request_id.clone(), ..create("another", "") };
    assert_refused_at(alice.batch_create(vec![reused], BASIC).await, "0", "INVALID_ARGUMENT REQUEST_ID_REUSED");
}

#[tokio::test]
async fn a_missing_note_may_be_deleted_where_that_is_allowed() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let note = alice.write("a", "").await;
    let lenient = DeleteNoteRequest { allow_missing: true, ..delete(&a_name()) };
    let deleted = alice.batch_delete(vec![lenient, delete(&note.name)], BASIC).await.expect("deleted");
    assert_eq!((&deleted[0], deleted[1].name.as_str()), (&Note::default(), note.name.as_str()));
}

#[tokio::test]
async fn an_answer_that_would_be_too_large_is_refused_and_nothing_is_written() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut large = Vec::new();
    for _ in 0..3 {
        large.push(alice.write("", &"🦀".repeat(262_144)).await.name);
    }
    let too_large = "INVALID_ARGUMENT RESPONSE_TOO_LARGE";
    assert_refused(alice.batch_get(large.clone(), FULL).await, too_large);
    assert_eq!(alice.batch_get(large[1..].to_vec(), FULL).await.expect("two fit").len(), 2);
    assert_eq!(alice.batch_get(large.clone(), BASIC).await.expect("without contents").len(), 3);
    assert_refused(alice.batch_update(large.iter().map(|name| retitle(name, "x")).collect(), FULL).await, too_large);
    assert_refused(alice.batch_delete(large.iter().map(|name| delete(name)).collect(), FULL).await, too_large);
    assert!(all(&alice).await.iter().all(|note| note.title.is_empty() && note.delete_time.is_none()));
    alice.batch_update(large.iter().map(|name| retitle(name, "x")).collect(), BASIC).await.expect("without contents");
}

#[tokio::test]
async fn a_batch_holds_one_to_a_hundred_notes_each_once() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let hundred = alice.batch_create(vec![create("", ""); 100], BASIC).await.expect("a hundred");
    let mut too_many = names(&hundred);
    assert_eq!(names(&alice.batch_get(too_many.clone(), BASIC).await.expect("a hundred")), too_many);
    alice.batch_update(too_many.iter().map(|name| retitle(name, "x")).collect(), BASIC).await.expect("a hundred");
    too_many.push(a_name());
    for (names, paths) in [(vec![], ["names", "requests"]), (too_many, ["names", "requests"])] {
        assert_eq!(violated_fields(alice.batch_get(names.clone(), BASIC).await), paths[..1]);
        let updates = names.iter().map(|name| retitle(name, "y")).collect();
        assert_eq!(violated_fields(alice.batch_update(updates, BASIC).await), paths[1..]);
        let creations = vec![create("", ""); names.len()];
        assert_eq!(violated_fields(alice.batch_create(creations, BASIC).await), paths[1..]);
        let deletions = names.iter().map(|name| delete(name)).collect();
        assert_eq!(violated_fields(alice.batch_delete(deletions, BASIC).await), paths[1..]);
    }

    let name = hundred[0].name.clone();
    assert_eq!(violated_fields(alice.batch_get(vec![name.clone(), name.clone()], BASIC).await), ["names[1]"]);
    let twice = vec![retitle(&name, "y"), retitle(&name, "z")];
    assert_eq!(violated_fields(alice.batch_update(twice, BASIC).await), ["requests[1].note.name"]);
    let twice = vec![delete(&name), delete(&name)];
    assert_eq!(violated_fields(alice.batch_delete(twice, BASIC).await), ["requests[1].name"]);
    let id = Uuid::new_v4().to_string();
    let twin = CreateNoteRequest { note_id: id.clone(), request_id: id, ..create("", "") };
    let fields = violated_fields(alice.batch_create(vec![twin.clone(), twin], BASIC).await);
    assert_eq!(fields, ["requests[1].note_id", "requests[1].request_id"]);
}

#[tokio::test]
async fn every_wrong_field_of_a_batch_is_named_by_its_path() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let bad = CreateNoteRequest { note_id: "x".into(), ..create("\0", "") };
    let fields = violated_fields(alice.batch_create(vec![create("fine", ""), bad], BASIC).await);
    assert_eq!(fields, ["requests[1].note.title", "requests[1].note_id"]);
    let upsert = UpdateNoteRequest { allow_missing: true, ..retitle("notes/x", "y") };
    let fields = violated_fields(alice.batch_update(vec![upsert], BASIC).await);
    assert_eq!(fields, ["requests[0].allow_missing", "requests[0].note.name"]);
    let weak = DeleteNoteRequest { etag: "W/\"x\"".into(), ..delete(&a_name()) };
    assert_eq!(violated_fields(alice.batch_delete(vec![weak], BASIC).await), ["requests[0].etag"]);
    assert_eq!(violated_fields(alice.batch_get(vec!["x".into()], BASIC).await), ["names[0]"]);
    assert!(all(&alice).await.is_empty(), "nothing was stored");
}
