//! One note: made, read, changed, put into the trash and brought back.

use proto::notes::v1::{
    CreateNoteRequest, DeleteNoteRequest, GetNoteRequest, Note, NoteColor, NoteView, UpdateNoteRequest,
};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

const MISSING: &str = "NOT_FOUND NOTE_NOT_FOUND";

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn note(title: &str, content: &str) -> Note {
    Note { title: title.into(), content: content.into(), ..Note::default() }
}

fn create(note: Note) -> CreateNoteRequest {
    CreateNoteRequest { note: Some(note), ..Default::default() }
}

fn delete(name: &str) -> DeleteNoteRequest {
    DeleteNoteRequest { name: name.into(), ..Default::default() }
}

/// Changes the fields that `paths` name.
fn update(note: Note, paths: &[&str]) -> UpdateNoteRequest {
    UpdateNoteRequest { note: Some(note), update_mask: mask(paths), ..Default::default() }
}

#[track_caller]
fn violated_fields(status: &tonic::Status) -> Vec<String> {
    assert_eq!(raw::outcome(status), "INVALID_ARGUMENT FIELD_INVALID");
    let details = status.get_details_bad_request().expect("BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn a_note_comes_back_as_it_was_written() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let content = "Zeile eins\r\n\tZwei — ✓ 🦀\n\u{202e}rtl\u{7}  ends with spaces  ";
    let sent = Note { pinned: true, archived: true, color: NoteColor::Teal.into(), ..note("Liste\tA", content) };
    let made = alice.create(create(sent)).await.expect("created");

    let id = made.name.strip_prefix("notes/").and_then(|id| Uuid::parse_str(id).ok()).expect("notes/{uuid}");
    assert_eq!(id.get_version_num(), 7);
    assert_eq!((made.title.as_str(), made.content.as_str()), ("Liste\tA", content));
    assert_eq!((made.pinned, made.archived, made.color()), (true, true, NoteColor::Teal));
    assert_eq!(made.content_bytes, i64::try_from(content.len()).expect("small"));
    assert!(made.create_time.is_some() && made.create_time == made.update_time && made.delete_time.is_none());
    assert!(made.etag.starts_with('"') && made.etag.ends_with('"'));
    assert_eq!(alice.get(&made.name).await.expect("read"), made);
}

#[tokio::test]
async fn the_basic_view_has_everything_but_the_content() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("title", &"é".repeat(500)).await;
    let basic = alice.get_view(GetNoteRequest { name: made.name.clone(), view: NoteView::Basic.into() }).await;
    assert_eq!(basic.expect("read"), Note { content: String::new(), ..made.clone() });
    assert_eq!(made.snippet, "é".repeat(200));
}

#[tokio::test]
async fn text_is_normalized_to_nfc_and_empty_notes_are_notes() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("e\u{301}", "A\u{30a}").await;
    assert_eq!((made.title.as_str(), made.content.as_str()), ("é", "Å"));
    let empty = alice.write("", "").await;
    assert_eq!(alice.get(&empty.name).await.expect("read"), empty);
}

#[tokio::test]
async fn output_only_fields_of_a_new_note_are_ignored() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let sent = Note {
        name: "notes/not-mine-to-choose".into(),
        create_time: time,
        delete_time: time,
        snippet: "forged".into(),
        content_bytes: 7,
        ..note("t", "c")
    };
    let made = alice.create(create(sent)).await.expect("created");
    assert_ne!(made.create_time, time);
    assert_eq!((made.delete_time, made.snippet.as_str(), made.content_bytes), (None, "c", 1));
}

#[tokio::test]
async fn a_client_may_choose_the_id_once() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let id = Uuid::new_v4().to_string();
    let request = CreateNoteRequest { note_id: id.clone(), ..create(note("mine", "")) };
    let made = alice.create(request.clone()).await.expect("created");
    assert_eq!(made.name, format!("notes/{id}"));
    assert_refused(alice.create(request.clone()).await, "ALREADY_EXISTS NOTE_EXISTS");
    alice.delete(delete(&made.name)).await.expect("to the trash");
    assert_refused(alice.create(request).await, "ALREADY_EXISTS NOTE_EXISTS");
}

#[tokio::test]
async fn a_create_with_a_request_id_is_safe_to_repeat() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let request = CreateNoteRequest { request_id: Uuid::new_v4().to_string(), ..create(note("once", "")) };
    let first = alice.create(request.clone()).await.expect("created");
    let again = alice.create(request.clone()).await.expect("repeated");
    assert_eq!(first, again);
    assert_eq!(alice.list_all(Default::default()).await.len(), 1);

    let changed = alice.update(update(Note { name: first.name.clone(), ..note("now", "") }, &["title"])).await;
    assert_eq!(alice.create(request.clone()).await.expect("the note as it is now"), changed.expect("changed"));
    let other = CreateNoteRequest { note: Some(note("another", "")), ..request.clone() };
    assert_refused(alice.create(other.clone()).await, "INVALID_ARGUMENT REQUEST_ID_REUSED");

    let bob = stack.register("bob").await;
    bob.create(other).await.expect("request ids are per owner");
}

