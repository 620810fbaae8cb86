//! Calls that only look whether they would be allowed: they answer as the real ones, and leave nothing behind.

use std::collections::BTreeSet;

use proto::notes::v1::note_change::Change;
use proto::notes::v1::watch_notes_response::Event;
use proto::notes::v1::{
    CreateNoteRequest, DeleteNoteRequest, ListNotesRequest, Note, NoteView, UpdateNoteRequest, Usage, WatchNotesRequest,
};
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::copy::{Copy, next};
use crate::harness::descriptors::rpcs;
use crate::harness::raw::outcome;
use crate::harness::stack::Stack;

/// A call that can only look, made really or not.
enum Call {
    Create(CreateNoteRequest),
    Update(UpdateNoteRequest),
    Delete(DeleteNoteRequest),
}

impl Call {
    async fn make(&self, person: &Person, validate_only: bool) -> Result<Note, Status> {
        match self {
            Self::Create(request) => person.create(CreateNoteRequest { validate_only, ..request.clone() }).await,
            Self::Update(request) => person.update(UpdateNoteRequest { validate_only, ..request.clone() }).await,
            Self::Delete(request) => person.delete(DeleteNoteRequest { validate_only, ..request.clone() }).await,
        }
    }

    fn has_drawn_name(&self) -> bool {
        matches!(self, Self::Create(request) if request.note_id.is_empty())
    }
}

/// All that somebody has: notes with those in the trash, what is counted, and how often anything changed.
async fn everything(person: &Person, copy: &mut Copy) -> (Vec<Note>, Usage, usize) {
    let list = ListNotesRequest { show_deleted: true, view: NoteView::Full.into(), ..Default::default() };
    (person.list_all(list).await, person.usage().await.expect("counted"), copy.follow(person, 100).await.len())
}

fn create(title: &str) -> CreateNoteRequest {
    CreateNoteRequest { note: Some(Note { title: title.into(), ..Note::default() }), ..Default::default() }
}

fn update(name: &str, title: &str) -> UpdateNoteRequest {
    let note = Note { name: name.into(), title: title.into(), ..Note::default() };
    UpdateNoteRequest { note: Some(note), ..Default::default() }
}

fn delete(name: &str) -> DeleteNoteRequest {
    DeleteNoteRequest { name: name.into(), ..Default::default() }
}

/// The note without what only a write gives it.
fn unwritten(note: Note, has_drawn_name: bool) -> Note {
    let name = if has_drawn_name { String::new() } else { note.name };
    Note {
        name,
        etag: String::new(),
        create_time: None,
        update_time: None,
        delete_time: None,
        purge_time: None,
        ..note
    }
}

#[test]
fn the_methods_that_can_only_look_are_those_of_this_story() {
    let looking = rpcs().into_iter().filter(|rpc| rpc.method.input().get_field_by_name("validate_only").is_some());
    let looking: BTreeSet<_> = looking.map(|rpc| rpc.path).collect();
    let expected = ["CreateNote", "DeleteNote", "UpdateNote"].map(|name| format!("/notes.v1.NotesService/{name}"));
    assert_eq!(looking, expected.into());
}

