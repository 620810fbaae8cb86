//! The history of a note: what takes its place takes nothing away.

use std::time::Duration;

use proto::notes::v1::{
    DeleteNoteRequest, ListNoteRevisionsRequest, Note, NoteRevision, NoteView, RevisionReason, RollbackNoteRequest,
    UpdateNoteRequest,
};
use tonic_types::StatusExt as _;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

const MINUTE: Duration = Duration::from_secs(60);
const NO_NOTE: &str = "NOT_FOUND NOTE_NOT_FOUND";
const NO_REVISION: &str = "NOT_FOUND REVISION_NOT_FOUND";
const PAGE_TOKEN: &str = "INVALID_ARGUMENT PAGE_TOKEN_INVALID";

/// Replaces the content of a note, of the version that `note` is.
async fn edit(person: &Person, note: &Note, content: &str) -> Note {
    let note = Note { content: content.into(), ..note.clone() };
    person.update(request(note)).await.expect("edited")
}

/// Replaces the content of a note whatever it is now.
async fn overwrite(person: &Person, note: &Note, content: &str) -> Note {
    let note = Note { content: content.into(), etag: String::new(), ..note.clone() };
    person.update(request(note)).await.expect("overwritten")
}

fn request(note: Note) -> UpdateNoteRequest {
    let update_mask = Some(prost_types::FieldMask { paths: vec!["content".into()] });
    UpdateNoteRequest { note: Some(note), update_mask, ..Default::default() }
}

fn list(note: &Note) -> ListNoteRevisionsRequest {
    ListNoteRevisionsRequest { parent: note.name.clone(), ..Default::default() }
}

fn rollback(note: &Note, revision_id: &str) -> RollbackNoteRequest {
    RollbackNoteRequest { name: note.name.clone(), revision_id: revision_id.into(), etag: String::new() }
}

fn contents(revisions: &[NoteRevision]) -> Vec<&str> {
    revisions.iter().map(|revision| revision.snapshot.as_ref().expect("a snapshot").content.as_str()).collect()
}

#[tokio::test]
async fn what_was_overwritten_unseen_is_found_and_brought_back() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let phone = alice.on_another_device().await;
    let draft = alice.write("Letter", "a long letter").await;
    let unseen = overwrite(&phone, &draft, "").await;

    let history = alice.history(&draft.name).await;
    let [lost] = history.as_slice() else { panic!("one revision: {history:?}") };
    assert_eq!(lost.snapshot.as_ref(), Some(&draft));
    assert_eq!(lost.name, format!("{}/revisions/1", draft.name));
    assert_eq!((lost.reason(), lost.create_time), (RevisionReason::BlindOverwrite, unseen.update_time));
    assert_eq!(alice.revision(&lost.name).await.expect("found"), *lost);

    let back = alice.rollback(RollbackNoteRequest { etag: unseen.etag, ..rollback(&draft, "1") }).await.expect("back");
    assert_eq!((back.content.as_str(), back.title.as_str()), ("a long letter", "Letter"));
    assert_eq!(alice.get(&draft.name).await.expect("read"), back);
    let history = alice.history(&draft.name).await;
    assert_eq!(contents(&history), ["", "a long letter"]);
    assert_eq!(history[0].reason(), RevisionReason::Rollback);
    let forth = alice.rollback(rollback(&draft, "2")).await.expect("a rollback is rolled back");
    assert_eq!(forth.content, "");
}

#[tokio::test]
async fn an_editor_that_saves_often_leaves_a_version_every_five_minutes() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut phone = alice.on_another_device().await;
    let mut note = alice.write("", "0").await;
    for text in ["1", "2", "3"] {
        note = edit(&alice, &note, text).await;
    }
    note = edit(&phone, &note, "of the phone").await;
    note = edit(&phone, &note, "and more").await;
    let history = alice.history(&note.name).await;
    assert_eq!(contents(&history), ["3", "0"], "what the phone found, and what was there in the beginning");
    assert!(history.iter().all(|revision| revision.reason() == RevisionReason::Edit));

    stack.clock.advance(5 * MINUTE + Duration::from_secs(1));
    phone.refresh().await.expect("the same session");
    note = edit(&phone, &note, "five minutes later").await;
    edit(&phone, &note, "and a moment later").await;
    let mut alice = alice;
    alice.refresh().await.expect("refreshed");
    assert_eq!(contents(&alice.history(&note.name).await), ["and more", "3", "0"]);
}