#[tokio::test]
async fn twins_of_one_request_id_make_one_note() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let request = CreateNoteRequest { request_id: Uuid::new_v4().to_string(), ..create(note("once", "")) };
    let twins = futures_util::future::join_all((0..16).map(|_| alice.create(request.clone()))).await;
    let names: std::collections::BTreeSet<_> =
        twins.into_iter().map(|result| result.expect("each is answered").name).collect();
    assert_eq!(names.len(), 1);
    assert_eq!(alice.list_all(Default::default()).await.len(), 1);
}

#[tokio::test]
async fn an_update_changes_what_the_mask_names_and_nothing_else() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("old title", "old content").await;
    let sent = Note { name: made.name.clone(), pinned: true, ..note("new title", "new content") };

    let changed = alice.update(update(sent.clone(), &["title"])).await.expect("changed");
    assert_eq!((changed.title.as_str(), changed.content.as_str(), changed.pinned), ("new title", "old content", false));
    assert_ne!(changed.etag, made.etag);
    assert!(micros(&changed) > micros(&made), "times increase strictly though the clock stands still");
    assert_eq!(changed.create_time, made.create_time);

    let whole = alice.update(update(sent.clone(), &["*"])).await.expect("changed");
    assert_eq!((whole.content.as_str(), whole.pinned), ("new content", true));
    let blank = Note { name: made.name.clone(), ..Note::default() };
    let cleared = alice.update(update(blank, &["content", "pinned"])).await.expect("changed");
    assert_eq!((cleared.content.as_str(), cleared.pinned), ("", false));
    let without_mask =
        UpdateNoteRequest { note: Some(Note { name: made.name, ..note("third", "") }), ..Default::default() };
    let populated = alice.update(without_mask).await.expect("changed");
    assert_eq!((populated.title.as_str(), populated.content.as_str()), ("third", ""));
}

#[tokio::test]
async fn an_update_that_changes_nothing_keeps_etag_and_times() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("é", "same").await;
    let sent = Note { name: made.name.clone(), ..note("e\u{301}", "same") };
    assert_eq!(alice.update(update(sent, &["title", "content"])).await.expect("answered"), made);
}

#[tokio::test]
async fn an_update_with_a_stale_etag_is_refused_and_a_fresh_one_wins_once() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("v1", "").await;
    let attempts = (0..16).map(|n| {
        let sent = Note { name: made.name.clone(), etag: made.etag.clone(), ..note(&format!("v2 by {n}"), "") };
        alice.update(update(sent, &["title"]))
    });
    let results = futures_util::future::join_all(attempts).await;
    let winners: Vec<_> = results.iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    for refused in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(raw::outcome(refused), "ABORTED ETAG_MISMATCH");
    }
    assert_eq!(&alice.get(&made.name).await.expect("read"), winners[0]);
}

#[tokio::test]
async fn unknown_mask_paths_and_bad_etags_are_named_together() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("t", "").await;
    let sent = Note { name: made.name.clone(), etag: "W/\"weak\"".into(), title: "x".repeat(301), ..Note::default() };
    let status = alice.update(update(sent, &["title", "owner", "note.title"])).await.expect_err("three violations");
    let fields = violated_fields(&status);
    for field in ["update_mask", "note.etag", "note.title"] {
        assert!(fields.iter().any(|violated| violated.starts_with(field)), "{field} is not in {fields:?}");
    }
    let ignored = Note { name: made.name.clone(), ..note("t2", "") };
    alice.update(update(ignored, &["title", "create_time", "name"])).await.expect("output-only paths are ignored");
}

#[tokio::test]
async fn an_update_may_make_the_missing_note() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let name = format!("notes/{}", Uuid::new_v4());
    let request = update(Note { name: name.clone(), ..note("made", "by an update") }, &["title", "content"]);
    assert_refused(alice.update(request.clone()).await, MISSING);
    let made = alice.update(UpdateNoteRequest { allow_missing: true, ..request }).await.expect("made");
    assert_eq!((made.name.as_str(), made.content.as_str()), (name.as_str(), "by an update"));
}

#[tokio::test]
async fn a_deleted_note_lies_in_the_trash_until_it_is_brought_back() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("t", "c").await;

    let deleted = alice.delete(delete(&made.name)).await.expect("deleted");
    let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().expect("a time").seconds;
    assert_eq!(seconds(&deleted.purge_time) - seconds(&deleted.delete_time), 30 * 24 * 60 * 60);
    assert_eq!(alice.get(&made.name).await.expect("still readable").delete_time, deleted.delete_time);
    assert_refused(alice.delete(delete(&made.name)).await, MISSING);
    let again = DeleteNoteRequest { allow_missing: true, ..delete(&made.name) };
    assert_eq!(alice.delete(again).await.expect("nothing left to do").delete_time, deleted.delete_time);
    let sent = Note { name: made.name.clone(), ..note("x", "") };
    assert_refused(alice.update(update(sent, &["title"])).await, "FAILED_PRECONDITION NOTE_DELETED");

    let back = alice.undelete(&made.name).await.expect("brought back");
    assert_eq!((back.delete_time, back.purge_time, back.content.as_str()), (None, None, "c"));
    assert_refused(alice.undelete(&made.name).await, "ALREADY_EXISTS NOTE_ALREADY_LIVE");
    assert_refused(alice.undelete(&format!("notes/{}", Uuid::new_v4())).await, MISSING);
}