#[tokio::test]
async fn a_call_that_only_looks_answers_as_the_real_one_and_leaves_nothing_behind() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let tag = alice.tag("hers").await.expect("made").name;
    let (note, other) = (alice.write("one", "text").await, alice.write("two", "").await);
    let trashed = alice.write("three", "").await;
    alice.delete(delete(&trashed.name)).await.expect("in the trash");
    let expunged = alice.write("four", "").await;
    alice.delete(delete(&expunged.name)).await.expect("in the trash");
    alice.expunge(&expunged.name).await.expect("removed");
    let id = |name: &str| name.replace("notes/", "");
    let (missing, request_id) = (format!("notes/{}", Uuid::new_v4()), Uuid::new_v4().to_string());
    alice.create(CreateNoteRequest { request_id: request_id.clone(), ..create("once") }).await.expect("made");
    let tagged = |note: Note| Note { tags: vec![tag.clone()], ..note };
    let unknown = |note: Note| Note { tags: vec![format!("tags/{}", Uuid::nil())], ..note };
    let stale = "\"AAAAAAAAAAE6yqVAloZusw\"".to_owned();

    let calls = [
        Call::Create(create("made")),
        Call::Create(CreateNoteRequest { note: create("tagged").note.map(tagged), ..Default::default() }),
        Call::Create(CreateNoteRequest { note_id: Uuid::new_v4().to_string(), ..create("named") }),
        Call::Create(CreateNoteRequest { request_id: Uuid::new_v4().to_string(), ..create("repeatable") }),
        Call::Create(CreateNoteRequest { request_id: request_id.clone(), ..create("once") }),
        Call::Create(CreateNoteRequest { request_id, ..create("another") }),
        Call::Create(CreateNoteRequest { note_id: id(&note.name), ..create("taken") }),
        Call::Create(CreateNoteRequest { note_id: id(&trashed.name), ..create("taken") }),
        Call::Create(CreateNoteRequest { note_id: id(&expunged.name), ..create("removed") }),
        Call::Create(CreateNoteRequest { note: create("untagged").note.map(unknown), ..Default::default() }),
        Call::Create(create("\0")),
        Call::Update(update(&note.name, "changed")),
        Call::Update(update(&note.name, "changed")),
        Call::Update(UpdateNoteRequest { note: update(&other.name, "").note.map(tagged), ..Default::default() }),
        Call::Update(UpdateNoteRequest { note: update(&other.name, "").note.map(unknown), ..Default::default() }),
        Call::Update(UpdateNoteRequest {
            note: update(&note.name, "stale").note.map(|note| Note { etag: stale.clone(), ..note }),
            ..Default::default()
        }),
        Call::Update(update(&trashed.name, "in the trash")),
        Call::Update(update(&missing, "missing")),
        Call::Update(UpdateNoteRequest { allow_missing: true, ..update(&missing, "made") }),
        Call::Update(UpdateNoteRequest { allow_missing: true, ..update(&expunged.name, "removed") }),
        Call::Delete(DeleteNoteRequest { etag: stale, ..delete(&note.name) }),
        Call::Delete(delete(&other.name)),
        Call::Delete(delete(&other.name)),
        Call::Delete(DeleteNoteRequest { allow_missing: true, ..delete(&other.name) }),
        Call::Delete(DeleteNoteRequest { allow_missing: true, ..delete(&expunged.name) }),
    ];
    let mut copy = Copy::default();
    copy.follow(&alice, 100).await;
    let mut refusals = BTreeSet::new();
    for (index, call) in calls.iter().enumerate() {
        let before = everything(&alice, &mut copy).await;
        let looked = call.make(&alice, true).await;
        let (notes, usage, changes) = everything(&alice, &mut copy).await;
        assert_eq!((notes, usage), (before.0, before.1), "call {index} left something");
        assert_eq!(changes, 0, "call {index} was a change");
        match (looked, call.make(&alice, false).await) {
            (Ok(looked), Ok(real)) => assert_eq!(looked, unwritten(real, call.has_drawn_name()), "call {index}"),
            (Err(looked), Err(real)) => {
                assert_eq!((outcome(&looked), looked.details()), (outcome(&real), real.details()), "call {index}");
                refusals.insert(outcome(&real));
            }
            other => panic!("call {index}: {other:?}"),
        }
    }
    let expected = [
        "ABORTED ETAG_MISMATCH",
        "ALREADY_EXISTS NOTE_EXISTS",
        "FAILED_PRECONDITION NOTE_DELETED",
        "FAILED_PRECONDITION NOTE_EXPUNGED",
        "INVALID_ARGUMENT FIELD_INVALID",
        "INVALID_ARGUMENT REQUEST_ID_REUSED",
        "NOT_FOUND NOTE_NOT_FOUND",
    ];
    assert_eq!(refusals, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn a_watch_and_the_memory_of_requests_hear_nothing_of_a_call_that_only_looks() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let nobody = CreateNoteRequest { validate_only: true, ..create("first of all") };
    alice.create(nobody).await.expect("it would be made");
    let note = alice.write("one", "").await;
    let mut stream =
        alice.watch(WatchNotesRequest { view: NoteView::Full.into(), ..Default::default() }).await.expect("a stream");
    next(&mut stream).await;

    let request_id = Uuid::new_v4().to_string();
    let looking = CreateNoteRequest { request_id: request_id.clone(), validate_only: true, ..create("looked at") };
    alice.create(looking).await.expect("it would be made");
    alice.update(UpdateNoteRequest { validate_only: true, ..update(&note.name, "no") }).await.expect("it would be");
    alice.delete(DeleteNoteRequest { validate_only: true, ..delete(&note.name) }).await.expect("it would be");
    let made = alice.create(CreateNoteRequest { request_id, ..create("another") }).await.expect("the id is not used");

    let message = next(&mut stream).await;
    let Some(Event::Batch(batch)) = message.event else { panic!("no batch: {message:?}") };
    let changes: Vec<_> = batch.changes.into_iter().filter_map(|change| change.change).collect();
    assert_eq!(changes, [Change::Note(made)]);
}

#[tokio::test]
async fn no_entry_of_a_batch_only_looks() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let note = alice.write("one", "").await;
    let looking = CreateNoteRequest { validate_only: true, ..create("x") };
    let refused = alice.batch_create(vec![create("y"), looking], NoteView::Basic).await;
    let violations = refused.as_ref().expect_err("refused").get_details_bad_request().expect("fields").field_violations;
    assert_eq!(violations[0].field, "requests[1].validate_only");
    assert_refused(refused, "INVALID_ARGUMENT FIELD_INVALID");
    let looking = UpdateNoteRequest { validate_only: true, ..update(&note.name, "x") };
    assert_refused(alice.batch_update(vec![looking], NoteView::Basic).await, "INVALID_ARGUMENT FIELD_INVALID");
    let looking = DeleteNoteRequest { validate_only: true, ..delete(&note.name) };
    assert_refused(alice.batch_delete(vec![looking], NoteView::Basic).await, "INVALID_ARGUMENT FIELD_INVALID");
    assert_eq!(alice.usage().await.expect("counted").note_count, 1);
}