#[tokio::test]
async fn edits_of_a_batch_keep_what_they_replace() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let notes = [alice.write("", "a").await, alice.write("", "b").await];
    let requests = notes.iter().map(|note| request(Note { content: "new".into(), ..note.clone() })).collect();
    alice.batch_update(requests, NoteView::Basic).await.expect("both");
    for (note, before) in notes.iter().zip(["a", "b"]) {
        assert_eq!(contents(&alice.history(&note.name).await), [before]);
    }
    let stale = notes.iter().map(|note| request(Note { content: "no".into(), ..note.clone() })).collect();
    assert_refused(alice.batch_update(stale, NoteView::Basic).await, "ABORTED ETAG_MISMATCH");
    assert_eq!(alice.history(&notes[0].name).await.len(), 1, "what was refused keeps nothing");
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let mut note = alice.write("", "0").await;
    for index in 1..=9 {
        note = overwrite(&alice, &note, &index.to_string()).await;
    }
    let other = alice.write("", "").await;
    let mut request = ListNoteRevisionsRequest { page_size: 4, ..list(&note) };
    let mut read = Vec::new();
    loop {
        let page = alice.revisions(request.clone()).await.expect("a page");
        assert!(page.revisions.len() <= 4);
        assert_eq!(contents(&page.revisions), vec![""; page.revisions.len()], "the basic view");
        read.extend(page.revisions.into_iter().map(|revision| revision.snapshot.expect("a snapshot").snippet));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        // Another writer does not disturb the reader.
        note = overwrite(&alice, &note, "meanwhile").await;
        overwrite(&alice, &note, "and again").await;
    }
    assert_eq!(read, ["8", "7", "6", "5", "4", "3", "2", "1", "0"]);

    let token = alice.revisions(ListNoteRevisionsRequest { page_size: 4, ..list(&note) }).await.expect("a page");
    let continued = ListNoteRevisionsRequest { page_token: token.next_page_token, ..list(&note) };
    assert_refused(bob.revisions(continued.clone()).await, PAGE_TOKEN);
    let elsewhere = ListNoteRevisionsRequest { parent: other.name.clone(), ..continued.clone() };
    assert_refused(alice.revisions(elsewhere).await, PAGE_TOKEN);
    let rubbish = ListNoteRevisionsRequest { page_token: "A".repeat(1_025), ..list(&note) };
    assert_refused(alice.revisions(rubbish).await, PAGE_TOKEN);
    let full = ListNoteRevisionsRequest { page_size: 201, view: NoteView::Full.into(), ..continued };
    assert!(alice.revisions(full).await.is_ok(), "the size and the view may change");
    let of_notes = alice.list(proto::notes::v1::ListNotesRequest { page_size: 1, ..Default::default() }).await;
    let of_notes = of_notes.expect("a page").next_page_token;
    let of_notes = ListNoteRevisionsRequest { page_token: of_notes, ..list(&note) };
    assert_refused(alice.revisions(of_notes).await, PAGE_TOKEN);
}

#[tokio::test]
async fn the_history_follows_its_note_into_the_trash_and_out_of_the_world() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let note = alice.write("", "before").await;
    assert_eq!(alice.history(&note.name).await, [], "a new note has none");
    let note = overwrite(&alice, &note, "after").await;
    assert_eq!(alice.usage().await.expect("usage").revision_bytes, 6);
    alice.delete(DeleteNoteRequest { name: note.name.clone(), ..Default::default() }).await.expect("to the trash");
    assert_eq!(contents(&alice.history(&note.name).await), ["before"]);
    assert_refused(alice.rollback(rollback(&note, "1")).await, "FAILED_PRECONDITION NOTE_DELETED");
    assert_refused(alice.rollback(rollback(&note, "7")).await, NO_REVISION);

    alice.undelete(&note.name).await.expect("back");
    alice.rollback(rollback(&note, "1")).await.expect("now it can be");
    alice.delete(DeleteNoteRequest { name: note.name.clone(), ..Default::default() }).await.expect("to the trash");
    alice.expunge(&note.name).await.expect("for good");
    assert_refused(alice.revisions(list(&note)).await, NO_NOTE);
    assert_refused(alice.revision(&format!("{}/revisions/1", note.name)).await, NO_NOTE);
    assert_refused(alice.rollback(rollback(&note, "1")).await, NO_NOTE);
    assert_eq!(alice.usage().await.expect("usage").revision_bytes, 0);
}

#[tokio::test]
async fn a_revision_that_is_not_there_is_told_from_a_note_that_is_not() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let note = alice.write("", "").await;
    let note = overwrite(&alice, &note, "x").await;
    for missing in ["2", "3", "9223372036854775807"] {
        assert_refused(alice.revision(&format!("{}/revisions/{missing}", note.name)).await, NO_REVISION);
        assert_refused(alice.rollback(rollback(&note, missing)).await, NO_REVISION);
    }
    let nowhere = Note { name: format!("notes/{}", uuid::Uuid::new_v4()), ..Note::default() };
    assert_refused(alice.revision(&format!("{}/revisions/1", nowhere.name)).await, NO_NOTE);
    assert_refused(alice.rollback(rollback(&nowhere, "1")).await, NO_NOTE);
    let stale = RollbackNoteRequest { etag: "\"AAAAAAAAAAE6yqVAloZusw\"".into(), ..rollback(&note, "1") };
    assert_refused(alice.rollback(stale).await, "ABORTED ETAG_MISMATCH");
    alice.rollback(RollbackNoteRequest { etag: note.etag.clone(), ..rollback(&note, "1") }).await.expect("this one is");
}

#[tokio::test]
async fn a_malformed_request_about_a_history_names_every_field() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let note = alice.write("", "x").await;
    let violated = |status: tonic::Status| {
        assert_eq!(raw::outcome(&status), "INVALID_ARGUMENT FIELD_INVALID");
        let details = status.get_details_bad_request().expect("BadRequest");
        details.field_violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
    };
    let bad = ListNoteRevisionsRequest { parent: "notes".into(), page_size: -1, view: 7, ..Default::default() };
    assert_eq!(violated(alice.revisions(bad).await.expect_err("bad")), ["parent", "page_size", "view"]);
    for bad in ["", "0", "-1", "01", "1.5", "latest", "9223372036854775808", "\u{0}", &"9".repeat(100_000)] {
        assert_eq!(violated(alice.rollback(rollback(&note, bad)).await.expect_err("bad")), ["revision_id"], "{bad}");
        let name = format!("{}/revisions/{bad}", note.name);
        assert_eq!(violated(alice.revision(&name).await.expect_err("bad")), ["name"], "{bad}");
    }
    let weak = RollbackNoteRequest { etag: format!("W/{}", note.etag), ..rollback(&note, "1") };
    assert_eq!(violated(alice.rollback(weak).await.expect_err("bad")), ["etag"]);
    assert_eq!(alice.history(&note.name).await, [], "nothing was stored");
    assert_eq!(alice.get(&note.name).await.expect("read"), note);
}