#[tokio::test]
async fn a_deletion_with_a_stale_etag_is_refused() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("t", "").await;
    let changed = alice.update(update(Note { name: made.name.clone(), ..note("u", "") }, &["title"])).await;
    let stale = DeleteNoteRequest { etag: made.etag, ..delete(&made.name) };
    assert_refused(alice.delete(stale).await, "ABORTED ETAG_MISMATCH");
    let fresh = DeleteNoteRequest { etag: changed.expect("changed").etag, ..delete(&made.name) };
    alice.delete(fresh).await.expect("deleted");
}

#[tokio::test]
async fn quotas_stop_writes_and_never_deletes() {
    let settings = [("NOTES_SERVICE_QUOTA_NOTES", "2"), ("NOTES_SERVICE_QUOTA_BYTES", "100")];
    let stack = Stack::start_with(&[], &settings).await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let small = alice.write("a", "").await;
    assert_refused(alice.create(create(note("", &"x".repeat(200)))).await, "RESOURCE_EXHAUSTED BYTE_QUOTA");
    alice.write("b", &"x".repeat(50)).await;
    assert_refused(alice.create(create(note("c", ""))).await, "RESOURCE_EXHAUSTED NOTE_QUOTA");
    let grown = Note { name: small.name.clone(), ..note("", &"x".repeat(90)) };
    assert_refused(alice.update(update(grown, &["content"])).await, "RESOURCE_EXHAUSTED BYTE_QUOTA");
    alice.delete(delete(&small.name)).await.expect("deleting always works");
    bob.write("somebody else's quota is another", "").await;
}

#[tokio::test]
async fn every_limit_holds_at_its_edge_and_not_one_past_it() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write(&"é".repeat(300), &"x".repeat(262_144)).await;
    assert_eq!(made.content_bytes, 262_144);
    let four_bytes = "🦀".repeat(262_144);
    assert_eq!(alice.write("exactly one MiB", &four_bytes).await.content_bytes, 1 << 20);

    check_refused(&alice, note(&"é".repeat(301), ""), &["note.title"]).await;
    check_refused(&alice, note("", &"x".repeat(262_145)), &["note.content"]).await;
    check_refused(&alice, note("a\0b", "c\0d"), &["note.title", "note.content"]).await;
    check_refused(&alice, note("bell \u{7}", ""), &["note.title"]).await;
    check_refused(&alice, Note { color: 99, ..note("", "") }, &["note.color"]).await;
    for id in ["x", "00000000-0000-4000-8000-00000000000G", "{00000000-0000-4000-8000-000000000000}"] {
        let request = CreateNoteRequest { note_id: id.into(), ..create(note("", "")) };
        assert_eq!(violated_fields(&alice.create(request).await.expect_err("no UUID")), ["note_id"]);
        let request = CreateNoteRequest { request_id: id.into(), ..create(note("", "")) };
        assert_eq!(violated_fields(&alice.create(request).await.expect_err("no UUID")), ["request_id"]);
    }
    let status = alice.create(CreateNoteRequest::default()).await.expect_err("no note");
    assert_eq!(violated_fields(&status), ["note"]);
    assert_eq!(alice.list_all(Default::default()).await.len(), 2, "nothing refused was stored");
}

#[tokio::test]
async fn a_malformed_name_is_invalid_on_every_method() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let upper = format!("notes/{}", Uuid::new_v4().to_string().to_uppercase());
    for name in ["", "notes/", "notes/1", "tags/00000000-0000-4000-8000-000000000000", "note", &upper, "notes/x\0"] {
        assert_eq!(violated_fields(&alice.get(name).await.expect_err("no name")), ["name"], "{name}");
        assert_eq!(violated_fields(&alice.delete(delete(name)).await.expect_err("no name")), ["name"], "{name}");
        assert_eq!(violated_fields(&alice.undelete(name).await.expect_err("no name")), ["name"], "{name}");
        assert_eq!(violated_fields(&alice.expunge(name).await.expect_err("no name")), ["name"], "{name}");
        let sent = Note { name: name.into(), ..note("t", "") };
        let status = alice.update(update(sent, &["title"])).await.expect_err("no name");
        assert_eq!(violated_fields(&status), ["note.name"], "{name}");
    }
}

#[track_caller]
fn micros(note: &Note) -> i64 {
    let time = note.update_time.as_ref().expect("a time");
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}

async fn check_refused(person: &Person, note: Note, fields: &[&str]) {
    let status = person.create(create(note)).await.expect_err("past a limit");
    assert_eq!(violated_fields(&status), fields);
}
